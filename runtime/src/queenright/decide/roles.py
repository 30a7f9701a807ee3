# SPDX-License-Identifier: Apache-2.0
"""From the roles that nodes shall have to the next steps that make the raft group so.

A node whose role is manager is taken into the group where it says it is reached; one that shall be a worker, or is no
more, is taken out first and then loses the role. Steps come in the order in which they are worth trying; one at a time
is taken, and everything is decided anew after it. A step that could cost the group its quorum is not among them: why
not stands in ``problems``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Protocol

from queenright.model.changes import Change, Update
from queenright.model.objects import Node
from queenright.spec.cluster import MANAGER, WORKER
from queenright.store.store import Store

LAST = "it is the last manager: promote another node first"
QUORUM = "without it too few of the managers that are left would answer: bring another manager back, or promote a node"
NOBODY_TO_LEAD = "it leads the swarm and no other manager answers that could"
NO_ADDRESS = "it has not said where it is reached as a manager"


class Seat(Protocol):
    """A member of the raft group; its id is the node's."""

    @property
    def id(self) -> str: ...

    @property
    def addr(self) -> str: ...

    @property
    def voter(self) -> bool: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """The raft group as its leader knows it; ``answering`` are the ids of members that it hears."""

    leader_id: str
    members: tuple[Seat, ...]
    answering: frozenset[str] = frozenset()

    @property
    def voters(self) -> frozenset[str]:
        return frozenset(seat.id for seat in self.members if seat.voter)

    @property
    def heard(self) -> frozenset[str]:
        """Those that answer; the leader hears itself."""
        return self.answering | {self.leader_id}


@dataclasses.dataclass(frozen=True, slots=True)
class Add:
    """Take a node into the group, or go on with one that still catches up."""

    node_id: str
    addr: str


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """Reach a member elsewhere."""

    node_id: str
    addr: str


@dataclasses.dataclass(frozen=True, slots=True)
class Remove:
    """Take a member out of the group."""

    node_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Transfer:
    """Hand leadership over: the member to be removed is the leader, ``node_id``."""

    node_id: str


Step = Add | Move | Remove | Transfer


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they are to be tried, changes that can be written now, and, by node id, why
    something that is wished cannot be yet.
    """

    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()
    problems: dict[str, str] = dataclasses.field(default_factory=dict)


def wish(node: Node) -> str:
    """The role that the node shall have."""
    return node.spec.role or node.role


def loses_quorum(voters: Collection[str], heard: Collection[str], leaving: str) -> bool:
    """Whether the group without ``leaving`` would have too few voters that answer."""
    left = set(voters) - {leaving}
    return len(left & set(heard)) < len(left) // 2 + 1


def decide(view: Store, group: Group) -> Plan:
    """Compare the nodes' roles with the group."""
    problems: dict[str, str] = {}
    seats = {seat.id: seat for seat in group.members}
    steps = [*_moves(view, seats), *_additions(view, seats, problems)]
    removals = [step for seat in group.members if (step := _removal(view, group, seat, problems)) is not None]
    silent = [step for step in removals if isinstance(step, Remove) and step.node_id not in group.heard]
    present = [step for step in removals if step not in silent]
    # What does not answer only costs: it goes first. Who answers stays until the others have come.
    return Plan((*silent, *steps, *sorted(present, key=_last)), tuple(_demotions(view, seats)), problems)


def _moves(view: Store, seats: dict[str, Seat]) -> list[Step]:
    found: list[Step] = []
    for key, seat in sorted(seats.items()):
        node = view.nodes.get(key)
        if node is not None and _belongs(node) and node.manager_addr and node.manager_addr != seat.addr:
            found.append(Move(key, node.manager_addr))
    return found


def _additions(view: Store, seats: dict[str, Seat], problems: dict[str, str]) -> list[Step]:
    found: list[Step] = []
    for node in _sorted(view.nodes.by("role", MANAGER)):
        seat = seats.get(node.id)
        if not _belongs(node) or (seat is not None and seat.voter):
            continue
        if node.manager_addr:
            found.append(Add(node.id, node.manager_addr))
        else:
            problems[node.id] = f"cannot become a manager: {NO_ADDRESS}"
    return found


def _removal(view: Store, group: Group, seat: Seat, problems: dict[str, str]) -> Step | None:
    """The step that takes a member out that is to go; None for one that stays, or cannot go now."""
    node = view.nodes.get(seat.id)
    if node is not None and _belongs(node):
        return None
    if not group.voters - {seat.id}:
        problems[seat.id] = f"cannot be removed from the managers: {LAST}"
        return None
    if seat.voter and loses_quorum(group.voters, group.heard, seat.id):
        problems[seat.id] = f"cannot be removed from the managers: {QUORUM}"
        return None
    if seat.id != group.leader_id:
        return Remove(seat.id)
    if not group.voters & group.heard - {seat.id}:
        problems[seat.id] = f"cannot be removed from the managers: {NOBODY_TO_LEAD}"
        return None
    return Transfer(seat.id)


def _demotions(view: Store, seats: dict[str, Seat]) -> list[Change]:
    """Nodes that shall be workers and are out of the group lose the role."""
    return [
        Update(dataclasses.replace(node, role=WORKER, manager_addr=""))
        for node in _sorted(view.nodes.by("role", MANAGER))
        if wish(node) != MANAGER and node.id not in seats
    ]


def _belongs(node: Node) -> bool:
    """Whether the node shall be in the group: it has the role, and nobody wants to take it away."""
    return node.role == MANAGER and wish(node) == MANAGER


def _last(step: Step) -> bool:
    """Handing leadership over comes after all that this leader can still do."""
    return isinstance(step, Transfer)


def _sorted(nodes: Sequence[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: node.id)
