# SPDX-License-Identifier: Apache-2.0
"""The store after any history of batches, beside one that is counted with pencil and paper."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from laws.builders import SECOND, node, service, task

from queenright.model.changes import Batch, Change, Conflict, Create, Delete, Update
from queenright.model.objects import Object, Service, Task, TaskStatus, Ticket
from queenright.model.states import TaskState
from queenright.store.load import FAILURE_WINDOW
from queenright.store.store import Store

NODES = ("h1", "h2")
SERVICES = (
    service("web", ports=[80, 443], task={"Resources": {"Reservations": {"NanoCPUs": 5, "MemoryBytes": 7}}}),
    service("db", ports=[80], task={"Resources": {"Reservations": {"NanoCPUs": 3}}}),
    service("idle", None),
)
Key = tuple[str, str]


class Paper:
    """What the rules say that a store holds: rows by kind and id, nothing kept beside them."""

    def __init__(self) -> None:
        self.rows: dict[Key, Object] = {}

    def refusal(self, batch: Batch) -> Key | None:
        """The first change that does not fit, tried one after the other on a copy."""
        trial = dict(self.rows)
        for change in batch.changes:
            if isinstance(change, Delete):
                held = trial.pop((change.kind, change.id), None)
                if change.version is not None and (held is None or held.version != change.version):
                    return change.kind, change.id
                continue
            key = (change.object.kind, change.object.id)
            held = trial.get(key)
            fits = held is None if isinstance(change, Create) else held is not None and self._same(held, change.object)
            if not fits or self._name_taken(trial, change.object):
                return key
            trial[key] = change.object
        return None

    @staticmethod
    def _same(held: Object, read: Object) -> bool:
        return held.version == read.version

    @staticmethod
    def _name_taken(trial: dict[Key, Object], row: Object) -> bool:
        others = (each for each in trial.values() if isinstance(each, Service) and each.id != row.id)
        return isinstance(row, Service) and row.name.lower() in {each.name.lower() for each in others}

    def take(self, index: int, batch: Batch) -> None:
        for change in batch.changes:
            if isinstance(change, Delete):
                self.rows.pop((change.kind, change.id), None)
                continue
            row = change.object
            before = self.rows.get((row.kind, row.id))
            born = before.created_at if before is not None else batch.at
            self.rows[row.kind, row.id] = dataclasses.replace(row, version=index, created_at=born, updated_at=batch.at)

    def of(self, kind: str) -> dict[str, Any]:
        return {key: row for (found, key), row in self.rows.items() if found == kind}


def changes_of(draw: st.DrawFn, paper: Paper) -> Change:
    """Something that may be asked for: often it fits, sometimes it is stale, doubled or about nothing."""
    kind = draw(st.sampled_from(["task", "task", "task", "service", "node", "ticket"]))
    row: Object
    if kind == "task":
        of = draw(st.sampled_from(SERVICES))
        status = TaskStatus(state=draw(st.sampled_from(TaskState)), applied_at=draw(st.integers(1, 900)) * SECOND)
        wanted = draw(st.sampled_from([TaskState.RUNNING, TaskState.COMPLETE, TaskState.SHUTDOWN, TaskState.REMOVE]))
        where = draw(st.sampled_from(["", *NODES]))
        key = draw(st.sampled_from(["t1", "t2", "t3", "t4"]))
        row = task(of, key, 1, node_id=where, status=status, desired_state=wanted)
    elif kind == "service":
        name = draw(st.sampled_from(["web", "WEB", "db"]))
        row = dataclasses.replace(service(name), id=draw(st.sampled_from(["web", "other"])))
    elif kind == "node":
        row = node(draw(st.sampled_from(NODES)))
    else:
        row = Ticket(id=draw(st.sampled_from(["k1", "k2"])), secret_digest=draw(st.sampled_from("de")))
    held = paper.rows.get((row.kind, row.id))
    stale = draw(st.integers(0, 5)) == 0
    version = (held.version if held is not None else 0) + (1 if stale else 0)
    what = draw(st.sampled_from(["write", "write", "write", "delete", "blind"]))
    if what == "delete":
        return Delete(row.kind, row.id, version)
    if what == "blind":
        return Delete(row.kind, row.id)
    if (held is None) != stale:
        return Create(row)
    return Update(dataclasses.replace(row, version=version))


def counted(paper: Paper, node_id: str) -> dict[str, Any]:
    """The load of a node by a walk over all tasks."""
    here = [one for one in paper.of("task").values() if one.node_id == node_id and one.state >= TaskState.ASSIGNED]
    alive = [one for one in here if one.state <= TaskState.RUNNING]
    wanted = [one for one in alive if one.desired_state <= TaskState.COMPLETE]
    reserved = [one.spec.resources.reservations for one in alive if one.spec.resources.reservations]
    return {
        "active": len(wanted),
        "services": dict(Counter(one.service_id for one in wanted)),
        "cpus": sum(each.cpus or 0 for each in reserved),
        "memory": sum(each.memory or 0 for each in reserved),
        "ports": dict(Counter(("tcp", port.published_port) for one in alive for port in one.endpoint.ports)),
    }


def check_same(store: Store, paper: Paper) -> None:
    """The store holds what the paper says, by every way of asking."""
    for kind, table in (
        ("node", store.nodes),
        ("service", store.services),
        ("task", store.tasks),
        ("ticket", store.tickets),
    ):
        expected = paper.of(kind)
        assert {row.id: row for row in table} == expected
        assert all(store.get(kind, key) == row for key, row in expected.items())
    for each in NODES:
        load = store.load(each)
        assert {field: getattr(load, field) for field in counted(paper, each)} == counted(paper, each)
    for one in paper.of("service").values():
        assert store.services.by("name", one.name.lower()) == (one,)
    for ticket in paper.of("ticket").values():
        assert ticket in store.tickets.by("secret", ticket.secret_digest)


@given(st.data())
def test_any_history_leaves_what_its_batches_say_and_refuses_what_does_not_fit(data: st.DataObject) -> None:
    store, paper, replica = Store(), Paper(), Store()
    with store.watch() as subscription:
        mirror: dict[Key, Object] = {}
        for index in range(1, data.draw(st.integers(1, 12)) + 1):
            asked = tuple(changes_of(data.draw, paper) for _ in range(data.draw(st.integers(1, 3))))
            batch = Batch(index * 10, asked)
            refused = paper.refusal(batch)
            conflict = store.apply(index, batch)
            assert (conflict and (conflict.kind, conflict.id)) == refused
            assert replica.apply(index, batch) == conflict, "every manager decides the same"
            if refused is None:
                paper.take(index, batch)
            assert store.index == index, "a refused entry counts as applied too"
            check_same(store, paper)
            _follow(mirror, subscription.drain())
            assert mirror == paper.rows, "who only watched knows the same"
    assert [list(table) for table in (replica.tasks, replica.services)] == [list(store.tasks), list(store.services)]


def _follow(mirror: dict[Key, Object], commits: list[Any]) -> None:
    for commit in commits:
        for event in commit.events:
            key = (event.object.kind, event.object.id)
            assert mirror.get(key) == event.before
            if event.after is None:
                del mirror[key]
            else:
                assert event.after.version == commit.index
                mirror[key] = event.after


moves = st.lists(
    st.tuples(
        st.sampled_from(["t1", "t2"]),
        st.sampled_from([TaskState.RUNNING, TaskState.FAILED, TaskState.REJECTED, TaskState.SHUTDOWN]),
        st.integers(0, 200),
    ),
    max_size=20,
)


@given(moves)
def test_each_end_in_failure_is_remembered_once_for_as_long_as_the_window(
    history: list[tuple[str, TaskState, int]],
) -> None:
    store, web = Store(), SERVICES[0]
    store.apply(1, Batch(1, (Create(node("h1")), Create(web))))
    failed = (TaskState.FAILED, TaskState.REJECTED)
    ends: list[int] = []
    clock = 0
    for key, state, pause in history:
        clock += pause * SECOND
        held = store.tasks.get(key)
        made = task(web, key, node_id="h1", status=TaskStatus(state=state, applied_at=clock))
        change: Change = Create(made) if held is None else Update(dataclasses.replace(made, version=held.version))
        assert store.apply(store.index + 1, Batch(1, (change,))) is None
        if state in failed and (held is None or held.state not in failed):
            ends.append(clock)
        recent = [at for at in ends if clock - at < FAILURE_WINDOW]
        assert store.load("h1").recent_failures("web", 1, clock) == len(recent)
        assert store.load("h2").recent_failures("web", 1, clock) == 0


def failing(store: Store, count: int) -> None:
    """Let that many tasks fail on h1, a second apart."""
    for number in range(count):
        status = TaskStatus(state=TaskState.FAILED, applied_at=(number + 1) * SECOND)
        one: Task = task(SERVICES[0], f"f{number}", node_id="h1", status=status)
        assert store.apply(store.index + 1, Batch(1, (Create(one),))) is None


def test_a_service_that_fails_without_end_does_not_fill_the_memory() -> None:
    store = Store()
    failing(store, 200)
    assert store.load("h1").recent_failures("web", 1, 201 * SECOND) == 64
    assert sum(len(times) for times in store.load("h1").failures.values()) == 64


def test_a_removed_node_takes_its_failures_along_and_leaves_what_tasks_hold_to_the_tasks() -> None:
    store = Store()
    store.apply(1, Batch(1, (Create(node("h1")), Create(SERVICES[0]))))
    failing(store, 2)
    running = task(SERVICES[0], "t", node_id="h1", state=TaskState.RUNNING)
    store.apply(store.index + 1, Batch(1, (Create(running),)))
    store.apply(store.index + 1, Batch(1, (Delete("node", "h1"),)))
    load = store.load("h1")
    assert load.recent_failures("web", 1, 3 * SECOND) == 0
    assert (load.active, load.cpus) == (1, 5), "its task is still on record"
    store.apply(store.index + 1, Batch(1, (Delete("task", "t"),)))
    assert (store.load("h1").active, store.load("h1").cpus, store.load("h1").ports) == (0, 0, {})


def test_a_removed_node_still_counts_what_one_task_that_is_to_stop_holds_there() -> None:
    store = Store()
    store.apply(1, Batch(1, (Create(node("h1")),)))
    lean = service("lean", task={"Resources": {"Reservations": {"MemoryBytes": 9}}})
    going = task(lean, "t", node_id="h1", state=TaskState.RUNNING, desired_state=TaskState.SHUTDOWN)
    store.apply(2, Batch(2, (Create(going), Delete("node", "h1"))))
    assert (store.load("h1").active, store.load("h1").memory) == (0, 9)
    store.apply(3, Batch(3, (Delete("task", "t"),)))
    assert store.load("h1").memory == 0


def test_the_first_change_that_does_not_fit_is_the_one_that_is_named() -> None:
    store = Store()
    store.apply(1, Batch(1, (Create(node("h1")),)))
    conflict = store.apply(2, Batch(2, (Create(node("h2")), Create(node("h1")), Delete("node", "h9", 4))))
    assert conflict == Conflict("node", "h1", "exists already")
    assert len(store.nodes) == 1


def test_what_one_batch_wrote_cannot_be_updated_by_the_next_from_the_same_reading() -> None:
    store = Store()
    store.apply(1, Batch(1, (Create(node("h1")),)))
    read = store.node("h1")
    assert store.apply(2, Batch(2, (Update(read), Update(read)))) is None, "one batch is one hand"
    assert store.node("h1").version == 2
    assert store.apply(3, Batch(3, (Update(read),))) == Conflict("node", "h1", "changed meanwhile")


def test_an_object_that_came_back_under_its_id_is_born_anew() -> None:
    store = Store()
    store.apply(1, Batch(100, (Create(node("h1")),)))
    store.apply(2, Batch(200, (Delete("node", "h1"), Create(node("h1")))))
    back = store.node("h1")
    assert (back.version, back.created_at, back.updated_at) == (2, 200, 200)


def test_several_watchers_hear_the_same_and_none_waits_for_another() -> None:
    store = Store()
    with store.watch() as one, store.watch() as other:
        store.apply(1, Batch(1, (Create(node("h1")),)))
        heard = one.drain()
        store.apply(2, Batch(2, (Create(node("h2")),)))
        assert heard + one.drain() == other.drain()
        one.close()
        one.close()
        store.apply(3, Batch(3, (Create(node("h3")),)))
        (third,) = other.drain()
        assert (third.index, len(third.events), third.reset) == (3, 1, False)
        assert one.drain() == []


def test_a_watch_begins_with_the_next_commit() -> None:
    store = Store()
    store.apply(1, Batch(1, (Create(node("h1")),)))
    with store.watch() as subscription:
        assert subscription.drain() == []
