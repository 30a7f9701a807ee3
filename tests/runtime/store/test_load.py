# SPDX-License-Identifier: Apache-2.0
"""What nodes carry is kept exactly, whatever tasks do."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from laws import invariants
from laws.builders import SECOND, node, service, task

from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.objects import TaskStatus
from queenright.model.states import TaskState
from queenright.store.store import Store

WEB = service("web", 1, ports=[80], task={"Resources": {"Reservations": {"NanoCPUs": 10**9, "MemoryBytes": 100}}})


def store_with(*changes: object) -> Store:
    store = Store()
    assert store.apply(1, Batch(1, (Create(node("h1")), Create(node("h2")), Create(WEB), *changes))) is None  # type: ignore[arg-type]
    return store


def move(store: Store, task_id: str, **fields: object) -> None:
    held = store.task(task_id)
    state = fields.pop("state", held.state)
    at = fields.pop("at", 0)
    status = dataclasses.replace(held.status, state=state, applied_at=at)
    changed = dataclasses.replace(held, status=status, **fields)
    assert store.apply(store.index + 1, Batch(1, (Update(changed),))) is None


def test_an_assigned_task_counts_and_reserves() -> None:
    load = store_with(Create(task(WEB, "t", node_id="h1", state=TaskState.ASSIGNED))).load("h1")
    assert (load.active, load.cpus, load.memory, load.services) == (1, 10**9, 100, {"web": 1})
    assert load.ports == {("tcp", 80): 1}


def test_a_task_made_for_a_node_counts_from_its_assignment() -> None:
    store = store_with(Create(task(WEB, "t", 0, node_id="h1")))
    assert (store.load("h1").active, store.load("h1").cpus, store.load("h1").ports) == (0, 0, {})
    move(store, "t", state=TaskState.ASSIGNED)
    assert (store.load("h1").active, store.load("h1").cpus) == (1, 10**9)


def test_a_task_that_is_to_stop_counts_no_more_but_holds_what_it_has_until_it_ended() -> None:
    store = store_with(Create(task(WEB, "t", node_id="h1", state=TaskState.RUNNING)))
    move(store, "t", desired_state=TaskState.SHUTDOWN)
    load = store.load("h1")
    assert (load.active, load.services, load.cpus, load.ports) == (0, {}, 10**9, {("tcp", 80): 1})
    move(store, "t", state=TaskState.SHUTDOWN)
    load = store.load("h1")
    assert (load.cpus, load.memory, load.ports) == (0, 0, {})


def test_a_deleted_task_leaves_nothing() -> None:
    store = store_with(Create(task(WEB, "t", node_id="h1", state=TaskState.RUNNING)))
    store.apply(2, Batch(2, (Delete("task", "t"),)))
    load = store.load("h1")
    assert (load.active, load.cpus, load.ports, load.services) == (0, 0, {}, {})


def test_failures_are_remembered_for_five_minutes_per_revision() -> None:
    store = store_with(Create(task(WEB, "t", node_id="h1", state=TaskState.RUNNING)))
    move(store, "t", state=TaskState.FAILED, at=1000 * SECOND)
    load = store.load("h1")
    assert load.recent_failures("web", 1, 1299 * SECOND) == 1
    assert load.recent_failures("web", 1, 1300 * SECOND) == 0
    assert load.recent_failures("web", 2, 1001 * SECOND) == 0
    move(store, "t", desired_state=TaskState.SHUTDOWN, at=1001 * SECOND, state=TaskState.FAILED)
    assert load.recent_failures("web", 1, 1002 * SECOND) == 1, "one end is one failure"


def test_failures_of_earlier_revisions_go_with_the_window() -> None:
    store = store_with()
    for version in range(1, 20):
        at = version * 200 * SECOND
        status = TaskStatus(state=TaskState.FAILED, applied_at=at)
        failed = dataclasses.replace(task(WEB, f"t{version}", node_id="h1", status=status), spec_version=version)
        assert store.apply(store.index + 1, Batch(at, (Create(failed),))) is None
    load = store.load("h1")
    assert sorted(version for _, version in load.failures) == [18, 19]
    assert load.recent_failures("web", 18, 3801 * SECOND) == 1


def test_a_removed_services_failures_are_forgotten() -> None:
    status = TaskStatus(state=TaskState.FAILED, applied_at=5)
    store = store_with(Create(task(WEB, "t", node_id="h1", status=status)))
    assert store.load("h1").recent_failures("web", 1, 6) == 1
    store.apply(2, Batch(2, (Delete("service", "web"),)))
    assert store.load("h1").recent_failures("web", 1, 6) == 0


def test_a_node_without_tasks_carries_nothing() -> None:
    load = Store().load("unknown")
    assert (load.active, load.cpus, load.services, load.ports) == (0, 0, {}, {})


states = st.sampled_from(list(TaskState))
moves = st.lists(st.tuples(st.integers(0, 5), states, states, st.sampled_from(["", "h1", "h2"])), max_size=30)


@given(moves)
def test_kept_sums_equal_counted_ones_after_any_history(history: list[tuple[int, TaskState, TaskState, str]]) -> None:
    store = store_with()
    for number, state, desired, node_id in history:
        key = f"t{number}"
        made = task(WEB, key, number, node_id=node_id, state=state, desired_state=desired)
        held = store.tasks.get(key)
        if held is None:
            change: Create | Update | Delete = Create(made)
        elif desired == TaskState.REMOVE:
            change = Delete("task", key)
        else:
            change = Update(dataclasses.replace(made, version=held.version))
        assert store.apply(store.index + 1, Batch(1, (change,))) is None
        invariants.check_aggregates(store)
