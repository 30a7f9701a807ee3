# SPDX-License-Identifier: Apache-2.0
"""Roles, leadership and the real raft group together: managers in one process, real logs, a network in memory."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from runtime.manager.kit import Certificates, Clock, dice
from runtime.raft.group import Fabric, Wire
from runtime.raft.kit import until
from runtime.sealers import sealer

from queenright.app.logbook import Logbook
from queenright.edge.raft import RaftLog
from queenright.manager.authority import Authority
from queenright.manager.context import Context
from queenright.manager.control import Control
from queenright.manager.dispatch import Dispatcher
from queenright.manager.founding import found, settings_of
from queenright.manager.leading import Leading
from queenright.manager.ports import InitOptions
from queenright.manager.proposer import LogProposer, StoreMachine
from queenright.model.changes import Create, Update
from queenright.model.errors import NotLeading, Refusal, Unavailable
from queenright.model.ids import IdSource
from queenright.model.objects import Node, NodeDescription
from queenright.spec.cluster import MANAGER, WORKER, NodeSpec
from queenright.store.store import Store

pytestmark = pytest.mark.group


class Manager:
    """One manager without its ports and agent."""

    def __init__(self, swarm: Swarm, node_id: str, *, founding: bool) -> None:
        self.id = node_id
        self.store = Store()
        wire = Wire(swarm.fabric, node_id)
        self.log = RaftLog(
            swarm.directory / node_id,
            node_id,
            StoreMachine(self.store),
            sealer=sealer(node_id),
            network=wire,
            founding=founding,
            addr=f"{node_id}:2377",
            on_fatal=swarm.failures.append,
            on_leadership=self._on_leadership,
            on_members=lambda members: self.leading.members_changed(),
        )
        self.book = Logbook(self.log, node_id, wire.connected)
        self.proposer = LogProposer(self.book, swarm.clock, self.book)
        context = Context(self.store, self.proposer, swarm.clock, swarm.ids, self.book)
        self.control = Control(context, Authority(context, Certificates()))
        self.dispatcher = Dispatcher(self.store, self.proposer, swarm.clock, swarm.ids, node_id=node_id)
        self.leading = Leading(
            context,
            self.book,
            self.proposer,
            self.dispatcher,
            node_id,
            dice=lambda: 0.5,
            on_failure=lambda name, error: swarm.failures.append(error),
        )

    def _on_leadership(self, leads: bool, term: int) -> None:
        self.leading.changed(leads, term)

    def role(self, node_id: str) -> str:
        node = self.store.nodes.get(node_id)
        return node.role if node is not None else ""

    def voters(self) -> set[str]:
        return {member.id for member in self.log.members() if member.voter}

    async def stop(self) -> None:
        await self.leading.stop()
        await self.log.stop()


class Swarm:
    """Managers by id; ids are as long as they are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fabric = Fabric()
        self.clock = Clock()
        self.ids = IdSource(dice())
        self.managers: dict[str, Manager] = {}
        self.failures: list[BaseException] = []
        self.first = ""

    async def found(self) -> Manager:
        founding = found(
            settings_of(InitOptions()),
            certificates=Certificates(),
            ids=self.ids,
            csr=b"key:first",
            control_addr="first:2377",
            now=self.clock.wall(),
        )
        self.first = founding.node.id
        manager = await self.start(self.first, founding=True)
        await manager.proposer.propose(founding.changes)
        return manager

    async def start(self, node_id: str, *, founding: bool = False) -> Manager:
        manager = self.managers[node_id] = Manager(self, node_id, founding=founding)
        self.fabric.members[node_id] = manager.log
        await manager.log.start()
        return manager

    async def stop(self, node_id: str) -> None:
        del self.fabric.members[node_id]
        await self.managers.pop(node_id).stop()

    async def leader(self, *without: str) -> Manager:
        """The one whose leadership's parts run."""
        await until(lambda: any(self._leads(manager, without) for manager in self.managers.values()))
        return next(manager for manager in self.managers.values() if self._leads(manager, without))

    @staticmethod
    def _leads(manager: Manager, without: tuple[str, ...]) -> bool:
        return manager.id not in without and manager.log.is_leader and manager.leading.term == manager.log.term

    async def join(self) -> str:
        """Another manager: its node as the authority makes it, its log empty."""
        node_id = self.ids()
        node = Node(id=node_id, spec=NodeSpec(role=MANAGER), role=MANAGER, manager_addr=f"{node_id}:2377")
        await self.start(node_id)
        leader = await self.leader()
        await leader.proposer.propose([Create(node)])
        await until(lambda: node_id in leader.voters())
        return node_id

    async def wish(self, node_id: str, role: str) -> None:
        """By the use case, wherever the leader is."""
        async with asyncio.timeout(60):
            while True:
                leader = await self.leader()
                node = leader.store.node(node_id)
                try:
                    await leader.control.nodes.update(node_id, node.version, NodeSpec(role=role, availability="active"))
                except Unavailable:
                    await asyncio.sleep(0.01)
                else:
                    return

    async def all_see(self, condition: Callable[[Manager], bool], *without: str) -> None:
        await until(lambda: all(condition(m) for key, m in self.managers.items() if key not in without))


@pytest.fixture
async def swarm(tmp_path: Path) -> AsyncIterator[Swarm]:
    made = Swarm(tmp_path)
    await made.found()
    yield made
    for node_id in list(made.managers):
        await made.stop(node_id)
    assert made.failures == []


async def test_managers_join_by_their_role_alone_and_hold_the_same(swarm: Swarm) -> None:
    joined = {swarm.first, await swarm.join(), await swarm.join()}
    await swarm.all_see(lambda manager: manager.voters() == joined)
    await swarm.all_see(lambda manager: {node.id for node in manager.store.nodes.by("role", MANAGER)} == joined)
    pictures = [list(manager.store.freeze()()) for manager in swarm.managers.values()]
    assert pictures[0] == pictures[1] == pictures[2]
    assert [manager.leading.term for manager in swarm.managers.values()].count(None) == 2, "one of them leads"


async def test_a_promotion_waits_for_a_manager_that_does_not_run_yet_and_says_so(swarm: Swarm) -> None:
    leader = await swarm.leader()
    late = swarm.ids()
    node = Node(id=late, spec=NodeSpec(role=MANAGER), role=MANAGER, manager_addr="late:2377")
    await leader.proposer.propose([Create(node)])
    await until(lambda: "nothing answers there" in leader.store.node(late).status.message)
    other = await swarm.join()
    assert other in leader.voters(), "nobody else waits for it"
    await swarm.start(late)
    await until(lambda: late in leader.voters() and not leader.store.node(late).status.message)


async def test_the_leader_is_demoted_and_the_next_one_finishes_it(swarm: Swarm) -> None:
    others = {await swarm.join(), await swarm.join()}
    await swarm.wish(swarm.first, WORKER)
    leader = await swarm.leader(swarm.first)
    await until(lambda: leader.role(swarm.first) == WORKER)
    assert leader.voters() == others
    assert leader.store.node(swarm.first).manager_addr == ""
    with pytest.raises(NotLeading):
        await swarm.managers[swarm.first].dispatcher.open(leader.id, NodeDescription(), "")
    await swarm.all_see(lambda manager: manager.role(swarm.first) == WORKER, swarm.first)


async def test_a_demoted_manager_is_promoted_again(swarm: Swarm) -> None:
    node_id = await swarm.join()
    await swarm.join()
    await swarm.wish(node_id, WORKER)
    leader = await swarm.leader()
    await until(lambda: leader.role(node_id) == WORKER)
    await swarm.stop(node_id)
    await swarm.wish(node_id, MANAGER)
    node = leader.store.node(node_id)
    await leader.proposer.propose([Update(dataclasses.replace(node, role=MANAGER, manager_addr=f"{node_id}:2377"))])
    for path in sorted((swarm.directory / node_id).rglob("*"), reverse=True):
        path.unlink()  # as its host does when it becomes a worker
    await swarm.start(node_id)
    await until(lambda: node_id in leader.voters())
    await swarm.all_see(lambda manager: manager.role(node_id) == MANAGER)


async def test_a_leader_that_is_cut_off_ends_its_work_and_the_others_go_on(swarm: Swarm) -> None:
    await swarm.join()
    await swarm.join()
    old = await swarm.leader()
    node = old.store.node(swarm.first)
    session = await old.dispatcher.open(node.id, NodeDescription(hostname="one"), "10.0.0.1")
    fenced = old.proposer.fenced(old.log.term)
    swarm.fabric.isolate(old.id)
    late = asyncio.create_task(fenced.propose([Create(Node(id=swarm.ids()))]))
    new = await swarm.leader(old.id)
    await until(lambda: old.leading.term is None)
    assert session.closed
    with pytest.raises(Refusal):
        await late
    with pytest.raises(Unavailable, match="The swarm does not have a leader"):
        await old.control.fresh()
    await new.proposer.propose([Create(Node(id=swarm.ids()))])
    swarm.fabric.heal()
    await until(lambda: old.log.leader_id == new.id)
    await swarm.all_see(lambda manager: set(manager.store.nodes.ids()) == set(new.store.nodes.ids()))
    with pytest.raises(Unavailable):
        await fenced.propose([Create(Node(id=swarm.ids()))])


async def test_a_leader_that_leaves_is_let_go_by_the_one_after_it(swarm: Swarm) -> None:
    others = {await swarm.join(), await swarm.join()}
    with pytest.raises(Unavailable, match="leader"):
        await swarm.managers[swarm.first].control.nodes.leave(swarm.first)
    leader = await swarm.leader(swarm.first)
    await leader.control.nodes.leave(swarm.first)
    left = leader.store.node(swarm.first)
    assert (left.role, left.status.state.value, left.status.message) == (WORKER, "down", "node left the swarm")
    assert leader.voters() == others


async def test_a_dead_manager_is_demoted_and_removed_but_not_when_that_costs_the_quorum(swarm: Swarm) -> None:
    dead, alive = await swarm.join(), await swarm.join()
    await swarm.stop(dead)
    leader = await swarm.leader()
    await until(lambda: not leader.book.connected(dead))
    with pytest.raises(Refusal, match="loss of quorum"):
        await swarm.wish(alive, WORKER)
    await swarm.wish(dead, WORKER)
    await until(lambda: leader.role(dead) == WORKER)
    await leader.control.nodes.remove(dead, force=True)
    assert leader.voters() == {swarm.first, alive}
