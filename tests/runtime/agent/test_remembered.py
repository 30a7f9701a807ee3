# SPDX-License-Identifier: Apache-2.0
"""A starting node reads what it remembers of its networks step by step, and can be stopped while it does."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from collections.abc import AsyncIterator

import pytest

from queenright.agent import dataplane
from queenright.agent.dataplane import Dataplane
from queenright.agent.remembered import Remembered
from queenright.model.mesh_rows import Row
from tests.runtime.agent.kit import FakeEngine, Node, until
from tests.runtime.agent.mesh_kit import MeshNode, face_row, link_row, mesh_node, task_row, whole

ROWS = [task_row(f"u{number}", addresses=(f"10.0.1.{number + 20}",)) for number in range(50)]


@pytest.fixture
async def node(tmp_path: pathlib.Path) -> AsyncIterator[MeshNode]:
    """One that was told of fifty tasks, and of their network last."""
    async with mesh_node(tmp_path) as made:
        made.plane._memory.keep([*ROWS, face_row(), link_row()], [], in_use=True)
        await made.stop()
        yield made


class Turns:
    """How often others got their turn on the loop."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_others_get_their_turn_while_it_reads(node: MeshNode, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.start()
    await node.stop()
    taken: list[tuple[int, Row]] = []
    turns = Turns()
    memory = Remembered(node.database)
    await asyncio.sleep(0)
    await memory.recall(lambda row: taken.append((turns.count, row)), 5)
    await turns.end()
    assert {row.key for _, row in taken} == {row.key for row in (*ROWS, face_row(), link_row())}
    assert taken[0][1] == link_row(), "what follows is of use only with it"
    when = [count for count, _ in taken]
    assert max(when.count(count) for count in when) == 5
    assert memory.in_use


async def test_nothing_is_made_of_a_part_of_it(node: MeshNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataplane, "FEW", 5)
    await node.start()
    await until(lambda: bool(node.kernel.pictures))
    assert {len(picture.overlays[0].balanced[0].backends) for picture in node.kernel.pictures} == {50}
    assert node.names.answer("n", "10.0.1.20", "web.1.u7", "A").values == ("10.0.1.27",)


@pytest.mark.parametrize("after", [0, 1, 5, 10])
async def test_it_can_be_given_up_at_any_step_and_nobody_waits(
    node: MeshNode, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(dataplane, "FEW", 5)
    starting = asyncio.create_task(node.start())
    plane: list[Dataplane] = []
    recalled = Dataplane._recalled

    def counted(self: Dataplane, row: Row) -> None:
        recalled(self, row)
        plane.append(self)
        if len(plane) == 5 * after + 1:
            starting.cancel()

    monkeypatch.setattr(Dataplane, "_recalled", counted)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(starting, 30)
    assert node.loads == 0, "nothing has begun"
    await asyncio.wait_for(node.plane.leave(), 30)
    await asyncio.wait_for(node.stop(), 30)
    monkeypatch.setattr(Dataplane, "_recalled", recalled)
    await node.start()
    await until(lambda: set(node.kernel.has) == {"n"})


async def test_what_cannot_be_read_or_taken_keeps_nobody_from_the_rest(node: MeshNode) -> None:
    await node.start()
    await node.database.flush()
    node.database.put_rows({"n/u1": b"\xff\xff", "n/strange": b""})
    node.plane._memory.keep([task_row("u2", addresses=("no address",), node_id="there")], [], in_use=True)
    await node.stop()
    node.kernel.pictures.clear()
    await node.start()
    await until(lambda: bool(node.kernel.pictures))
    [balanced] = node.kernel.pictures[0].overlays[0].balanced
    assert len({backend.task_id for backend in balanced.backends} & {row.holder for row in ROWS}) >= 48
    link = await node.connect()
    link.told.put_nowait(whole(*ROWS, face_row(), link_row()))
    await until(lambda: node.plane.state.applied == "1", "what was told makes it whole")
    [balanced] = node.kernel.has["n"].balanced
    assert [backend.task_id for backend in balanced.backends] == sorted(row.task_id for row in ROWS)


class Stuck:
    """A mesh that reads for ever."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()

    async def start(self) -> None:
        self.reading.set()
        await asyncio.Event().wait()

    async def stop(self) -> None: ...


async def test_a_worker_that_is_given_up_while_networks_are_read_leaves_no_thread(tmp_path: pathlib.Path) -> None:
    node = Node(FakeEngine(), tmp_path)
    mesh = Stuck()
    begun = asyncio.create_task(node.start_with(mesh))
    await asyncio.wait_for(mesh.reading.wait(), 30)
    begun.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(begun, 30)
    assert [thread for thread in threading.enumerate() if thread.name == "agent-db"] == []
