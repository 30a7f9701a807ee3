# SPDX-License-Identifier: Apache-2.0
"""Who becomes a member: tokens and tickets against the store, certificates from the CA.

The role follows from the secret that was shown, never from what the joiner says. A joiner whose answer got lost asks
again with the same key and gets the same membership: a node's id follows from the cluster and the key.

A node that joins as a manager is one at once; the raft group takes it in afterwards (``members``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import logging
import re

from queenright.lib import addresses
from queenright.lib.addresses import Address
from queenright.manager.checks import check_labels
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.ports import CertificateMaker, IssuedCertificate, Outside
from queenright.manager.renewal import Renewals, Renewed
from queenright.manager.signing import Signing
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.errors import InvalidArgument, OutOfSequence, Unavailable
from queenright.model.identity import Role
from queenright.model.ids import ID_BYTES, new_id
from queenright.model.join import (
    BadRequest,
    BadToken,
    JoinGrant,
    JoinLimited,
    JoinRequest,
    ManagerAddress,
    NotLeader,
    NotSigned,
    TicketExpired,
    TicketOfOtherKey,
    TicketUsed,
)
from queenright.model.objects import Cluster, Node, NodeStatus, Ticket
from queenright.model.tokens import SECRET_BYTES, JoinSecret, SecretKind, make_ticket
from queenright.spec.cluster import ACTIVE, DRAIN, MANAGER, PAUSE, WORKER, NodeSpec

log = logging.getLogger(__name__)

MINUTE = 60 * 1_000_000_000
TICKET_LIFE = 10 * MINUTE
REPEAT_LIFE = 15 * MINUTE  # in which a joiner that never connected may ask again
PENDING_LIFE = 60 * MINUTE  # after which a node that never connected makes room for others
MOST_PENDING = 128  # nodes that joined by token and never connected
MOST_TICKETS = 1000

_KEY_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A new ticket; ``text`` is the secret itself, which is kept nowhere."""

    text: str = dataclasses.field(repr=False)
    root_digest: str
    managers: tuple[ManagerAddress, ...]
    expires_at: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Leave:
    """What a secret entitles to, with the changes that use it up."""

    role: str
    availability: str
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    uses: tuple[Change, ...] = ()


class Authority:
    """Admission of nodes; fulfils the join listener's ``Admission``. And the certificates of those that are members."""

    def __init__(self, context: Context, certificates: CertificateMaker, outside: Outside | None = None) -> None:
        self._context = context
        self._certificates = certificates
        self.signing = Signing(context, certificates, outside)
        self._renewals = Renewals(context, self.signing)

    def over(self, context: Context) -> Authority:
        """The same over another store and proposer."""
        return Authority(context, self._certificates, self.signing.outside)

    # -- tickets

    async def issue_ticket(
        self, *, role: str, key_digest: str, availability: str = "", labels: dict[str, str] | None = None
    ) -> IssuedTicket:
        """A one-time leave to join for the holder of one key, for ten minutes. Raises InvalidArgument and others."""
        if role not in (WORKER, MANAGER):
            raise InvalidArgument(f"role {role!r} is neither worker nor manager", plain=True)
        if _KEY_DIGEST.fullmatch(key_digest) is None:
            raise InvalidArgument("key_digest is not sha256: and 64 hexadecimal digits", plain=True)
        if availability not in ("", ACTIVE, PAUSE, DRAIN):
            raise InvalidArgument(f"availability {availability!r} is none of active, pause, drain", plain=True)
        check_labels(labels or {})
        cluster, now = self._context.cluster, self._context.clock.wall()
        expired = [ticket for ticket in self._context.store.tickets if ticket.expires_at <= now]
        if len(self._context.store.tickets) - len(expired) >= MOST_TICKETS:
            raise Unavailable("too many tickets are open: wait until some are used or expire", plain=True)
        secret = make_ticket(cluster.root_certificate.encode(), self._context.ids.bytes(SECRET_BYTES))
        ticket = Ticket(
            id=self._context.ids(),
            secret_digest=secret.fingerprint,
            key_digest=key_digest,
            role=role,
            availability=availability or ACTIVE,
            labels=dict(labels or {}),
            expires_at=now + TICKET_LIFE,
        )
        await self._context.write([Create(ticket), *(Delete("ticket", old.id) for old in expired)])
        digest = self._certificates.root_digest(cluster.root_certificate)
        return IssuedTicket(secret.text, digest, self.managers(), ticket.expires_at)

    def managers(self) -> tuple[ManagerAddress, ...]:
        """The managers and their control addresses, the one that leads first."""
        consensus = self._context.consensus
        leader = consensus.leader_id if consensus is not None else None
        found = [node for node in self._context.store.nodes.by("role", MANAGER) if node.manager_addr]
        return tuple(
            ManagerAddress(node.id, node.manager_addr)
            for node in sorted(found, key=lambda node: (node.id != leader, node.id))
        )

    # -- admission

    async def admit(self, request: JoinRequest, source_ip: str) -> JoinGrant:
        """Make the asking host a member, durably. Raises a kind of JoinRefused; then nothing was created."""
        if not self._context.proposer.is_leader:
            raise NotLeader
        try:
            key_digest = self._certificates.key_digest(request.csr_pem)
        except InvalidArgument as error:
            raise BadRequest(str(error)) from None
        for _ in range(MOST_TRIES):
            try:
                return await self._admit(request, key_digest, source_ip)
            except OutOfSequence:  # another call used the ticket or made the node: look again
                continue
            except Unavailable as error:
                raise NotLeader(str(error)) from None
        raise NotLeader("this manager is too busy to admit the node now: try again")

    async def _admit(self, request: JoinRequest, key_digest: str, source_ip: str) -> JoinGrant:
        cluster, now = self._context.cluster, self._context.clock.wall()
        node_id = _node_id(cluster, key_digest)
        known = self._context.store.nodes.get(node_id)
        if (
            known is not None
            and self._never_came(known)
            and now - known.created_at <= REPEAT_LIFE
            and request.secret.pins(cluster.root_certificate.encode())
        ):
            certificate = await self._certificate(cluster, known.id, known.role, request.csr_pem)
            again = dataclasses.replace(
                known,
                serial=certificate.serial,
                previous_serial=known.serial,
                manager_addr=str(_address(request, source_ip)) if known.role == MANAGER else "",
            )
            serials = (certificate.serial, known.serial)
            records = self.signing.records(known.id, known.role, certificate, *serials)
            await self._context.write([Update(again), *records])
            return self._grant(cluster, again, certificate)
        leave = self._leave(cluster, request, key_digest, now)
        address = _address(request, source_ip)
        if known is not None:
            node_id = self._context.ids()
        certificate = await self._certificate(cluster, node_id, leave.role, request.csr_pem)
        leave = self._leave(self._context.cluster, request, key_digest, now)  # signing may have taken its time
        node = Node(
            id=node_id,
            spec=NodeSpec(role=leave.role, availability=leave.availability, labels=leave.labels),
            role=leave.role,
            status=NodeStatus(addr=address.host),
            manager_addr=str(address) if leave.role == MANAGER else "",
            serial=certificate.serial,
        )
        records = self.signing.records(node_id, leave.role, certificate, certificate.serial)
        await self._context.write([Create(node), *records, *leave.uses])
        log.info("a node has joined", extra={"node": node_id, "role": leave.role, "address": node.status.addr})
        return self._grant(cluster, node, certificate)

    def _leave(self, cluster: Cluster, request: JoinRequest, key_digest: str, now: int) -> _Leave:
        if request.secret.kind is SecretKind.TICKET:
            return self._leave_by_ticket(cluster, request, key_digest, now)
        return self._leave_by_token(cluster, request, now)

    def _leave_by_token(self, cluster: Cluster, request: JoinRequest, now: int) -> _Leave:
        manager = request.secret.matches(cluster.manager_token)
        worker = request.secret.matches(cluster.worker_token)
        if not manager and not worker:
            raise BadToken
        pending = [node for node in self._context.store.nodes if self._never_came(node)]
        lost = [node for node in pending if now - node.created_at > PENDING_LIFE]
        if len(pending) - len(lost) >= MOST_PENDING:
            raise JoinLimited(
                f"{len(pending)} nodes have joined and never connected: remove them (docker node rm) or let them "
                "connect, then try again",
                retry_after=60.0,
            )
        uses = tuple(Delete("node", node.id, node.version) for node in lost)
        return _Leave(MANAGER if manager else WORKER, request.availability or ACTIVE, uses=uses)

    def _leave_by_ticket(self, cluster: Cluster, request: JoinRequest, key_digest: str, now: int) -> _Leave:
        ticket = self._ticket(cluster, request.secret)
        if not hmac.compare_digest(ticket.key_digest, key_digest):
            raise TicketOfOtherKey
        if ticket.expires_at <= now:
            raise TicketExpired
        availability = ticket.availability if ticket.availability != ACTIVE else request.availability or ACTIVE
        return _Leave(ticket.role, availability, ticket.labels, (Delete("ticket", ticket.id, ticket.version),))

    def _ticket(self, cluster: Cluster, secret: JoinSecret) -> Ticket:
        found = self._context.store.tickets.by("secret", secret.fingerprint)
        if found:
            return found[0]
        if secret.pins(cluster.root_certificate.encode()):
            raise TicketUsed
        raise BadToken

    def _never_came(self, node: Node) -> bool:
        """Whether nobody has ever spoken for the node: its agent would have said its host name, and a manager would
        have a vote.
        """
        if node.hostname:
            return False
        consensus = self._context.consensus
        if consensus is None:
            return node.role == WORKER
        return not any(member.id == node.id and member.voter for member in consensus.members())

    # -- certificates

    async def renew(self, node_id: str, csr_pem: bytes, control_addr: str = "", *, serial: str = "") -> Renewed:
        """See ``Renewals.renew``."""
        return await self._renewals.renew(node_id, csr_pem, control_addr, serial)

    async def _certificate(self, cluster: Cluster, node_id: str, role: str, csr: bytes) -> IssuedCertificate:
        try:
            return await self.signing.issue(cluster, node_id, role, csr)
        except InvalidArgument as error:
            raise BadRequest(str(error)) from None
        except Unavailable as error:
            raise NotSigned(str(error)) from None

    def _grant(self, cluster: Cluster, node: Node, certificate: IssuedCertificate) -> JoinGrant:
        role: Role = "manager" if node.role == MANAGER else "worker"
        others = tuple(manager for manager in self.managers() if manager.node_id != node.id)
        return JoinGrant(node.id, role, cluster.id, certificate.chain.encode(), others)


def _node_id(cluster: Cluster, key_digest: str) -> str:
    digest = hashlib.sha256(f"queenright node {cluster.id} {key_digest}".encode()).digest()
    return new_id(digest[:ID_BYTES])


def _address(request: JoinRequest, source_ip: str) -> Address:
    """Where the node is reached: what it advertises, or where it came from if it advertises nothing of use.

    Raises BadRequest.
    """
    try:
        host = source_ip.partition("%")[0]  # a zone means something on this host only
        seen = addresses.parse(f"[{host}]" if ":" in host else host, request.listen_port)
        if not request.advertise_addr:
            return seen
        address = addresses.parse(request.advertise_addr, request.listen_port)
    except addresses.AddressError as error:
        raise BadRequest(f"advertise_addr in the join request: {error}") from None
    return seen if address.is_unspecified else address
