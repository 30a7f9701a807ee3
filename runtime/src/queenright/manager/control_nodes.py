# SPDX-License-Identifier: Apache-2.0
"""Use cases on nodes: update (role, availability, labels) and removal."""

from __future__ import annotations

import dataclasses

from queenright.decide import roles
from queenright.decide.nodes import remove_node
from queenright.manager import texts
from queenright.manager.checks import check_labels, check_values
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.departure import Departure
from queenright.model.changes import Change, Update
from queenright.model.errors import FailedPrecondition, InvalidArgument, OutOfSequence
from queenright.model.objects import Node
from queenright.model.states import NodeState
from queenright.spec.cluster import ACTIVE, DRAIN, MANAGER, PAUSE, WORKER, NodeSpec
from queenright.spec.fields import encode, keep_own


class Nodes:
    """Writes to nodes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._departure = Departure(context)

    async def update(self, ref: str, version: int, spec: NodeSpec) -> None:
        """Put another spec in force; it must be whole. Raises OutOfSequence if ``version`` is old."""
        if spec.role not in (WORKER, MANAGER):
            raise InvalidArgument(f'invalid Role: "{spec.role or ""}"', plain=True)
        if spec.availability not in (ACTIVE, PAUSE, DRAIN):
            raise InvalidArgument(f'invalid Availability: "{spec.availability or ""}"', plain=True)
        node = self._context.store.node(ref)
        if node.version != version:
            raise OutOfSequence
        await self._context.write([Update(self.changed(node, keep_own(node.spec, spec)))])

    async def remove(self, ref: str, force: bool) -> None:
        """Remove a node that has left or is lost. Its tasks are given up."""
        key = self._context.store.node(ref).id
        for attempt in range(MOST_TRIES):
            node = self._context.store.nodes.get(key)
            if node is None:
                return
            try:
                await self._context.write(self.removal(node, force))
                return
            except OutOfSequence:  # a status came in between: look again, the caller named no version
                if attempt == MOST_TRIES - 1:
                    raise

    async def leave(self, node_id: str, seconds: float = 15.0) -> None:
        """See ``Departure.leave``."""
        await self._departure.leave(node_id, seconds)

    async def rehearse_leave(self, node_id: str) -> None:
        """See ``Departure.rehearse``."""
        await self._departure.rehearse(node_id)

    async def sole_manager(self, node_id: str) -> None:
        """See ``Departure.sole_manager``."""
        await self._departure.sole_manager(node_id)

    def changed(self, node: Node, spec: NodeSpec) -> Node:
        """The node with ``spec`` in force, if that is allowed."""
        check_values(encode(spec))
        check_labels(spec.labels)
        wish = spec.role or node.role
        if wish == WORKER and roles.wish(node) == MANAGER:
            self._check_demotion(node)
        return dataclasses.replace(node, spec=spec)

    def removal(self, node: Node, force: bool) -> tuple[Change, ...]:
        """The changes that remove the node. Raises FailedPrecondition for a manager, and for a ready one unforced."""
        if self._is_member(node):
            raise FailedPrecondition(
                f"node {node.id} is a cluster manager and is a member of the raft cluster. It must be demoted to "
                "worker before removal"
            )
        if not force and node.status.state == NodeState.READY:
            raise FailedPrecondition(f"node {node.id} is not down and can't be removed")
        return tuple(remove_node(self._context.store, node, self._context.clock.wall()))

    def _check_demotion(self, node: Node) -> None:
        """Refuse what would leave no manager, or too few that answer. Raises FailedPrecondition."""
        consensus, view = self._context.consensus, self._context.store
        staying = {
            other.id for other in view.nodes.by("role", MANAGER) if roles.wish(other) == MANAGER and other.id != node.id
        }
        if consensus is None:
            if not staying:
                raise FailedPrecondition(texts.LAST_MANAGER)
            return
        members = consensus.members()
        voters = {member.id for member in members if member.voter}
        if node.id not in voters:
            return  # its promotion is called off: it does not count yet
        if not staying & voters:
            raise FailedPrecondition(texts.LAST_MANAGER)
        heard = {member.id for member in members if consensus.connected(member.id)}
        going = {key for key in voters if (other := view.nodes.get(key)) is None or roles.wish(other) != MANAGER}
        if roles.loses_quorum(voters - going, heard, node.id):
            raise FailedPrecondition(texts.LOSES_QUORUM)

    def _is_member(self, node: Node) -> bool:
        """Whether the node has a seat among the managers."""
        consensus = self._context.consensus
        if consensus is None:
            return MANAGER in (node.role, node.spec.role)
        return any(member.id == node.id for member in consensus.members())
