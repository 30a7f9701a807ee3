# SPDX-License-Identifier: Apache-2.0
"""The replicated log as its users see it."""

from __future__ import annotations

import asyncio
import itertools
import stat

import pytest
from runtime.raft.kit import BadDisk, Machine, make, raft_threads, running, until

from queenright.edge.raft import (
    MAX_COMMAND,
    CommandTooLargeError,
    LockedError,
    QueueFullError,
    StoppedError,
)
from queenright.edge.raft.applier import SLICE


async def test_a_proposal_resolves_with_what_the_state_machine_gave(tmp_path):
    machine = Machine()
    async with running(tmp_path / "raft", machine) as log:
        result = await log.propose(b"a=1")
        assert machine.data == {b"a": b"1"}
        assert result == machine.applied[-1] == log.applied_index
        assert log.is_leader
        assert log.failure is None
        assert [member.id for member in log.members()] == ["m1"]


async def test_a_restart_keeps_everything_and_begins_a_new_term(tmp_path):
    async with running(tmp_path) as log:
        for number in range(50):
            await log.propose(b"k%d=v%d" % (number, number))
        applied, term = log.applied_index, log.term
    machine = Machine()
    async with running(tmp_path, machine) as log:
        assert machine.data == {b"k%d" % number: b"v%d" % number for number in range(50)}
        assert log.term == term + 1
        assert log.applied_index == applied + 1  # the no-op of the new leader


async def test_concurrent_proposals_share_flushes_and_keep_their_order(tmp_path):
    machine, disk = Machine(), BadDisk()
    async with running(tmp_path, machine, disk=disk) as log:
        before = disk.syncs
        results = await asyncio.gather(*(log.propose(b"k%d=v" % number) for number in range(1000)))
        assert results == sorted(results)
        assert list(machine.data) == [b"k%d" % number for number in range(1000)]
        assert disk.syncs - before < 200


async def test_what_is_proposed_in_one_turn_of_the_loop_shares_one_flush(tmp_path):
    disk = BadDisk()
    async with running(tmp_path, disk=disk) as log:
        before = disk.syncs
        await asyncio.gather(*(log.propose(b"k%d=v" % number) for number in range(100)))
        assert disk.syncs - before == 1


async def test_a_barrier_comes_after_what_was_proposed_before_it_in_the_same_turn(tmp_path):
    machine = Machine()
    async with running(tmp_path, machine) as log:
        before = log.applied_index
        proposed = [asyncio.ensure_future(log.propose(b"k%d=v" % number)) for number in range(3)]
        reading = asyncio.ensure_future(log.barrier())
        assert await reading == before + 3
        await asyncio.gather(*proposed)


async def test_one_proposal_costs_one_flush(tmp_path):
    disk = BadDisk()
    async with running(tmp_path, disk=disk) as log:
        before = disk.syncs
        for number in range(20):
            await log.propose(b"k=%d" % number)
        assert disk.syncs - before == 20


async def test_the_state_machine_is_called_on_the_loops_thread_only(tmp_path):
    machine = Machine()
    async with running(tmp_path, machine) as log:
        await log.propose(b"a=1")
    assert machine.threads == {"MainThread"}


async def test_nothing_is_acknowledged_before_the_flush_returns(tmp_path):
    machine, disk = Machine(), BadDisk()
    async with running(tmp_path, machine, disk=disk) as log:
        disk.gate.clear()
        proposal = asyncio.create_task(log.propose(b"a=1"))
        await until(disk.waiting.is_set)
        await asyncio.sleep(0.1)
        assert not proposal.done()
        assert machine.data == {}
        disk.gate.set()
        await proposal
        assert machine.data == {b"a": b"1"}


async def test_a_leader_commits_nothing_before_its_first_entry_is_flushed(tmp_path):
    async with running(tmp_path) as log:
        await log.propose(b"a=1")
    machine, disk = Machine(), BadDisk()
    disk.open_syncs = 1  # the flush of what was found on disk passes, that of the new term waits
    disk.gate.clear()
    log = make(tmp_path, machine, disk=disk)
    start = asyncio.create_task(log.start())
    await until(disk.waiting.is_set)
    await asyncio.sleep(0.05)
    assert machine.data == {}
    assert not start.done()
    disk.gate.set()
    await start
    assert machine.data == {b"a": b"1"}
    await log.stop()


async def test_a_barrier_covers_every_proposal_made_before_it(tmp_path):
    machine, disk = Machine(), BadDisk()
    async with running(tmp_path, machine, disk=disk) as log:
        disk.gate.clear()
        proposals = [asyncio.create_task(log.propose(b"k%d=v" % number)) for number in range(10)]
        await until(disk.waiting.is_set)
        barrier = asyncio.create_task(log.barrier())
        await asyncio.sleep(0.05)
        assert not barrier.done()
        disk.gate.set()
        index = await barrier
        assert len(machine.data) == 10
        assert index >= max(await asyncio.gather(*proposals))


async def test_a_barrier_on_a_quiet_log_gives_the_applied_index(tmp_path):
    async with running(tmp_path) as log:
        assert await log.barrier() == log.applied_index == log.last_index


async def test_a_command_over_the_limit_is_refused_and_the_log_goes_on(tmp_path):
    machine = Machine()
    async with running(tmp_path, machine) as log:
        with pytest.raises(CommandTooLargeError, match=str(MAX_COMMAND)):
            await log.propose(b"x" * (MAX_COMMAND + 1))
        await log.propose(b"k=" + b"x" * (MAX_COMMAND - 2))
        assert len(machine.data[b"k"]) == MAX_COMMAND - 2


async def test_too_many_proposals_at_once_are_refused_and_the_others_go_through(tmp_path, monkeypatch):
    monkeypatch.setattr("queenright.edge.raft.proposals.MAX_PENDING", 10)
    async with running(tmp_path) as log:
        results = await asyncio.gather(*(log.propose(b"k=%d" % number) for number in range(15)), return_exceptions=True)
        assert [type(result) for result in results[10:]] == [QueueFullError] * 5
        assert all(isinstance(result, int) for result in results[:10])
        await log.propose(b"later=1")


async def test_too_many_bytes_at_once_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("queenright.edge.raft.proposals.MAX_PENDING_BYTES", 100)
    async with running(tmp_path) as log:
        results = await asyncio.gather(*(log.propose(b"k=" + b"x" * 48) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [int, int, QueueFullError]
        await log.propose(b"k=" + b"x" * 90)


async def test_a_cancelled_call_does_not_take_its_command_back_nor_harm_others(tmp_path):
    machine, disk = Machine(), BadDisk()
    async with running(tmp_path, machine, disk=disk) as log:
        disk.gate.clear()
        first = asyncio.create_task(log.propose(b"a=1"))
        second = asyncio.create_task(log.propose(b"b=2"))
        await until(disk.waiting.is_set)
        first.cancel()
        disk.gate.set()
        await second
        assert first.cancelled() or first.cancelling()
        assert machine.data == {b"a": b"1", b"b": b"2"}


async def test_a_stop_finishes_the_proposals_under_way_and_ends_the_thread(tmp_path):
    machine = Machine()
    log = make(tmp_path, machine)
    await log.start()
    assert raft_threads() == ["raft"]
    proposals = [asyncio.create_task(log.propose(b"k%d=v" % number)) for number in range(500)]
    await asyncio.sleep(0)
    await log.stop()
    assert len(await asyncio.gather(*proposals)) == 500
    assert raft_threads() == []
    with pytest.raises(StoppedError):
        await log.propose(b"late=1")
    with pytest.raises(StoppedError):
        await log.barrier()
    await log.stop()


async def test_a_log_that_was_not_started_takes_nothing_and_can_be_stopped(tmp_path):
    log = make(tmp_path)
    with pytest.raises(StoppedError):
        await log.propose(b"a=1")
    assert log.applied_index == 0
    assert not log.is_leader
    await log.stop()


async def test_a_log_is_started_once(tmp_path):
    async with running(tmp_path) as log:
        with pytest.raises(StoppedError, match="once"):
            await log.start()


async def test_a_second_daemon_on_the_same_directory_is_refused(tmp_path):
    async with running(tmp_path) as log:
        with pytest.raises(LockedError, match=r"another queenright daemon \(process \d+\)"):
            await make(tmp_path).start()
        await log.propose(b"still=works")
    async with running(tmp_path):
        pass


async def test_directory_and_files_are_for_their_owner_only(tmp_path):
    directory = tmp_path / "state" / "raft"
    async with running(directory, snapshot_every=5) as log:
        for number in range(10):
            await log.propose(b"k=%d" % number)
        await until((directory / "snapshot").exists)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {
        "lock": 0o600,
        "log": 0o600,
        "snapshot": 0o600,
    }


async def test_a_directory_that_was_open_to_others_is_tightened(tmp_path):
    directory = tmp_path / "raft"
    directory.mkdir(mode=0o755)
    async with running(directory):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


async def test_a_long_replay_leaves_the_loop_to_others_between_slices(tmp_path):
    async with running(tmp_path) as log:
        await asyncio.gather(*(log.propose(b"k%d=v" % number) for number in range(300)))

    now = 0.0

    def clock():
        return now

    class Slow(Machine):
        def apply(self, index, command):
            nonlocal now
            now += SLICE / 10
            return super().apply(index, command)

    machine = Slow()
    turns = []
    log = make(tmp_path, machine, clock=clock)
    start = asyncio.create_task(log.start())
    while not start.done():
        turns.append(len(machine.applied))
        await asyncio.sleep(0)
    await start
    steps = [after - before for before, after in itertools.pairwise(turns)]
    assert len(machine.applied) == 300
    assert max(steps) <= 11
    await log.stop()


async def test_no_pickle_is_made_or_read(tmp_path, monkeypatch):
    import pysyncobj.pickle

    def explode(*args, **kwargs):
        raise AssertionError("pickle was used")

    for name in ("dumps", "loads", "dump", "load"):
        monkeypatch.setattr(pysyncobj.pickle, name, explode)
    async with running(tmp_path, snapshot_every=5) as log:
        for number in range(20):
            await log.propose(b"k%d=v" % number)
        await until((tmp_path / "snapshot").exists)
    machine = Machine()
    async with running(tmp_path, machine) as log:
        assert len(machine.data) == 20
        assert log.failure is None
