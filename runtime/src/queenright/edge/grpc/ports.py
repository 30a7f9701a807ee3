# SPDX-License-Identifier: Apache-2.0
"""Who stands behind the services for managers, and what the room needs of the app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from queenright.wire.messages import ForwardAnswer, ForwardCall
from queenright.wire.raft import Envelope, SnapshotHead

Certificates = Callable[[], tuple[bytes, bytes, bytes]]
"""(private key, certificate chain, trusted roots), PEM each; asked anew for each connection. A server asks on gRPC's
thread: give one frozen value."""

Leader = Callable[[], tuple[str, str] | None]
"""(node id, ``host:port``) of the other manager that leads; None while none is known, or while this one begins to."""

Confirm = Callable[[], Awaitable[object]]
"""Returns once what the store says is known to be up to date (a read barrier); raises a Refusal on who cannot know."""


class RaftReceiver(Protocol):
    """Takes what the other managers of the group send. The sender is always the id of its certificate."""

    @property
    def has_quorum(self) -> bool:
        """Whether this member leads, or has heard its leader lately."""
        ...

    @property
    def epoch(self) -> int:
        """How often a new cluster was forced."""
        ...

    def refusal(self, sender_id: str, epoch: int) -> str | None:
        """Why nothing of this sender may come in; None if it may."""
        ...

    def receive(self, sender_id: str, envelope: Envelope) -> None:
        """Take an envelope that may come in."""
        ...

    async def receive_snapshot(self, sender_id: str, head: SnapshotHead, chunks: AsyncIterator[bytes]) -> None:
        """Returns when the snapshot is installed; raises on anything wrong with it."""
        ...


class Forwarding(Protocol):
    """The Engine API of the leader, for other managers. May raise a Refusal."""

    async def forward(self, call: ForwardCall) -> ForwardAnswer: ...


class Admitting(Protocol):
    """The leader's half of a join that came in elsewhere: JSON in and out, refusals included."""

    async def admit(self, body: bytes, source: str) -> bytes: ...


class Renewing(Protocol):
    """Issues a member's next certificate. May raise a Refusal."""

    async def renew(
        self, node_id: str, csr_pem: bytes, control_addr: str = "", *, serial: str = ""
    ) -> tuple[bytes, str]:
        """(chain in PEM, role). ``serial`` is that of the certificate with which the caller asks."""
        ...
