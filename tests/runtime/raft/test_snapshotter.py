# SPDX-License-Identifier: Apache-2.0
"""When snapshots are written, and when none may be."""

from __future__ import annotations

import asyncio
import threading

import pytest
from runtime.raft.kit import raft_threads, until

from queenright.edge.raft.background import in_thread
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.members import Config, Member
from queenright.edge.raft.snapshot import open_snapshot
from queenright.edge.raft.snapshotter import Snapshotter

ALONE = Config.of([Member("m1", "h1:2377")], epoch=2)


def snapshotter(path, done=None):
    loop = asyncio.get_running_loop()
    return Snapshotter(
        Disk(),
        path,
        10,
        lambda: 0.0,
        loop.call_soon_threadsafe,
        done=(done if done is not None else []).append,
        broken=lambda error: pytest.fail(str(error)),
    )


async def test_a_snapshot_carries_the_members_it_was_given(tmp_path):
    done = []
    writer = snapshotter(tmp_path / "snapshot", done)
    writer.begin(12, 3, ALONE, 0, lambda: iter([b"x"]))
    await writer.idle.wait()
    assert open_snapshot(tmp_path / "snapshot") == done[0]
    assert done[0].config == ALONE


async def test_while_it_is_held_none_is_begun_and_the_one_under_way_is_given_up(tmp_path):
    done = []
    writer = snapshotter(tmp_path / "snapshot", done)
    gate = threading.Event()

    def records():
        yield b"one"
        assert gate.wait(60)
        yield b"two"

    writer.begin(12, 3, ALONE, 0, records)
    assert not writer.due(99, 0)
    holding = asyncio.create_task(writer.hold())
    await asyncio.sleep(0)
    assert not holding.done()
    gate.set()
    await holding
    assert (done, list(tmp_path.iterdir())) == ([], [])
    assert not writer.due(99, 0)
    await writer.hold()
    writer.release()
    assert not writer.due(99, 0), "it is held twice"
    writer.release()
    assert writer.due(99, 0)
    writer.begin(20, 3, ALONE, 0, lambda: iter([b"x"]))
    await writer.idle.wait()
    assert [one.index for one in done] == [20]
    assert (writer.due(29, 0), writer.due(30, 0)) == (False, True)


async def test_after_an_installed_snapshot_the_next_one_counts_from_it(tmp_path):
    done = []
    writer = snapshotter(tmp_path / "snapshot", done)
    writer.begin(12, 3, ALONE, 0, lambda: iter([b"x"]))
    await writer.idle.wait()
    writer.found(done[0])
    assert (writer.due(21, 0), writer.due(22, 0)) == (False, True)


# A call in a thread of its own.


async def test_a_call_in_a_thread_gives_what_it_gave_or_raised():
    assert await in_thread("raft-test", lambda: threading.current_thread().name) == "raft-test"

    def failing():
        raise KeyError("what")

    with pytest.raises(KeyError, match="what"):
        await in_thread("raft-test", failing)
    await until(lambda: raft_threads() == [])


async def test_a_cancelled_call_goes_on_to_its_end_alone():
    gate, ended = threading.Event(), []

    def call():
        assert gate.wait(60)
        ended.append(True)

    task = asyncio.create_task(in_thread("raft-test", call))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await until(lambda: ended)
    await until(lambda: raft_threads() == [])
