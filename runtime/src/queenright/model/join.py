# SPDX-License-Identifier: Apache-2.0
"""What a new node asks for, what it is given, and why it may be refused."""

from __future__ import annotations

from dataclasses import dataclass

from queenright.model.errors import Refusal
from queenright.model.identity import Role
from queenright.model.tokens import JoinSecret


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A node's wish to become a member; its form was checked, nothing else.

    ``csr_pem`` brings the public key and nothing more; ``advertise_addr`` may be empty or unspecified (0.0.0.0): then
    the address the request came from counts. ``listen_port`` is the node's control port.
    """

    csr_pem: bytes
    secret: JoinSecret
    availability: str = "active"
    advertise_addr: str = ""
    listen_port: int = 2377
    version: str = ""


@dataclass(frozen=True, slots=True)
class ManagerAddress:
    """A manager and its control address as ``host:port``."""

    node_id: str
    addr: str


@dataclass(frozen=True, slots=True)
class JoinGrant:
    """Membership: the node's id and role and the certificate chain (PEM, the node's own first)."""

    node_id: str
    role: Role
    cluster_id: str
    certificate_pem: bytes
    managers: tuple[ManagerAddress, ...]


class JoinRefused(Refusal):
    """A join that was not granted. ``reason`` is the word for programs, the text is for people."""

    code = "PermissionDenied"
    reason = "refused"
    default = "the join was refused"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.default, plain=True)


class BadToken(JoinRefused):
    code = "InvalidArgument"  # as clients of the Engine API know it
    reason = "bad-token"
    default = (
        "A valid join token is necessary to join this cluster: ask a manager for the present one (docker swarm "
        "join-token worker)"
    )


class TicketUsed(JoinRefused):
    reason = "ticket-used"
    default = "the one-time ticket was used already: get a new one from a manager"


class TicketExpired(JoinRefused):
    reason = "ticket-expired"
    default = "the one-time ticket has expired: get a new one from a manager"


class TicketOfOtherKey(JoinRefused):
    reason = "ticket-of-other-key"
    default = "the one-time ticket was made for another node's key: get one for the key of this node"


class BadRequest(JoinRefused):
    """The request itself is wrong: a certificate request that does not hold, an unknown availability."""

    code = "InvalidArgument"
    reason = "bad-request"
    default = "the join request is malformed"


class NeedsConsensus(JoinRefused):
    """What a manager of release 0.1.0 answers to a second one. Never raised any more, still read."""

    code = "FailedPrecondition"
    reason = "needs-consensus"
    default = (
        "that manager runs a release of queenright that knows one manager only: upgrade it, or join this node as a "
        "worker"
    )


class JoinLimited(JoinRefused):
    """Too many joins from one address. ``retry_after`` is the number of seconds until the next one may succeed."""

    code = "Unavailable"
    reason = "rate-limited"
    default = "too many joins from this address"

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotLeader(JoinRefused):
    """This manager cannot admit now (starting, or another one leads); another address or a later try may do."""

    code = "Unavailable"
    reason = "not-leader"
    default = "this manager cannot admit nodes now: it is starting, or has no contact to the leader"


class NotSigned(JoinRefused):
    """All is well with the request, but nobody can sign the certificate now. A later try gets what this one did not."""

    code = "Unavailable"
    reason = "not-signed"
    default = "nobody can sign the certificate of this node now"


REFUSALS: dict[str, type[JoinRefused]] = {
    kind.reason: kind
    for kind in (
        JoinRefused,
        BadToken,
        TicketUsed,
        TicketExpired,
        TicketOfOtherKey,
        BadRequest,
        NeedsConsensus,
        JoinLimited,
        NotLeader,
        NotSigned,
    )
}
