# SPDX-License-Identifier: Apache-2.0
"""Who may call what. One table; a method without a row cannot be served.

Checked for each call, in this order: a certificate over TLS 1.3, not expired, of this swarm, in a role that is enough;
then, by the store, of a node that exists, whose role there is enough too, with a serial in use. What a caller may do
with single objects is checked by the use case, which is told who calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import grpc

from queenright.manager.ports import Clock, Peer
from queenright.store.store import Store

WORKER = "worker"
MANAGER = "manager"

TABLE: dict[str, frozenset[str]] = {
    "/queenright.v1.Dispatcher/Session": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Dispatcher/Heartbeat": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Dispatcher/Assignments": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Dispatcher/UpdateTaskStatus": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Dispatcher/Restarting": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Dispatcher/Networks": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Dispatcher/NetworksApplied": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Control/Forward": frozenset({MANAGER}),
    "/queenright.v1.Control/Admit": frozenset({MANAGER}),
    "/queenright.v1.Certificates/Renew": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Logs/Subscriptions": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Logs/Publish": frozenset({WORKER, MANAGER}),
    "/queenright.v1.Logs/Read": frozenset({MANAGER}),
    "/queenright.v1.Raft/Exchange": frozenset({MANAGER}),
    "/queenright.v1.Raft/InstallSnapshot": frozenset({MANAGER}),
}


class DeniedError(Exception):
    """A call that is refused; the text is what the caller is told."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def require_rows(methods: Iterable[str]) -> None:
    """Fail at the start if a served method has no row."""
    missing = sorted(set(methods) - set(TABLE))
    if missing:
        raise RuntimeError(f"no row in edge/grpc/authorize.py says who may call {', '.join(missing)}")


class Authorizer:
    """Finds out who calls and whether they may. ``identify`` reads a PEM certificate."""

    def __init__(self, store: Store, cluster_id: str, clock: Clock, identify: Callable[[bytes], Peer]) -> None:
        self._store = store
        self._cluster_id = cluster_id
        self._clock = clock
        self._identify = identify

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
        roles = TABLE.get(method)
        if roles is None:
            raise DeniedError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served here")
        pem = auth.get("x509_pem_cert", [b""])[0]
        if not pem:
            raise _denied("no client certificates in request")
        if auth.get("ssl_tls_version", [b""])[0] != b"TLSv1.3":
            raise _denied("members speak TLS 1.3")
        peer = self._identify(pem)
        if peer.not_after <= self._clock.wall():
            raise _denied("the certificate has expired; check this node's clock, or leave and join")
        if peer.cluster_id != self._cluster_id:
            raise _denied("the certificate is of another swarm")
        if peer.role not in roles:
            raise _denied(f"unauthorized peer role: {peer.role}")
        return peer

    def require(self, method: str, peer: Peer) -> None:
        """DeniedError if the store, as it stands here, says no."""
        node = self._store.nodes.get(peer.node_id)
        if node is None:
            raise _denied(f"node {peer.node_id} was removed from swarm")
        if node.role not in TABLE[method]:
            raise _denied(f"unauthorized peer role: {node.role}")
        if peer.serial not in (node.serial, node.previous_serial):
            raise _denied("the certificate is no longer in use")


def _denied(why: str) -> DeniedError:
    return DeniedError(grpc.StatusCode.PERMISSION_DENIED, f"Permission denied: {why}")
