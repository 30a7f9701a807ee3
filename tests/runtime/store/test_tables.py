# SPDX-License-Identifier: Apache-2.0
"""Tables find by every index exactly what a walk over all rows would find."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws.builders import node, service, task

from queenright.model.objects import Service, Task, TaskStatus, Ticket, UpdateStatus
from queenright.model.states import NodeState, TaskState, UpdateState
from queenright.store import tables
from queenright.store.tables import Table

WEB = service("web")
READS = {
    "Secrets": [{"SecretID": key, "SecretName": key} for key in ("s1", "s2")],
    "Configs": [{"ConfigID": "c1", "ConfigName": "c"}],
}
LINKED = service(
    "linked",
    task={"Networks": [{"Target": "n1"}, {"Target": "bridge"}]},
    EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 80}]},
)
IDS = st.sampled_from(["a", "ab", "abc", "b", "c"])


def rows_of(table: Table[Any], index: str) -> dict[object, set[str]]:
    """Every key of an index with the ids that it holds."""
    return {key: {row.id for row in table.by(index, key)} for key in table.keys(index)}


def walked(rows: Iterable[Any], keys: Callable[[Any], Iterable[object]]) -> dict[object, set[str]]:
    """The same by looking at each row."""
    out: dict[object, set[str]] = {}
    for row in rows:
        for key in keys(row):
            out.setdefault(key, set()).add(row.id)
    return out


made_tasks = st.builds(
    lambda key, of, slot, node_id, state, desired, labels: dataclasses.replace(
        task(of, key, slot, node_id=node_id, state=state, desired_state=desired), service_labels=labels
    ),
    IDS,
    st.sampled_from([WEB, service("Db"), service("app", task={"ContainerSpec": {"Image": "app", **READS}}), LINKED]),
    st.integers(0, 2),
    st.sampled_from(["", "n1", "n2"]),
    st.sampled_from(TaskState),
    st.sampled_from([TaskState.READY, TaskState.RUNNING, TaskState.COMPLETE, TaskState.SHUTDOWN, TaskState.REMOVE]),
    st.dictionaries(st.sampled_from("kl"), st.sampled_from("xy"), max_size=2),
)
steps = st.lists(st.one_of(made_tasks, IDS), max_size=25)

# What the indexes of tasks are for, in words of the tasks themselves.
TASKS: dict[str, Callable[[Task], Iterable[object]]] = {
    "service": lambda one: [one.service_id],
    "slot": lambda one: [(one.service_id, one.slot)],
    "place": lambda one: [(one.service_id, one.node_id)],
    "node": lambda one: [one.node_id] * bool(one.node_id),
    "new": lambda one: (
        [("n1", "") if one.service_id == "linked" else ()]
        * (one.state == TaskState.NEW and one.desired_state <= TaskState.COMPLETE)
    ),
    "pending": lambda one: [True] * (one.state == TaskState.PENDING and one.desired_state <= TaskState.COMPLETE),
    "waiting": lambda one: [True] * (one.desired_state == TaskState.READY),
    "name": lambda one: [one.name.lower()],
    "label": lambda one: list(one.service_labels.items()),
    "secret": lambda one: [reference.secret_id for reference in one.spec.container.secrets],
    "config": lambda one: [reference.config_id for reference in one.spec.container.configs],
}


@given(steps)
def test_every_index_of_tasks_is_right_after_any_history(history: list[Task | str]) -> None:
    table = tables.tasks()
    held: dict[str, Task] = {}
    for step in history:
        if isinstance(step, str):
            assert table.pop(step) == held.pop(step, None)
        else:
            table.put(step)
            held[step.id] = step
        assert {row.id: row for row in table} == held
        for index, keys in TASKS.items():
            assert rows_of(table, index) == walked(held.values(), keys), index
            for key in table.keys(index):
                assert table.count(index, key) == len(table.by(index, key)) > 0, "no empty keys are kept"


@given(steps)
def test_what_an_index_gives_is_the_row_as_it_is_now(history: list[Task | str]) -> None:
    table = tables.tasks()
    for step in history:
        if isinstance(step, str):
            table.pop(step)
        else:
            table.put(step)
    for index in TASKS:
        for key in table.keys(index):
            for row in table.by(index, key):
                assert row is table.get(row.id)


@given(steps)
def test_a_copy_is_of_its_moment(history: list[Task | str]) -> None:
    table = tables.tasks()
    table.put(task(WEB, "first"))
    copied = table.copy()
    for step in history:
        if isinstance(step, str):
            table.pop(step)
        else:
            table.put(step)
    assert set(copied) == {"first"}
    copied.clear()
    assert "first" in table


def test_rows_of_a_key_come_in_the_order_in_which_they_got_it() -> None:
    table = tables.tasks()
    for key in "cab":
        table.put(task(WEB, key))
    table.put(task(WEB, "c", 1, state=TaskState.RUNNING))
    assert [row.id for row in table.by("service", "web")] == ["c", "a", "b"], "an update keeps its place"
    table.put(task(service("db"), "c"))
    table.put(task(WEB, "c"))
    assert [row.id for row in table.by("service", "web")] == ["a", "b", "c"], "one that came back is the last"


def test_a_row_that_changed_while_its_key_did_not_is_found_new() -> None:
    table = tables.tasks()
    table.put(task(WEB, "t", state=TaskState.PENDING))
    changed = task(WEB, "t", state=TaskState.RUNNING)
    table.put(changed)
    assert table.by("service", "web") == (changed,)


def test_a_walk_over_what_was_found_may_change_the_table() -> None:
    table = tables.tasks()
    for key in "abc":
        table.put(task(WEB, key))
    for row in table.by("service", "web"):
        table.pop(row.id)
    assert len(table) == 0
    assert list(table.keys("service")) == []


def test_a_key_that_nothing_has_gives_nothing() -> None:
    table = tables.tasks()
    assert table.by("service", "web") == ()
    assert table.count("service", "web") == 0
    assert list(table.keys("service")) == [], "asking leaves no trace"


def test_an_index_that_does_not_exist_is_an_error_of_the_program() -> None:
    with pytest.raises(KeyError):
        tables.tasks().by("colour", "red")


@given(st.sets(st.text("abc", max_size=4), max_size=8), st.text("abc", max_size=3))
def test_a_prefix_finds_the_ids_that_begin_so(ids: set[str], prefix: str) -> None:
    table = tables.tickets()
    for key in ids:
        table.put(Ticket(id=key))
    assert {row.id for row in table.with_prefix(prefix)} == {key for key in ids if key[: len(prefix)] == prefix}
    assert set(table.ids()) == ids
    assert all(key in table for key in ids)


def test_services_are_found_by_name_label_mode_and_whether_they_roll() -> None:
    table = tables.services()
    rolling = UpdateStatus(state=UpdateState.UPDATING)
    table.put(dataclasses.replace(service("Web", Labels={"tier": "front"}), update_status=rolling))
    table.put(service("everywhere", None))
    assert rows_of(table, "name") == {"web": {"Web"}, "everywhere": {"everywhere"}}
    assert rows_of(table, "label") == {("tier", "front"): {"Web"}}
    assert rows_of(table, "mode") == {"replicated": {"Web"}, "global": {"everywhere"}}
    assert rows_of(table, "rolling") == {True: {"Web"}}
    table.put(service("db", ports=[5432, 5433]))
    assert rows_of(table, "port") == {("tcp", 5432): {"db"}, ("tcp", 5433): {"db"}}


@pytest.mark.parametrize("state", list(UpdateState))
def test_a_service_rolls_while_its_update_or_rollback_goes_on(state: UpdateState) -> None:
    table = tables.services()
    table.put(dataclasses.replace(service("web"), update_status=UpdateStatus(state=state)))
    assert table.count("rolling", True) == (state in ("updating", "rollback_started"))
    table.put(service("web"))
    assert table.count("rolling", True) == 0


def test_nodes_are_found_by_host_name_role_and_state() -> None:
    table = tables.nodes()
    table.put(node("Alpha", role="manager"))
    table.put(node("beta", state=NodeState.DOWN))
    assert rows_of(table, "hostname") == {"alpha": {"Alpha"}, "beta": {"beta"}}
    assert rows_of(table, "role") == {"manager": {"Alpha"}, "worker": {"beta"}}
    table.put(node("beta", state=NodeState.READY, role="manager"))
    assert rows_of(table, "role") == {"manager": {"Alpha", "beta"}}
    assert rows_of(table, "state") == {"ready": {"Alpha", "beta"}}


def test_tickets_are_found_by_the_digest_of_their_secret() -> None:
    table = tables.tickets()
    table.put(Ticket(id="k", secret_digest="d1"))
    table.put(Ticket(id="k", secret_digest="d2"))
    assert rows_of(table, "secret") == {"d2": {"k"}}


def test_a_service_without_a_name_and_one_that_is_named_so_later_do_not_collide() -> None:
    table = tables.services()
    unnamed: Service = dataclasses.replace(service("x"), spec=dataclasses.replace(service("x").spec, name=None))
    table.put(unnamed)
    table.put(service("x"))
    assert rows_of(table, "name") == {"x": {"x"}}


def test_a_task_waits_for_its_node_until_it_has_one_or_is_no_longer_wanted() -> None:
    table = tables.tasks()
    table.put(task(WEB, "t", state=TaskState.PENDING))
    assert table.count("pending", True) == 1
    table.put(dataclasses.replace(task(WEB, "t"), node_id="n", status=TaskStatus(state=TaskState.ASSIGNED)))
    assert table.count("pending", True) == 0
    table.put(task(WEB, "t", state=TaskState.PENDING, desired_state=TaskState.REMOVE))
    assert table.count("pending", True) == 0
