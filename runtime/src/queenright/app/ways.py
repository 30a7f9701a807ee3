# SPDX-License-Identifier: Apache-2.0
"""The ways to the other managers: those that the log names, and those that this member heard of elsewhere.

A manager that has just joined, or was away for long, has a log that does not name the leader, or not where it is now.
It could not answer the leader and would never catch up; but its agent was told where the managers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from queenright.edge.grpc.peers import GrpcPeers
from queenright.wire.raft import Envelope, SnapshotHead


class KnownWays:
    """Fulfils ``edge.raft.Network``. What was told counts before the log's word, until this member leads itself."""

    def __init__(self, peers: GrpcPeers, node_id: str, managers: Iterable[tuple[str, str]]) -> None:
        self._peers = peers
        self._node_id = node_id
        self._members: dict[str, str] = {}
        self._told = dict(managers)
        self._leads = False

    def told(self, managers: Iterable[tuple[str, str]]) -> None:
        """The managers (node id, ``host:port``) as the leader named them."""
        self._told = dict(managers)
        self._look()

    def leads(self, leads: bool) -> None:
        """Whether this member leads: then the log has the last word."""
        self._leads = leads
        self._look()

    def _look(self) -> None:
        known = self._members if self._leads else {**self._members, **self._told}
        self._peers.reach({key: addr for key, addr in known.items() if key != self._node_id and addr})

    # -- the log's network

    def reach(self, members: Mapping[str, str]) -> None:
        self._members = dict(members)
        self._look()

    def send(self, member_id: str, envelope: Envelope) -> None:
        self._peers.send(member_id, envelope)

    async def send_snapshot(self, member_id: str, head: SnapshotHead, path: Path) -> None:
        await self._peers.send_snapshot(member_id, head, path)

    def connected(self, member_id: str) -> bool:
        return self._peers.connected(member_id)

    async def close(self) -> None:
        await self._peers.close()
