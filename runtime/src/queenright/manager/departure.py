# SPDX-License-Identifier: Apache-2.0
"""How managers go: one that leaves by force, and all that a forced new cluster has left behind."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from queenright.decide import roles
from queenright.decide.nodes import moved
from queenright.manager import slices, texts
from queenright.manager.context import MOST_TRIES, Context
from queenright.model.changes import Update
from queenright.model.errors import FailedPrecondition, NotFound, OutOfSequence, Unavailable
from queenright.model.objects import Node
from queenright.model.states import NodeState
from queenright.spec.cluster import MANAGER, WORKER

LOOK = 0.1  # seconds between two looks at the group, whose changes are no commits of the store


class Departure:
    """Use cases on managers that go."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def leave(self, node_id: str, seconds: float) -> None:
        """Let a manager go that leaves: it becomes a worker, loses its seat, and is down. For the leader.

        Returns when it is done. Raises FailedPrecondition where the group would lose its quorum by it (a manager that
        leaves by force goes all the same), Unavailable after ``seconds``, or when leadership went elsewhere: then the
        present leader is to be asked; so does a leader that lets itself go.
        """
        consensus = self._context.consensus
        self._check_last(node_id)
        await self._write(node_id, _demoted)
        try:
            async with asyncio.timeout(seconds):
                while not self._is_out(node_id):
                    if consensus is not None and not self._context.proposer.is_leader:
                        raise texts.no_leader(consensus.leader_id)
                    self._check_quorum(node_id)
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            node = self._context.store.nodes.get(node_id)
            why = f": {node.status.message}" if node is not None and node.status.message else ""
            raise Unavailable(f"node {node_id} did not lose its seat among the managers in time{why}") from None
        await self._write(node_id, lambda node: _gone(node, self._context.clock.wall()))

    async def rehearse(self, node_id: str) -> None:
        """What :meth:`leave` writes, for a dry run: nobody loses its seat in one, so that is not waited for."""
        self._check_last(node_id)
        self._check_quorum(node_id)
        await self._write(node_id, _demoted)
        await self._write(node_id, lambda node: _gone(node, self._context.clock.wall()))

    async def sole_manager(self, node_id: str) -> None:
        """After a new cluster was forced on ``node_id``: no other node is a manager any more, in one entry.

        Those that come back find that they are workers.
        """
        for attempt in range(MOST_TRIES):
            others = [
                node
                for node in self._context.store.nodes
                if node.id != node_id and MANAGER in (node.role, roles.wish(node))
            ]
            try:
                await slices.write(self._context.proposer, [Update(_forced(node)) for node in others])
                return
            except OutOfSequence:
                if attempt == MOST_TRIES - 1:
                    raise

    def _is_out(self, node_id: str) -> bool:
        node, consensus = self._context.store.nodes.get(node_id), self._context.consensus
        seats = {member.id for member in consensus.members()} if consensus is not None else set()
        return node_id not in seats and (node is None or node.role == WORKER)

    def _check_last(self, node_id: str) -> None:
        """With the last manager the swarm ends: there is nothing to be taken over, and nobody to do it."""
        consensus = self._context.consensus
        if consensus is None or {member.id for member in consensus.members() if member.voter} <= {node_id}:
            raise FailedPrecondition(texts.LAST_MANAGER)

    def _check_quorum(self, node_id: str) -> None:
        """Nobody waits for what cannot come about."""
        consensus = self._context.consensus
        members = consensus.members() if consensus is not None else ()
        voters = {member.id for member in members if member.voter}
        heard = {member.id for member in members if consensus is not None and consensus.connected(member.id)}
        if node_id in voters and roles.loses_quorum(voters, heard, node_id):
            raise FailedPrecondition(texts.LOSES_QUORUM)

    async def _write(self, node_id: str, change: Callable[[Node], Node]) -> None:
        for attempt in range(MOST_TRIES):
            node = self._context.store.nodes.get(node_id)
            if node is None:
                raise NotFound(f"node {node_id} not found", plain=True)
            after = change(node)
            if after == node:
                return
            try:
                await self._context.write([Update(after)])
                return
            except OutOfSequence:
                if attempt == MOST_TRIES - 1:
                    raise


def _demoted(node: Node) -> Node:
    return dataclasses.replace(node, spec=dataclasses.replace(node.spec, role=WORKER))


def _gone(node: Node, at: int) -> Node:
    return dataclasses.replace(node, status=moved(node.status, NodeState.DOWN, texts.LEFT, at))


def _forced(node: Node) -> Node:
    return dataclasses.replace(_demoted(node), role=WORKER, manager_addr="")
