# SPDX-License-Identifier: Apache-2.0
"""What the raft group needs of the network. ``edge/grpc`` fulfils it; everything is called on the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from queenright.wire.raft import Envelope, SnapshotHead


class Network(Protocol):
    """The ways to the other members."""

    def reach(self, members: Mapping[str, str]) -> None:
        """Keep connections to these (id -> ``host:port``) from now on, and to nobody else."""
        ...

    def send(self, member_id: str, envelope: Envelope) -> None:
        """Soon and in order, or not at all. Neither blocks nor raises; a full queue drops."""
        ...

    async def send_snapshot(self, member_id: str, head: SnapshotHead, path: Path) -> None:
        """Stream the file; returns when the member has taken it. Raises OSError or RuntimeError saying why not."""
        ...

    def connected(self, member_id: str) -> bool:
        """Whether the member was heard of lately."""
        ...


class NoNetwork:
    """The network of a group of one."""

    def reach(self, members: Mapping[str, str]) -> None:
        """There is nobody to reach."""

    def send(self, member_id: str, envelope: Envelope) -> None:
        """Nothing can be delivered."""

    async def send_snapshot(self, member_id: str, head: SnapshotHead, path: Path) -> None:
        raise RuntimeError(f"no way leads to member {member_id}")

    def connected(self, member_id: str) -> bool:
        return False
