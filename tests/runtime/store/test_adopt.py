# SPDX-License-Identifier: Apache-2.0
"""A snapshot takes the place of everything in one step; watchers are told, and the old content goes bit by bit."""

from __future__ import annotations

import dataclasses
import threading
import weakref

from hypothesis import given
from hypothesis import strategies as st
from laws import invariants
from laws.builders import cluster, node, service, task

from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.objects import Object, Ticket
from queenright.model.states import TaskState
from queenright.store.remains import Remains
from queenright.store.store import Commit, Store

WEB = service("web", 1, ports=[80], task={"Resources": {"Reservations": {"NanoCPUs": 10**9, "MemoryBytes": 100}}})


def filled(*names: str) -> Store:
    store = Store()
    rows: list[Object] = [cluster(), node("h1"), node("h2"), WEB, Ticket(id="k", secret_digest="s")]
    rows += [task(WEB, name, slot, node_id="h1", state=TaskState.RUNNING) for slot, name in enumerate(names or ("t1",))]
    assert store.apply(1, Batch(1, tuple(map(Create, rows)))) is None
    return store


def same(one: Store, other: Store) -> None:
    for name in ("clusters", "nodes", "services", "tasks", "tickets"):
        assert {row.id: row for row in getattr(one, name)} == {row.id: row for row in getattr(other, name)}
    for host in ("h1", "h2"):
        load, wanted = one.load(host), other.load(host)
        assert dataclasses.replace(load, failures={}) == dataclasses.replace(wanted, failures={})
    assert one.index == other.index


def test_an_adopted_snapshot_takes_the_place_of_everything() -> None:
    source = filled("a", "b", "c")
    store = filled("x")
    store.apply(2, Batch(2, (Create(node("h9")),)))
    prepared = Store.prepare_restore(1, source.freeze()())
    assert {row.id for row in store.tasks} == {"x"}, "until it is adopted nothing is different"
    store.adopt(prepared)
    same(store, source)
    assert "h9" not in store.nodes
    assert [row.id for row in store.tasks.by("node", "h1")] == ["a", "b", "c"]
    assert store.task("web.1.b").id == "b"
    assert store.tasks.by("slot", ("web", 0)) == (store.tasks.get("a"),)
    invariants.check_aggregates(store)


def test_whoever_holds_a_table_sees_the_new_content() -> None:
    store = filled("x")
    tasks, nodes = store.tasks, store.nodes
    walking = iter(tasks)
    store.adopt(Store.prepare_restore(7, filled("a", "b").freeze()()))
    assert ([row.id for row in tasks], len(nodes)) == (["a", "b"], 2)
    assert [row.id for row in walking] == ["x"], "a walk that had begun goes on over what it began with"
    assert store.tasks is tasks


def test_changes_go_on_after_it() -> None:
    store = filled("x")
    store.adopt(Store.prepare_restore(7, filled("a").freeze()()))
    held = store.task("a")
    moved = dataclasses.replace(held, node_id="h2")
    assert store.apply(8, Batch(8, (Update(moved), Create(task(WEB, "b", 2))))) is None
    assert store.apply(9, Batch(9, (Delete("task", "x", 1),))) is not None
    assert (store.load("h1").active, store.load("h2").active) == (0, 1)
    invariants.check_aggregates(store)


def test_watchers_are_told_to_look_again_and_of_nothing_before() -> None:
    store = filled("x")
    with store.watch() as early, store.watch() as late:
        store.apply(2, Batch(2, (Create(node("h3")),)))
        late.drain()
        store.adopt(Store.prepare_restore(40, filled("a").freeze()()))
        store.apply(41, Batch(41, (Create(node("h4")),)))
        for subscription in (early, late):
            reset, following = subscription.drain()
            assert reset == Commit(40, (), reset=True)
            assert (following.index, following.reset, len(following.events)) == (41, False, 1)


async def test_whoever_waits_for_the_next_commit_is_woken() -> None:
    store = filled("x")
    with store.watch() as subscription:
        store.adopt(Store.prepare_restore(40, filled("a").freeze()()))
        assert (await subscription.next()).reset


def test_a_snapshot_taken_before_is_not_touched_by_it() -> None:
    store = filled("x", "y")
    frozen = store.freeze()
    remains = store.adopt(Store.prepare_restore(40, filled("a").freeze()()))
    while remains.free(1):
        pass
    assert {row.id for row in frozen() if row.kind == "task"} == {"x", "y"}


def test_the_tables_can_be_built_on_any_thread() -> None:
    source, built = filled("a", "b"), []
    thread = threading.Thread(target=lambda: built.append(Store.prepare_restore(5, source.freeze()())))
    thread.start()
    thread.join(60)
    store = Store()
    store.adopt(built[0])
    assert ({row.id for row in store.tasks}, store.index) == ({"a", "b"}, 5)


class Thing:
    pass


def test_remains_are_freed_bit_by_bit_down_to_the_last() -> None:
    things = [Thing() for _ in range(100)]
    alive = [weakref.ref(thing) for thing in things]
    rows = dict(enumerate(things))
    index = {"all": dict(rows), **{number: {number: thing} for number, thing in rows.items()}}
    del things
    remains = Remains([rows, index])
    del rows, index
    before, steps = 100, 0
    while remains.free(10):
        left = sum(1 for each in alive if each() is not None)
        assert left >= before - 10
        before, steps = left, steps + 1
    assert all(each() is None for each in alive)
    assert steps >= 20
    assert not remains.free(10)


names = st.sets(st.sampled_from([f"t{number}" for number in range(8)]))


@given(names, names)
def test_any_state_takes_the_place_of_any_other(before: set[str], after: set[str]) -> None:
    store, source = filled(*sorted(before)), filled(*sorted(after))
    remains = store.adopt(Store.prepare_restore(1, source.freeze()()))
    while remains.free(3):
        pass
    same(store, source)
    invariants.check_aggregates(store)
