# SPDX-License-Identifier: Apache-2.0
"""Two managers without log and network: what one store takes, the other may take too; who leads is told by the test."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from runtime.api.kit import Api, Host
from runtime.manager.kit import World

from queenright.manager import texts
from queenright.manager.conflict import ConflictError
from queenright.manager.control import Control
from queenright.manager.ports import LocalState
from queenright.model.changes import Batch, Change, Create
from queenright.model.errors import Unavailable
from queenright.model.ids import IdSource
from queenright.model.objects import Node, Object
from queenright.spec.cluster import NodeSpec
from queenright.store.store import Store
from queenright.wire import messages
from queenright.wire.messages import ForwardAnswer, ForwardCall

DEADLINE = 60.0


class Seat(NamedTuple):
    """A manager in the group."""

    id: str
    addr: str
    voter: bool = True


class Group:
    """What all managers agree on: who they are, who leads, in which term."""

    def __init__(self, *seats: Seat) -> None:
        self.seats = seats
        self.leader = seats[0].id
        self.term = 3

    def elect(self, node_id: str) -> None:
        """Another leadership; the empty id: nobody leads."""
        self.leader = node_id
        self.term += 1


class Consensus:
    """The group as one manager knows it. ``blind``: it believes still what it believed; ``away``: not heard of;
    ``begins``: it was elected, and has not seen yet all that was acknowledged before.
    """

    def __init__(self, group: Group, node_id: str) -> None:
        self._group = group
        self._node_id = node_id
        self.has_quorum = True
        self.away: set[str] = set()
        self.believes: tuple[str, int] | None = None
        self.barriers = 0
        self.begins = False
        self.epoch = 0

    def _seen(self) -> tuple[str, int]:
        return self.believes or (self._group.leader, self._group.term)

    @property
    def leader_id(self) -> str | None:
        """Nobody leads whom no majority hears."""
        return (self._seen()[0] or None) if self.has_quorum else None

    @property
    def term(self) -> int:
        return self._seen()[1]

    @property
    def is_leader(self) -> bool:
        return self.leader_id == self._node_id and not self.begins

    def members(self) -> Sequence[Seat]:
        return self._group.seats

    def connected(self, member_id: str) -> bool:
        return member_id not in self.away

    def levels(self) -> Mapping[str, int]:
        return {seat.id: 1 for seat in self._group.seats}

    async def barrier(self) -> int:
        self.barriers += 1
        await asyncio.sleep(0)
        if self._group.leader != self._node_id or self.begins:
            self.believes = None
            raise Unavailable(texts.NOT_LEADER)
        return 0

    async def add_member(self, member_id: str, addr: str) -> None: ...

    async def remove_member(self, member_id: str) -> None: ...

    async def move_member(self, member_id: str, addr: str) -> None: ...

    async def transfer_leadership(self) -> None: ...


class Proposer:
    """Writes while its manager leads; one that only believes to lead finds out. ``after``: run once it wrote."""

    def __init__(self, managers: Managers, store: Store, consensus: Consensus) -> None:
        self._managers = managers
        self._store = store
        self._consensus = consensus
        self.after: list[Callable[[], None]] = []

    @property
    def is_leader(self) -> bool:
        return self._consensus.is_leader

    async def propose(self, changes: Sequence[Change]) -> int:
        await self._consensus.barrier()
        self._managers.write(self._store, *changes)
        if self.after:
            self.after.pop(0)()
        return self._store.index

    async def barrier(self) -> int:
        return await self._consensus.barrier()


class Way:
    """Fulfils ``Forwarder``: through the wire's form to whichever manager leads.

    ``before`` and ``after`` are run ahead of the next calls and ahead of their answers, and may raise.
    """

    def __init__(self, managers: Managers) -> None:
        self._managers = managers
        self.calls: list[ForwardCall] = []
        self.before: list[Callable[[], Awaitable[None]]] = []
        self.after: list[Callable[[], Awaitable[None]]] = []

    async def forward(self, call: ForwardCall) -> ForwardAnswer:
        self.calls.append(call)
        if self.before:
            await self.before.pop(0)()
        leader = self._managers.by_id.get(self._managers.group.leader)
        if leader is None:
            raise Unavailable("no manager leads")
        request = messages.read_forward_request(messages.forward_request(call))
        answer = await leader.api.routes.gateway.forward(request)
        if self.after:
            await self.after.pop(0)()
        return messages.read_forward_response(messages.forward_response(answer))


class Manager:
    """One manager: its store, its use cases, its routes."""

    def __init__(self, managers: Managers, world: World, node_id: str, addr: str, store: Store, name: str) -> None:
        self.node_id = node_id
        self.store = store
        self.consensus = Consensus(managers.group, node_id)
        self.way = Way(managers)
        self.proposer = Proposer(managers, store, self.consensus)
        context = dataclasses.replace(
            world.context,
            store=store,
            proposer=self.proposer,
            consensus=self.consensus,
        )
        self.control = Control(context, type(world.control.authority)(context, world.certificates))
        self.state = LocalState(
            state="active",
            role="manager",
            node_id=node_id,
            node_addr=addr.split(":", maxsplit=1)[0],
            cluster_id=context.cluster.id,
            managers=tuple((seat.id, seat.addr) for seat in managers.group.seats),
        )
        names = iter(range(1000))
        self.host = Host(self.state, self)  # type: ignore[arg-type]
        self.api = Api(self.host, forwarder=self.way, ids=lambda: f"{name}-{next(names)}")


class Managers:
    """``first`` leads at the start; what is written reaches the others at once unless ``flowing`` is False."""

    def __init__(self) -> None:
        world = World.make()
        joined: Node = world.put(
            Node(
                id=IdSource(lambda count: b"\x01" * count)(),
                spec=NodeSpec(role="manager", availability="active"),
                role="manager",
                manager_addr="192.0.2.2:2377",
            )
        )
        world.describe(joined.id, "king")
        self.world = world
        self.group = Group(Seat(world.manager_id, "192.0.2.1:2377"), Seat(joined.id, "192.0.2.2:2377"))
        self.first = Manager(self, world, world.manager_id, "192.0.2.1:2377", world.store, "first")
        self.second = Manager(self, world, joined.id, "192.0.2.2:2377", copy_of(world.store), "second")
        self.by_id = {manager.node_id: manager for manager in (self.first, self.second)}
        self.flowing = True
        self.written = asyncio.Event()
        self._held: list[tuple[Store, int, Batch]] = []

    def write(self, store: Store, *changes: Change) -> None:
        batch = Batch(self.world.clock.wall(), tuple(changes))
        self.written.set()
        index = store.index + 1
        conflict = store.apply(index, batch)
        for manager in self.by_id.values():
            if manager.store is not store:
                self._held.append((manager.store, index, batch))
        if self.flowing:
            self.flow()
        if conflict is not None:
            raise ConflictError(conflict)

    def flow(self) -> None:
        """The others take what was written."""
        for store, index, batch in self._held:
            store.apply(index, batch)
        self._held.clear()

    def cut_off(self, manager: Manager) -> None:
        """The manager hears of no majority."""
        manager.consensus.has_quorum = False
        manager.consensus.believes = ("", self.group.term)
        manager.host.state = dataclasses.replace(manager.state, has_quorum=False, stale=True)


def copy_of(store: Store) -> Store:
    """A store with the same objects in the same versions."""
    found = Store()
    versions: dict[int, list[Object]] = defaultdict(list)
    for table in (store.clusters, store.nodes, store.services, store.tasks, store.tickets):
        for value in table:
            versions[value.version].append(value)
    for version in sorted(versions):
        values = versions[version]
        conflict = found.apply(version, Batch(values[0].updated_at, tuple(Create(value) for value in values)))
        assert conflict is None
    found.index = store.index
    return found
