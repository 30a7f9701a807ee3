# SPDX-License-Identifier: Apache-2.0
"""A scratch store shows what a real one would hold after the same changes, and leaves the one below it alone."""

from __future__ import annotations

import dataclasses
import random

from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.objects import Node, Service, Task
from queenright.model.states import TaskState
from queenright.spec.service import ServiceSpec, TaskSpec
from queenright.store.counts import Counts
from queenright.store.scratch import Scratch
from queenright.store.store import Store

STATES = (TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING, TaskState.COMPLETE, TaskState.FAILED)
WISHES = (TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN)


def everything(_: str) -> bool:
    return True


def rows(seed: int) -> list[Change]:
    dice = random.Random(seed)
    changes: list[Change] = [Create(Node(id=f"n{number}")) for number in range(4)]
    changes += [Create(Service(id=f"s{number}", spec=ServiceSpec(name=f"s{number}"))) for number in range(3)]
    return changes + [Create(task(dice, f"t{number:02}")) for number in range(30)]


def task(dice: random.Random, key: str) -> Task:
    made = Task(
        id=key,
        service_id=f"s{dice.randrange(3)}",
        slot=dice.randrange(1, 5),
        node_id=f"n{dice.randrange(4)}",
        spec=TaskSpec(),
        desired_state=dice.choice(WISHES),
    )
    state = dice.choice(STATES)
    return dataclasses.replace(made, status=dataclasses.replace(made.status, state=state, applied_at=5))


def moves(store: Store, dice: random.Random) -> list[Change]:
    """Some changes that fit the store as it is."""
    keys = sorted(store.tasks.ids())
    changed = [Update(dataclasses.replace(task(dice, key), version=store.tasks.get(key).version)) for key in keys[::3]]  # type: ignore[union-attr]
    gone = [Delete("task", key) for key in keys[1::5] if key not in {one.object.id for one in changed}]
    return [*changed, *gone, Create(task(dice, f"x{dice.randrange(10**9)}"))]


def held(store: Store) -> dict[str, object]:
    """All that can be asked of a store's tasks."""
    table = store.tasks
    shown: dict[str, object] = {"rows": {row.id: row for row in table}, "count": len(table)}
    for index in ("service", "slot", "node", "pending", "waiting", "name"):
        keys = {key for key in table.keys(index) if table.by(index, key)}
        shown[index] = {key: sorted(row.id for row in table.by(index, key)) for key in keys}
        assert all(table.count(index, key) == len(table.by(index, key)) for key in keys)
    shown["loads"] = {key: loads(store, key) for key in sorted(store.nodes.ids())}
    counts = (store.service_count(f"s{number}") for number in range(3))
    shown["counts"] = [(count.running, count.completed, count.desired) for count in counts]
    shown["prefix"] = [row.id for row in sorted(table.with_prefix("t1"), key=lambda row: row.id)]
    return shown


def loads(store: Store, key: str) -> tuple[object, ...]:
    load = store.load(key)
    return load.active, load.cpus, load.memory, dict(load.services), dict(load.ports), dict(load.failures)


def test_a_scratch_store_is_what_the_store_itself_would_become() -> None:
    for seed in range(20):
        store, twin = Store(), Store()
        for one in (store, twin):
            assert one.apply(1, Batch(1, tuple(rows(seed)))) is None
        before, scratch = held(store), Scratch(store, everything)
        for step in range(3):
            changes = moves(twin, random.Random(f"{seed}/{step}"))
            index = twin.index + 1
            assert twin.apply(index, Batch(index, tuple(changes))) is None
            assert scratch.apply(index, Batch(index, tuple(changes))) is None
            assert held(scratch) == held(twin)
            assert len(scratch.drain()) == 1
        assert held(store) == before


def test_what_waits_is_shown_of_the_chosen_services_alone() -> None:
    store = Store()
    store.apply(1, Batch(1, tuple(rows(1))))
    scratch = Scratch(store, {"s1"}.__contains__)
    assert {task.service_id for task in store.tasks.by("pending", True)} > {"s1"}
    assert {task.service_id for task in scratch.tasks.by("pending", True)} == {"s1"}
    assert len(scratch.tasks) == len(store.tasks)


def test_rows_that_are_changed_stay_where_they_were() -> None:
    store = Store()
    store.apply(1, Batch(1, tuple(rows(1))))
    scratch = Scratch(store, everything)
    [first, *_] = store.tasks
    stopped = Update(dataclasses.replace(first, desired_state=TaskState.SHUTDOWN))
    assert scratch.apply(2, Batch(2, (stopped,))) is None
    made = dataclasses.replace(first, id="zz-made", version=0)
    assert scratch.apply(3, Batch(3, (Create(made),))) is None
    ids = [task.id for task in store.tasks.by("service", first.service_id)]
    assert [task.id for task in scratch.tasks.by("service", first.service_id)] == [*ids, "zz-made"]
    assert [task.id for task in scratch.tasks] == [*(task.id for task in store.tasks), "zz-made"]


def test_a_scratch_store_refuses_what_the_store_would_refuse() -> None:
    store = Store()
    store.apply(1, Batch(1, tuple(rows(1))))
    taken = Create(Service(id="new", spec=ServiceSpec(name="S1")))
    conflict = Scratch(store, everything).apply(2, Batch(2, (taken,)))
    assert conflict is not None
    assert conflict.reason == "name in use"
    assert Scratch(store, everything, guarded=False).apply(2, Batch(2, (taken,))) is None


def test_the_counts_of_services_are_those_of_their_tasks_after_any_changes() -> None:
    for seed in range(20):
        store = Store()
        store.apply(1, Batch(1, tuple(rows(seed))))
        for step in range(5):
            store.apply(store.index + 1, Batch(1, tuple(moves(store, random.Random(f"{seed}-{step}")))))
        fresh = Counts()
        for row in store.tasks:
            fresh.moved(None, row)
        for number in range(3):
            assert store.service_count(f"s{number}") == fresh.of(f"s{number}")
        restored = Store()
        restored.restore(store.index, store.freeze()())
        assert restored.service_count("s0") == store.service_count("s0")


def test_rows_come_by_id_as_they_were_when_it_was_asked() -> None:
    store = Store()
    store.apply(1, Batch(1, tuple(rows(3))))
    expected = sorted(store.tasks.ids())
    listed = store.tasks.ordered()
    first = next(listed)
    store.apply(2, Batch(2, tuple(Delete("task", key) for key in expected[5:])))
    assert [first.id, *(row.id for row in listed)] == expected
