# SPDX-License-Identifier: Apache-2.0
"""Real logs that agree over real connections."""

from __future__ import annotations

import asyncio
import datetime
import pathlib
from collections.abc import AsyncIterator

import pytest
from runtime.raft.kit import Machine
from runtime.sealers import sealer

from queenright.edge.pki.authority import create_root
from queenright.edge.raft import RaftError, RaftLog

from .kit import Identity
from .members import PATIENCE, A, B, C, Member, until

pytestmark = pytest.mark.group


class Group:
    """Managers by id; the first one founds the group."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.root = create_root(datetime.datetime.now(datetime.UTC))
        self.members: dict[str, Member] = {}
        self.logs: dict[str, RaftLog] = {}
        self.machines: dict[str, Machine] = {}

    async def start(self, node_id: str) -> None:
        """Start a member, or start it again at its old address."""
        earlier = self.members.get(node_id)
        member = self.members[node_id] = Member(self.root, node_id)
        self.machines[node_id] = Machine()
        if earlier is not None:
            member.port, member.identity = earlier.port, earlier.identity
        else:
            await member.listen()  # for the port
            await member.deaf()
        member.peers = member.make_peers(member.addr)
        self.logs[node_id] = raft = RaftLog(
            self.folder / node_id,
            node_id,
            self.machines[node_id],
            sealer=sealer(node_id),
            network=member.peers,
            founding=node_id == A,
            addr=member.addr,
            snapshot_every=200,
            keep_entries=20,
            on_fatal=lambda error: None,
        )
        member.raft = raft.reception
        await member.listen()
        await self.logs[node_id].start()

    async def stop(self, node_id: str) -> None:
        await self.members[node_id].deaf()
        await self.logs[node_id].stop()
        await self.members[node_id].peers.close()

    async def leader(self) -> RaftLog:
        await until(lambda: any(log.is_leader for log in self.logs.values()))
        return next(log for log in self.logs.values() if log.is_leader)

    async def write(self, *keys: str, fill: int = 0) -> None:
        """Until each is taken by whoever leads."""
        for key in keys:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        await (await self.leader()).propose(f"{key}=".encode() + bytes(fill))
                        break
                    except RaftError:
                        await asyncio.sleep(0.02)

    async def equal(self, *ids: str) -> None:
        await until(lambda: len({str(self.machines[node_id].data) for node_id in ids}) == 1)


@pytest.fixture
async def group(tmp_path: pathlib.Path) -> AsyncIterator[Group]:
    made = Group(tmp_path)
    await made.start(A)
    yield made
    for node_id in made.members:
        await made.stop(node_id)


async def three(group: Group) -> None:
    for node_id in (B, C):
        await group.start(node_id)
        async with asyncio.timeout(PATIENCE):
            await (await group.leader()).add_member(node_id, group.members[node_id].addr)


async def test_three_managers_agree_and_outlive_their_leader(group: Group) -> None:
    await three(group)
    await group.write("a", "b")
    await group.equal(A, B, C)
    await group.stop(A)
    del group.logs[A]
    await group.write("c")
    assert (await group.leader()).leader_id in (B, C)
    await group.start(A)
    await group.equal(A, B, C)
    assert set(group.machines[A].data) == {b"a", b"b", b"c"}


async def test_a_manager_that_comes_late_gets_a_snapshot_by_the_wire(group: Group) -> None:
    await asyncio.gather(*(group.write(f"key{number}", fill=5000) for number in range(600)))
    await three(group)
    await group.equal(A, B, C)
    assert group.machines[B].restored_at > 0
    assert len(group.machines[C].data) == 600


async def test_writes_go_on_while_the_certificates_change_and_the_leadership_moves(group: Group) -> None:
    await three(group)
    for round_number in range(3):
        for node_id, member in group.members.items():
            member.identity = Identity(group.root, node_id, "manager")
            writes = asyncio.gather(*(group.write(f"{round_number}{node_id}{number}") for number in range(20)))
            async with asyncio.timeout(PATIENCE):
                await member.peers.renew()
                await writes
        async with asyncio.timeout(PATIENCE):
            await (await group.leader()).transfer_leadership()
    await group.equal(A, B, C)
    assert len(group.machines[A].data) == 180


async def test_a_removed_manager_is_told_so(group: Group) -> None:
    await three(group)
    leader = await group.leader()
    async with asyncio.timeout(PATIENCE):
        await leader.remove_member(C)
    await group.write("a")
    await until(lambda: any("no longer" in text for _, text in group.members[C].refused))
    await group.equal(A, B)
    assert b"a" not in group.machines[C].data
