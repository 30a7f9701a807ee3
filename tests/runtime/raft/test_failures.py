# SPDX-License-Identifier: Apache-2.0
"""When disk or state machine fail, the log stops for good and says why; nothing is acknowledged afterwards."""

from __future__ import annotations

import asyncio
import errno
import time

import pytest
from runtime.raft.kit import BadDisk, Machine, make, no_space, raft_threads, running, until

from queenright.edge.raft import FailedError, StoppedError
from queenright.edge.raft.errors import UnwritableError


def input_output_error():
    return OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("write", no_space(), "No space left on device"),
        ("sync", input_output_error(), "Input/output error"),
    ],
)
async def test_a_disk_error_fails_all_pending_proposals_and_stops_the_log(tmp_path, kind, error, text):
    machine, disk, fatal = Machine(), BadDisk(), []
    async with running(tmp_path, machine, disk=disk, on_fatal=fatal.append) as log:
        await log.propose(b"before=1")
        setattr(disk, f"{kind}_error", error)
        disk.partial = 30
        outcomes = await asyncio.gather(
            *(log.propose(b"k%d=v" % number) for number in range(5)), log.barrier(), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {FailedError}
        assert all(text in str(outcome) for outcome in outcomes)
        assert text in log.failure
        assert not log.is_leader
        setattr(disk, f"{kind}_error", None)
        for call in (log.propose(b"after=1"), log.barrier()):
            with pytest.raises(FailedError, match=text):
                await call
        await until(lambda: raft_threads() == [])
    assert [(type(one), one.errno) for one in fatal] == [(UnwritableError, error.errno)]
    assert f"{tmp_path / 'log'} cannot be written" in log.failure
    assert machine.data == {b"before": b"1"}

    again = Machine()
    async with running(tmp_path, again) as log:
        assert again.data[b"before"] == b"1"
        assert b"after" not in again.data
        await log.propose(b"works=again")


async def test_a_command_that_the_state_machine_cannot_apply_stops_the_log(tmp_path):
    machine, fatal = Machine(), []
    machine.poison = b"bad=1"
    async with running(tmp_path, machine, on_fatal=fatal.append) as log:
        await log.propose(b"good=1")
        applied = log.applied_index
        outcomes = await asyncio.gather(
            log.propose(b"good=2"), log.propose(b"bad=1"), log.propose(b"good=3"), return_exceptions=True
        )
        assert outcomes[0] == applied + 1
        assert [type(outcome) for outcome in outcomes[1:]] == [FailedError, FailedError]
        assert "cannot be applied" in log.failure
        assert log.applied_index == applied + 1
    assert [str(error) for error in fatal] == ["this command cannot be applied"]
    assert machine.data == {b"good": b"2"}


async def test_a_state_machine_that_fails_at_replay_fails_the_start_and_frees_the_directory(tmp_path):
    async with running(tmp_path) as log:
        await log.propose(b"bad=1")
    machine, fatal = Machine(), []
    machine.poison = b"bad=1"
    log = make(tmp_path, machine, on_fatal=fatal.append)
    with pytest.raises(ValueError, match="cannot be applied"):
        await log.start()
    assert raft_threads() == []
    assert fatal == []  # it is start() that tells
    async with running(tmp_path, again := Machine()):
        assert again.data == {b"bad": b"1"}


async def test_a_disk_error_at_start_comes_out_of_start(tmp_path):
    disk = BadDisk()
    disk.write_error = no_space()
    with pytest.raises(OSError, match="No space"):
        await make(tmp_path, disk=disk).start()
    assert raft_threads() == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lock"]
    async with running(tmp_path) as log:
        await log.propose(b"a=1")


async def test_a_cancelled_start_leaves_nothing_running(tmp_path):
    disk = BadDisk()
    disk.gate.clear()
    start = asyncio.create_task(make(tmp_path, disk=disk).start())
    await until(disk.waiting.is_set)
    start.cancel()
    disk.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await start
    await until(lambda: raft_threads() == [])


async def test_a_stop_does_not_wait_for_a_disk_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr("queenright.edge.raft.log.DRAIN", 0.1)
    monkeypatch.setattr("queenright.edge.raft.log.STOP", 0.1)
    machine, disk = Machine(), BadDisk()
    log = make(tmp_path, machine, disk=disk)
    await log.start()
    disk.gate.clear()
    proposal = asyncio.create_task(log.propose(b"a=1"))
    await until(disk.waiting.is_set)
    await asyncio.wait_for(log.stop(), 60)
    with pytest.raises(StoppedError, match="outcome"):
        await proposal
    assert machine.data == {}
    disk.gate.set()
    await until(lambda: raft_threads() == [])
    await log.stop()


def test_the_whole_stop_has_a_budget_of_less_than_five_seconds():
    from queenright.edge.raft import log

    assert log.DRAIN + 2 * log.STOP + 0.1 < 5


def test_a_loop_that_was_closed_without_a_stop_does_not_hold_up_the_process(tmp_path):
    log = make(tmp_path)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(log.start())
    loop.close()
    log._engine.stop()
    deadline = time.monotonic() + 60
    while raft_threads():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    log._engine.join(1)


async def test_a_failed_compaction_stops_the_log(tmp_path):
    disk, fatal = BadDisk(), []
    disk.publish_error, disk.only_for = input_output_error(), "log"
    (tmp_path / "raft").mkdir()
    first = make(tmp_path / "raft")
    await first.start()
    await first.stop()
    async with running(tmp_path / "raft", disk=disk, on_fatal=fatal.append, snapshot_every=10, keep_entries=2) as log:
        with pytest.raises(FailedError):
            for number in range(100_000):
                await log.propose(b"k%d=v" % number)
    assert [(type(one), one.errno) for one in fatal] == [(UnwritableError, errno.EIO)]
    machine = Machine()
    async with running(tmp_path / "raft", machine):
        assert machine.restored_at > 0


async def test_a_full_disk_at_a_snapshot_leaves_the_log_running_and_is_tried_again_later(tmp_path):
    now = 0.0
    machine, disk, fatal = Machine(), BadDisk(), []
    disk.write_error, disk.only_in = no_space(), "raft-snapshot"
    options = {"snapshot_every": 10, "keep_entries": 2, "disk": disk, "on_fatal": fatal.append, "clock": lambda: now}
    async with running(tmp_path, machine, **options) as log:
        for number in range(30):
            await log.propose(b"k%d=v" % number)
        await until(lambda: log.snapshot_failure)
        assert "No space" in log.snapshot_failure
        await log.propose(b"more=1")
        assert machine.freezes == 1  # not tried at every entry
        disk.write_error = None
        now += 31
        await log.propose(b"more=2")
        await until((tmp_path / "snapshot").exists)
        await until(lambda: log.snapshot_failure is None)
    assert fatal == []
    assert machine.freezes == 2


@pytest.mark.parametrize("where", ["freeze", "records"])
async def test_a_state_that_cannot_be_written_down_stops_the_log(tmp_path, where):
    class Broken(Machine):
        def freeze(self):
            def records():
                raise ValueError("no such field")
                yield

            if where == "freeze":
                raise ValueError("no such field")
            return records

    fatal = []
    async with running(tmp_path, Broken(), snapshot_every=5, on_fatal=fatal.append) as log:
        with pytest.raises(FailedError):
            for number in range(1000):
                await log.propose(b"k%d=v" % number)
                await asyncio.sleep(0.01)
        assert "no such field" in log.failure
    assert len(fatal) == 1


async def test_a_snapshot_that_cannot_be_restored_fails_the_start(tmp_path):
    async with running(tmp_path, snapshot_every=5) as log:
        for number in range(10):
            await log.propose(b"k%d=v" % number)
        await until((tmp_path / "snapshot").exists)

    class Picky(Machine):
        def prepare(self, index, records):
            raise ValueError("unknown record")

    with pytest.raises(ValueError, match="unknown record"):
        await make(tmp_path, Picky()).start()
    assert raft_threads() == []
