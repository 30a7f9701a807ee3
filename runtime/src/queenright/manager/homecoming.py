# SPDX-License-Identifier: Apache-2.0
"""Members that come home: their certificates have ended, or are of a root that was replaced while they were away.

They cannot connect as members do, so they prove that they have the key of the certificate that the store knows them
by. All that they get by it is another certificate, for what they count as.
"""

from __future__ import annotations

import dataclasses
import logging

from queenright.decide.trust import expired_grace
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.ports import HomeReader, Peer
from queenright.manager.signing import Signing, path, trusted
from queenright.model.changes import Update
from queenright.model.errors import OutcomeUnknown, OutOfSequence, Unavailable
from queenright.model.home import HomeGrant, HomeRequest
from queenright.model.identity import Role
from queenright.model.join import JoinRefused, NotLeader
from queenright.model.objects import Cluster, Node
from queenright.spec.cluster import MANAGER

log = logging.getLogger(__name__)


class Homecoming:
    """Lets members in again. ``reader`` finds out whose certificate it is, and whether its holder speaks."""

    def __init__(self, context: Context, signing: Signing, reader: HomeReader) -> None:
        self._context = context
        self._signing = signing
        self._reader = reader

    async def come(self, request: HomeRequest) -> HomeGrant:
        """Another certificate, durably. Raises a kind of JoinRefused: NotLeader where another try may help."""
        if not self._context.proposer.is_leader:
            raise NotLeader
        try:
            for _ in range(MOST_TRIES):
                try:
                    return await self._come(request)
                except OutOfSequence:  # the node was written meanwhile
                    continue
        except (Unavailable, OutcomeUnknown) as error:
            raise NotLeader(str(error)) from error
        raise NotLeader("the node changed too often while its certificate was made: try again")

    async def _come(self, request: HomeRequest) -> HomeGrant:
        cluster, now = self._context.cluster, self._context.clock.wall()
        roots = (trusted(cluster), *(former.certificate for former in cluster.former_roots if former.until > now))
        peer = self._reader.holder(request, roots)
        node = self._member(cluster, peer, now)
        issued = await self._signing.issue(cluster, node.id, node.role, request.csr_pem)
        after = dataclasses.replace(node, serial=issued.serial, previous_serial=peer.serial, renew_for="")
        records = self._signing.records(node.id, node.role, issued, issued.serial, peer.serial)
        await self._context.write([Update(after), *records])
        log.info("a node has come home", extra={"node": node.id, "serial": issued.serial})
        role: Role = "manager" if node.role == MANAGER else "worker"
        steps = tuple(step.encode("ascii") for step in path(cluster))
        return HomeGrant(issued.chain.encode("ascii"), role, trusted(cluster).encode("ascii"), steps)

    def _member(self, cluster: Cluster, peer: Peer, now: int) -> Node:
        """The node whose certificate it is. Raises JoinRefused."""
        node = self._context.store.nodes.get(peer.node_id) if peer.cluster_id == cluster.id else None
        if node is None:
            raise JoinRefused(f"node {peer.node_id} was removed from swarm")
        if peer.serial not in (node.serial, node.previous_serial):
            raise JoinRefused("the certificate is no longer in use")
        held = self._context.store.certificates.get(peer.serial)
        if held is not None and held.revoked_at:
            raise JoinRefused("the certificate was revoked")
        if peer.not_after + expired_grace(cluster) <= now:
            raise JoinRefused("the certificate has ended too long ago: leave the swarm and join again")
        return node
