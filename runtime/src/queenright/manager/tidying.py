# SPDX-License-Identifier: Apache-2.0
"""What the leader does for the registry of nodes by and by: certificates and nodes that nobody needs any more go.

A node's certificate before the last one is good until the last one was seen in use, and a moment longer, for streams to
change over. A node that joined and was never heard of gives up its place after an hour, so that whoever has a token
cannot fill the registry for good.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterator

from queenright.manager.audit import record
from queenright.manager.context import Context
from queenright.manager.ports import Peer
from queenright.model.changes import Change, Delete, Update
from queenright.model.errors import OutcomeUnknown, OutOfSequence, Unavailable
from queenright.model.objects import Node
from queenright.model.states import NodeState

log = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two looks
CHANGE_OVER = 60.0  # seconds in which both certificates are good once the new one was seen
SECOND = 1_000_000_000
NEVER_CAME = 60 * 60 * SECOND  # after which a node that was never heard of goes
MOST_AT_ONCE = 200  # changes of one look


class Tidying:
    """Runs on every manager; writes on the one that leads. ``removed`` is told of each node that went."""

    def __init__(self, context: Context, removed: Callable[[Node], None] = lambda node: None) -> None:
        self._context = context
        self._removed = removed
        self._seen: dict[str, tuple[str, float]] = {}  # node -> its newest serial, and when that was first seen

    def seen(self, peer: Peer) -> None:
        """A caller was let in with this certificate."""
        node = self._context.store.nodes.get(peer.node_id)
        if node is None or not node.previous_serial or peer.serial != node.serial:
            return
        if self._seen.get(node.id, ("", 0.0))[0] != node.serial:
            self._seen[node.id] = (node.serial, self._context.clock.mono())

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            await self.look()

    async def look(self) -> None:
        """Write what is due, if this manager leads; what cannot be written now is so at the next look."""
        self._forget()
        if not self._context.proposer.is_leader or self._context.store.cluster is None:
            return
        gone = list(self._never_came())[:MOST_AT_ONCE]
        worn = list(self._worn())[:MOST_AT_ONCE]
        changes: list[Change] = [Update(dataclasses.replace(node, previous_serial="")) for node in worn]
        changes += [Delete("node", node.id, node.version) for node in gone]
        if not changes:
            return
        try:
            await self._context.write(changes)
        except (OutOfSequence, Unavailable, OutcomeUnknown) as error:
            log.debug("the registry of nodes is tidied later: %s", error)
            return
        for node in worn:
            log.info("a former certificate is not good any more", extra={"node": node.id})
        for node in gone:
            log.warning("a node that joined and was never heard of was removed", extra={"node": node.id})
            record("purge", node=node.id, role=node.role)
            self._removed(node)

    def _forget(self) -> None:
        """What was seen of serials that are not the newest any more."""
        for node_id, (serial, _) in list(self._seen.items()):
            node = self._context.store.nodes.get(node_id)
            if node is None or node.serial != serial or not node.previous_serial:
                del self._seen[node_id]

    def _worn(self) -> Iterator[Node]:
        now = self._context.clock.mono()
        for node_id, (_, since) in self._seen.items():
            node = self._context.store.nodes.get(node_id)
            if node is not None and now - since >= CHANGE_OVER:
                yield node

    def _never_came(self) -> Iterator[Node]:
        """Nodes for which nobody has ever spoken: no agent gave a host name, no manager has a voice."""
        now, consensus = self._context.clock.wall(), self._context.consensus
        seated = {seat.id for seat in consensus.members() if seat.voter} if consensus is not None else set()
        for node in self._context.store.nodes:
            silent = not node.hostname and node.status.state != NodeState.READY
            if silent and node.id not in seated and now - node.created_at > NEVER_CAME:
                yield node
