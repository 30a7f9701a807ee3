# SPDX-License-Identifier: Apache-2.0
"""What the raft group needs of others: the network (``edge/grpc``), and somebody who keeps keys (``edge/pki``)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from queenright.wire.raft import Envelope, SnapshotHead


class Network(Protocol):
    """The ways to the other members. Everything is called on the event loop."""

    def reach(self, members: Mapping[str, str]) -> None:
        """Keep connections to these (id -> ``host:port``) from now on, and to nobody else."""
        ...

    def send(self, member_id: str, envelope: Envelope) -> None:
        """Soon and in order, or not at all. Neither blocks nor raises; a full queue drops."""
        ...

    async def send_snapshot(self, member_id: str, head: SnapshotHead, chunks: AsyncGenerator[bytes, None]) -> None:
        """Stream what ``chunks`` give, and close them; returns when the member has taken it. Raises OSError or
        RuntimeError saying why not."""
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

    async def send_snapshot(self, member_id: str, head: SnapshotHead, chunks: AsyncGenerator[bytes, None]) -> None:
        await chunks.aclose()
        raise RuntimeError(f"no way leads to member {member_id}")

    def connected(self, member_id: str) -> bool:
        return False


class Seal(Protocol):
    """Seals and opens blocks of one file. Used by one thread at a time."""

    @property
    def label(self) -> bytes:
        """Stands in the file, in clear: by it the seal is found again. At most 100 bytes, no secret."""
        ...

    @property
    def overhead(self) -> int:
        """By how many bytes a sealed block is longer."""
        ...

    @property
    def current(self) -> bool:
        """Whether new files are sealed with the same key."""
        ...

    def close(self, block: bytes, place: bytes) -> bytes:
        """Seal ``block``, which opens with the same ``place`` only."""
        ...

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        """The block, or None if this is not what was sealed for ``place``."""
        ...


class Sealer(Protocol):
    """Has the keys of this member. Called from several threads."""

    def new(self, purpose: str) -> Seal:
        """For a new file. The first call of a member's life makes its key. Raises ValueError saying what is wrong with
        the keys, or OSError."""
        ...

    def find(self, purpose: str, label: bytes) -> Seal:
        """For a file with this label, made for the same purpose. Raises ValueError, a predicate that follows the name
        of the file (``is sealed with key ..., which is not here: ...``), or OSError."""
        ...
