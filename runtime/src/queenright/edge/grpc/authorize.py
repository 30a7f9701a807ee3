# SPDX-License-Identifier: Apache-2.0
"""Who may call what. One table; a method without a row cannot be served.

Checked for each call, in this order: a certificate over TLS 1.3, valid now, of this swarm, in a role that is enough;
then, by the store, of a node that exists, whose role there is enough too, with a serial in use that was not revoked;
then, for each message, that it touches no object which is not the caller's (``objects``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc

from queenright.edge.grpc import objects, options
from queenright.edge.grpc.objects import Rule, require_covered
from queenright.manager.ports import Clock, Peer
from queenright.model.errors import Refusal
from queenright.store.store import Store

WORKER = "worker"
MANAGER = "manager"

KIB = 1 << 10


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Who may call a method (by the certificate and by the store), which objects it may touch, how long a message may
    be (bytes), and how often a node may call it in a minute (0: as often as it likes).
    """

    roles: frozenset[str]
    rule: Rule
    longest: int
    per_minute: int = 0


_ALL = frozenset({WORKER, MANAGER})
_MANAGERS = frozenset({MANAGER})

TABLE: dict[str, Row] = {
    "/queenright.v1.Dispatcher/Session": Row(_ALL, objects.NAMES_NOBODY, 1024 * KIB, 240),
    "/queenright.v1.Dispatcher/Heartbeat": Row(_ALL, objects.OWN_SESSION, 4 * KIB, 1200),
    "/queenright.v1.Dispatcher/Assignments": Row(_ALL, objects.OWN_SESSION, 4 * KIB, 240),
    "/queenright.v1.Dispatcher/UpdateTaskStatus": Row(_ALL, objects.OWN_TASKS, options.MAX_MESSAGE, 6000),
    "/queenright.v1.Dispatcher/Restarting": Row(_ALL, objects.OWN_SESSION, 4 * KIB, 240),
    "/queenright.v1.Dispatcher/Networks": Row(_ALL, objects.OWN_SESSION, 4 * KIB, 240),
    "/queenright.v1.Dispatcher/NetworksApplied": Row(_ALL, objects.OWN_SESSION, options.MAX_MESSAGE, 6000),
    "/queenright.v1.Control/Forward": Row(_MANAGERS, objects.OF_THE_SWARM, options.MAX_BULK),
    "/queenright.v1.Control/Admit": Row(_MANAGERS, objects.WITH_A_SECRET, 256 * KIB),
    "/queenright.v1.Certificates/Renew": Row(_ALL, objects.NAMES_NOBODY, 64 * KIB, 60),
    "/queenright.v1.Logs/Subscriptions": Row(_ALL, objects.OWN_SESSION, 4 * KIB, 240),
    "/queenright.v1.Logs/Publish": Row(_ALL, objects.OWN_LINES, options.MAX_MESSAGE, 6000),
    "/queenright.v1.Logs/Read": Row(_MANAGERS, objects.ANY_LOG, options.MAX_MESSAGE),
    "/queenright.v1.Raft/Exchange": Row(_MANAGERS, objects.ITS_SENDER_S, options.MAX_BULK + options.ROOM),
    "/queenright.v1.Raft/InstallSnapshot": Row(_MANAGERS, objects.ITS_SENDER_S, options.MAX_BULK + options.ROOM),
}


REFUSAL = "queenright-refusal"
"""Trailing metadata that names the class of a refusal: what has it was said by a use case, not by the network."""


class DeniedError(Exception):
    """A call that is refused; the text is what the caller is told, ``refusal`` the class of refusal that it sees."""

    def __init__(self, code: grpc.StatusCode, message: str, refusal: str = "PermissionDenied") -> None:
        super().__init__(message)
        self.code = code
        self.refusal = refusal

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with the refusal, at the end of the call."""
        return ((REFUSAL, self.refusal),) if self.refusal else ()


def require_rows(methods: Iterable[str]) -> None:
    """Fail at the start if a served method has no row."""
    missing = sorted(set(methods) - set(TABLE))
    if missing:
        raise RuntimeError(f"no row in edge/grpc/authorize.py says who may call {', '.join(missing)}")


def require_rules(requests: Mapping[str, Any]) -> None:
    """Fail at the start if a request (method -> protobuf descriptor) can name objects that its row's rule ignores."""
    for method, request in requests.items():
        require_covered(method, TABLE[method].rule, request)


class Authorizer:
    """Finds out who calls and whether they may. ``identify`` reads a PEM certificate (and raises a Refusal for one that
    is no node's); ``revoked`` says of a serial whether it was revoked by name.
    """

    def __init__(
        self,
        store: Store,
        cluster_id: str,
        clock: Clock,
        identify: Callable[[bytes], Peer],
        revoked: Callable[[str], bool] = lambda serial: False,
    ) -> None:
        self._store = store
        self._cluster_id = cluster_id
        self._clock = clock
        self._identify = identify
        self._revoked = revoked

    @property
    def store(self) -> Store:
        """The truth that callers are held to."""
        return self._store

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def has_swarm(self) -> bool:
        """Whether the store holds the swarm; that of a manager that has just joined does not yet."""
        return self._store.cluster is not None

    def check(self, method: str, auth: dict[str, list[bytes]]) -> Peer:
        """The caller of a method, or DeniedError. ``auth`` is gRPC's auth context."""
        peer = self.identify(method, auth)
        self.require(method, peer)
        return peer

    def identify(self, method: str, auth: dict[str, list[bytes]]) -> Peer:
        """The caller of a method as far as its certificate goes, or DeniedError."""
        row = TABLE.get(method)
        if row is None:
            raise DeniedError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served here")
        pem = auth.get("x509_pem_cert", [b""])[0]
        if not pem:
            raise _denied("no client certificates in request")
        if auth.get("ssl_tls_version", [b""])[0] != b"TLSv1.3":
            raise _denied("members speak TLS 1.3")
        try:
            peer = self._identify(pem)
        except Refusal as refusal:
            raise _denied(str(refusal)) from None
        self.require_dates(peer)
        if peer.cluster_id != self._cluster_id:
            raise _denied("the certificate is of another swarm")
        if peer.role not in row.roles:
            raise _denied(f"unauthorized peer role: {peer.role}")
        return peer

    def require_dates(self, peer: Peer) -> None:
        """DeniedError if the certificate is not valid by this manager's clock."""
        now = self._clock.wall()
        if peer.not_after <= now:
            raise _denied("the certificate has expired; check this node's clock, or leave and join")
        if peer.not_before > now:
            raise _denied("the certificate is not valid yet; check the clocks of this node and of the managers")

    def require(self, method: str, peer: Peer) -> None:
        """DeniedError if the store, as it stands here, says no."""
        node = self._store.nodes.get(peer.node_id)
        if node is None:
            raise _denied(f"node {peer.node_id} was removed from swarm")
        if node.role not in TABLE[method].roles:
            raise _denied(f"unauthorized peer role: {node.role}")
        if not peer.serial or peer.serial not in (node.serial, node.previous_serial):
            raise _denied("the certificate is no longer in use")
        if self._revoked(peer.serial):
            raise _denied("the certificate was revoked")


def _denied(why: str) -> DeniedError:
    return DeniedError(grpc.StatusCode.PERMISSION_DENIED, f"Permission denied: {why}")
