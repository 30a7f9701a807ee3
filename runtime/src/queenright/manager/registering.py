# SPDX-License-Identifier: Apache-2.0
"""What a node that opens a session is written down as, and how often it may."""

from __future__ import annotations

import dataclasses

from queenright.decide.nodes import moved
from queenright.manager.ports import Clock, Proposer
from queenright.model.changes import Update
from queenright.model.errors import NotFound, OutOfSequence, Unavailable
from queenright.model.objects import NodeDescription
from queenright.model.states import NodeState
from queenright.store.store import Store

MOST_SESSIONS = 12  # that a node may open one after the other
SESSION_EVERY = 1.0  # seconds in which it may open one more
CONFLICT_TRIES = 20


class Registrar:
    """One for each leadership, with its proposer."""

    def __init__(self, store: Store, proposer: Proposer, clock: Clock) -> None:
        self._store = store
        self._proposer = proposer
        self._clock = clock
        self._credit: dict[str, tuple[float, float]] = {}  # by node: sessions that it may open as of a time

    def limit_rate(self, node_id: str) -> None:
        """Raises Unavailable for a node that opened too many sessions lately.

        A change of the root alone takes two or three sessions of each node (its certificate, then its roots): several
        changes in a row must not keep nodes out for as long as it takes to be declared down.
        """
        now = self._clock.mono()
        left, since = self._credit.get(node_id, (MOST_SESSIONS, now))
        left = min(MOST_SESSIONS, left + (now - since) / SESSION_EVERY)
        if left < 1:
            raise Unavailable("this node opened too many sessions in a short time; it may try again in a second")
        self._credit[node_id] = left - 1, now

    async def write(self, node_id: str, description: NodeDescription, addr: str) -> None:
        """The node is READY and described like this when it returns."""
        for _ in range(CONFLICT_TRIES):
            node = self._store.nodes.get(node_id)
            if node is None:
                raise NotFound("node not registered")
            held = node.status
            message = held.message if held.state == NodeState.READY else ""  # says nothing about sessions, see members
            status = moved(held, NodeState.READY, message, self._clock.wall())
            status = dataclasses.replace(status, addr=addr or held.addr)
            if node.description == description and held == status:
                return
            try:
                await self._proposer.propose(
                    [Update(dataclasses.replace(node, description=description, status=status))]
                )
                return
            except OutOfSequence:
                continue
        raise Unavailable(f"node {node_id} changed too often while its session was opened; it may try again")
