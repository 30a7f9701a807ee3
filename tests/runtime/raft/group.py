# SPDX-License-Identifier: Apache-2.0
"""A group of members on one event loop, with real disks and a network in memory that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from pathlib import Path

from runtime.raft.kit import Machine, until
from runtime.sealers import sealer

from queenright.edge.raft import Member, RaftLog
from queenright.wire.raft import Envelope, SnapshotHead


class Fabric:
    """Carries envelopes between members. ``cut`` holds unordered pairs that do not reach each other."""

    def __init__(self) -> None:
        self.members: dict[str, RaftLog] = {}
        self.cut: set[frozenset[str]] = set()
        self.refused: list[tuple[str, str, str]] = []
        self.snapshots = 0

    def isolate(self, *names: str) -> None:
        """Let these reach each other, and nobody else them."""
        for name in names:
            for other in self.members:
                if other not in names:
                    self.cut.add(frozenset({name, other}))

    def heal(self) -> None:
        self.cut.clear()

    def open(self, sender: str, receiver: str) -> bool:
        return frozenset({sender, receiver}) not in self.cut and receiver in self.members

    def deliver(self, sender: str, receiver: str, envelope: Envelope) -> None:
        if not self.open(sender, receiver):
            return
        refusal = self.members[receiver].reception.refusal(sender, envelope.epoch)
        if refusal is not None:
            self.refused.append((sender, receiver, refusal))
        else:
            self.members[receiver].reception.receive(sender, envelope)


class Wire:
    """One member's way into the fabric; it reaches whom it was told to, and answers whoever wrote."""

    def __init__(self, fabric: Fabric, name: str) -> None:
        self._fabric = fabric
        self._name = name
        self.reached: dict[str, str] = {}

    def reach(self, members: Mapping[str, str]) -> None:
        self.reached = dict(members)

    def send(self, member_id: str, envelope: Envelope) -> None:
        asyncio.get_running_loop().call_soon(self._fabric.deliver, self._name, member_id, envelope)

    async def send_snapshot(self, member_id: str, head: SnapshotHead, chunks: AsyncGenerator[bytes, None]) -> None:
        async with contextlib.aclosing(chunks):
            if not self._fabric.open(self._name, member_id):
                raise RuntimeError(f"{member_id} does not answer")
            await self._fabric.members[member_id].reception.receive_snapshot(self._name, head, chunks)
        self._fabric.snapshots += 1

    def connected(self, member_id: str) -> bool:
        return self._fabric.open(self._name, member_id)


class Group:
    """Members m1, m2, ... Each keeps its directory over stops and starts."""

    def __init__(self, directory: Path, **options: object) -> None:
        self.directory = directory
        self.options = options
        self.fabric = Fabric()
        self.machines: dict[str, Machine] = {}
        self.leaderships: list[tuple[str, bool, int]] = []
        self.failures: list[BaseException] = []

    def log(self, name: str) -> RaftLog:
        return self.fabric.members[name]

    def logs(self) -> list[RaftLog]:
        return list(self.fabric.members.values())

    async def start(self, name: str, *, founding: bool = False) -> RaftLog:
        self.machines[name] = machine = Machine()
        log = RaftLog(
            self.directory / name,
            name,
            machine,
            sealer=sealer(name),
            network=Wire(self.fabric, name),
            founding=founding,
            addr=f"{name}:2377",
            on_fatal=self.failures.append,
            on_leadership=lambda leads, term: self.leaderships.append((name, leads, term)),
            **self.options,  # type: ignore[arg-type]
        )
        self.fabric.members[name] = log
        await log.start()
        return log

    async def form(self, count: int) -> RaftLog:
        """``count`` voters, led by m1."""
        leader = await self.start("m1", founding=True)
        for number in range(2, count + 1):
            await self.start(f"m{number}")
            await leader.add_member(f"m{number}", f"m{number}:2377")
        return leader

    async def stop(self, name: str) -> None:
        log = self.fabric.members.pop(name)
        await log.stop()

    async def stop_all(self) -> None:
        for name in list(self.fabric.members):
            await self.stop(name)

    async def leader(self, among: Iterable[str] = ()) -> RaftLog:
        """The one that leads; waits for it."""
        names = list(among) or list(self.fabric.members)
        await until(lambda: any(self.log(name).is_leader for name in names))
        return next(self.log(name) for name in names if self.log(name).is_leader)

    def name_of(self, log: RaftLog) -> str:
        return next(name for name, member in self.fabric.members.items() if member is log)

    async def equal(self) -> None:
        """Wait until all machines hold the same, and the leader's newest entry."""
        leader = await self.leader()
        index = await leader.barrier()
        await until(lambda: all(log.applied_index >= index for log in self.logs()))
        held = [self.machines[name].data for name in self.fabric.members]
        assert all(one == held[0] for one in held)

    def voters(self, log: RaftLog) -> list[str]:
        return [member.id for member in log.members() if member.voter]


def voter(name: str) -> Member:
    return Member(name, f"{name}:2377")
