# SPDX-License-Identifier: Apache-2.0
"""The state machine behind the log: records in, records out, and the collector kept away from what stays."""

from __future__ import annotations

import asyncio
import gc

import pytest
from laws.builders import cluster, node, service, task

from queenright.manager import machine as module
from queenright.manager.machine import StoreMachine
from queenright.model.changes import Batch, Conflict, Create, Delete
from queenright.model.states import TaskState
from queenright.store.store import Store
from queenright.wire import codec


def machine_with(count: int) -> tuple[Store, StoreMachine]:
    store = Store()
    machine = StoreMachine(store)
    web = service("web")
    rows = [cluster(), node("h1"), web]
    rows += [task(web, f"t{number}", number, node_id="h1", state=TaskState.RUNNING) for number in range(count)]
    assert machine.apply(1, codec.encode_batch(Batch(1, tuple(map(Create, rows))))) is None
    return store, machine


def test_an_entry_is_applied_or_its_conflict_given() -> None:
    store, machine = machine_with(1)
    again = codec.encode_batch(Batch(2, (Create(node("h1")),)))
    assert machine.apply(2, again) == Conflict("node", "h1", "exists already")
    assert store.index == 2


async def test_records_of_a_snapshot_bring_the_same_content_back() -> None:
    store, machine = machine_with(30)
    records = machine.freeze()
    machine.apply(2, codec.encode_batch(Batch(2, (Delete("task", "t3"),))))
    other = Store()
    receiver = StoreMachine(other)
    swap = await asyncio.to_thread(receiver.prepare, 1, records())
    assert len(other.tasks) == 0, "nothing is different until it is swapped in"
    swap()
    assert (len(other.tasks), other.index) == (30, 1)
    assert other.tasks.get("t3") is not None
    assert other.services.get("web") == store.services.get("web")
    with other.watch() as subscription:
        receiver.prepare(2, machine.freeze()())()
        assert [commit.reset for commit in subscription.drain()] == [True]
    assert (len(other.tasks), other.index) == (29, 2)


async def test_what_was_there_before_is_freed_in_steps_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FREED_AT_ONCE", 10)
    store, machine = machine_with(50)
    steps = 0
    real = module.Remains.free

    def counted(self: module.Remains, count: int) -> bool:
        nonlocal steps
        steps += 1
        return real(self, count)

    monkeypatch.setattr(module.Remains, "free", counted)
    machine.prepare(2, iter(()))()
    assert steps == 0, "the swap itself frees nothing"
    for _ in range(200):
        await asyncio.sleep(0)
    assert steps >= 20
    assert len(store.tasks) == 0


def test_without_a_loop_it_is_freed_at_once() -> None:
    store, machine = machine_with(50)
    machine.prepare(2, iter(()))()
    assert len(store.tasks) == 0


def test_a_record_that_cannot_be_read_changes_nothing_and_the_collector_goes_on() -> None:
    store, machine = machine_with(3)
    records = [codec.encode_object(node("h9")), b"\xff\xff"]
    with pytest.raises(codec.CodecError):
        machine.prepare(2, iter(records))
    assert "h9" not in store.nodes
    assert gc.isenabled()


def test_what_is_loaded_is_out_of_the_collectors_sight() -> None:
    _, machine = machine_with(200)
    records = list(machine.freeze()())
    receiver = StoreMachine(Store())
    seen = len(gc.get_objects())
    receiver.prepare(1, iter(records))()
    assert len(gc.get_objects()) < seen + 200, "each task alone has several objects"


def test_what_is_applied_is_taken_out_of_the_collectors_sight_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[int] = []
    store = Store()
    monkeypatch.setattr("queenright.lib.memory.settle", lambda: settled.append(store.index))
    monkeypatch.setattr(module, "SETTLE_EVERY", 5)
    monkeypatch.setattr(module, "SETTLE_FROM", 10)
    machine = StoreMachine(store)
    for index in range(1, 12):
        machine.apply(index, codec.encode_batch(Batch(1, (Create(node(f"h{index}")),))))
    assert settled == [10], "a small store is left to the collector"
    machine.freeze()
    assert settled == [10, 11]
