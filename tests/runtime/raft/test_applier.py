# SPDX-License-Identifier: Apache-2.0
"""Entries and snapshots of others reach the state machine in order, each once."""

from __future__ import annotations

import asyncio

import pytest
from runtime.raft.kit import Machine, until

from queenright.edge.raft.applier import Applier
from queenright.edge.raft.core import Committed
from queenright.edge.raft.members import Config, Member, encode_config

ONE = Config.of([Member("m1")])
TWO = Config.of([Member("m1"), Member("m2")])


class Notes:
    """What the applier told, and a clock that ends each slice after ``per_slice`` entries."""

    def __init__(self, per_slice=1):
        self.resolved, self.dropped, self.failed, self.slices = [], [], [], 0
        self._per_slice = per_slice
        self._looked = 0

    def clock(self):
        self._looked += 1
        return 0.011 / self._per_slice * self._looked

    def applier(self, machine):
        def after_slice():
            self.slices += 1

        return Applier(
            machine,
            self.clock,
            resolve=lambda callback, result: self.resolved.append((callback, result)),
            dropped=self.dropped.append,
            after_slice=after_slice,
            fail=self.failed.append,
        )


def put(index, *callbacks, term=1):
    return Committed(index, term, b"\x00k%d=v" % index, callbacks)


def started(machine=None, per_slice=1):
    notes, machine = Notes(per_slice), machine or Machine()
    applier = notes.applier(machine)
    applier.restored(1, 0, ONE)
    return notes, machine, applier


def snapshot(machine, data, index):
    return machine.prepare(index, iter(data))


async def test_a_snapshot_overtakes_entries_that_wait_and_tells_their_proposals():
    notes, machine, applier = started()
    applier.take(tuple(put(index, f"p{index}") for index in range(2, 8)))
    assert applier.index == 2
    future = asyncio.get_running_loop().create_future()
    applier.reached(5, future)
    applier.install(5, 1, TWO, snapshot(machine, [b"k9=snap"], 5))
    assert (applier.index, applier.term, applier.config) == (5, 1, TWO)
    assert notes.dropped == ["p3", "p4", "p5"]
    assert await future == 5
    await until(lambda: applier.index == 7)
    assert machine.data == {b"k9": b"snap", b"k6": b"v", b"k7": b"v"}
    assert machine.applied == [2, 6, 7]
    assert [callback for callback, _ in notes.resolved] == ["p2", "p6", "p7"]


async def test_entries_that_come_after_a_snapshot_follow_it():
    notes, machine, applier = started(per_slice=100)
    applier.install(40, 3, TWO, snapshot(machine, [b"a=b"], 40))
    applier.take((put(41, "p", term=4),))
    assert (applier.index, applier.term) == (41, 4)
    assert notes.resolved == [("p", 41)]
    assert machine.data == {b"a": b"b", b"k41": b"v"}
    assert notes.slices == 2, "whoever looks after each slice looks after a snapshot too"


async def test_a_snapshot_of_what_is_applied_already_changes_nothing():
    notes, machine, applier = started(per_slice=100)
    applier.take((put(2), put(3)))
    for index in (2, 3):
        applier.install(index, 1, TWO, snapshot(machine, [b"old=1"], index))
    assert (applier.index, applier.config, machine.restored_at) == (3, ONE, 0)
    assert notes.dropped == []


async def test_the_members_are_those_of_the_applied_index():
    _, _, applier = started()
    change = Committed(3, 1, b"\x02" + encode_config(TWO), ())
    applier.take((put(2), change))
    assert applier.config == ONE
    await until(lambda: applier.index == 3)
    assert applier.config == TWO


async def test_a_swap_that_fails_stops_the_applier():
    notes, machine, applier = started()
    applier.take((put(2), put(3, "p3"), put(4)))

    def broken():
        raise ValueError("cannot be adopted")

    applier.install(3, 1, TWO, broken)
    assert [str(error) for error in notes.failed] == ["cannot be adopted"]
    await asyncio.sleep(0)
    assert (applier.index, machine.applied) == (2, [2])
    applier.install(9, 1, TWO, snapshot(machine, [], 9))
    assert applier.index == 2


@pytest.mark.parametrize("kind", [3, 255])
async def test_an_entry_of_an_unknown_type_stops_the_applier(kind):
    notes, _, applier = started()
    applier.take((Committed(2, 1, bytes([kind]) + b"what", ()),))
    assert "unknown type" in str(notes.failed[0])
    assert applier.index == 1
