# SPDX-License-Identifier: Apache-2.0
"""Who may call what. One table; a method without a row cannot be served.

Checked for each call, in this order: a certificate over TLS 1.3, not expired, of this swarm, of a node that exists,
whose role in the store (not only in
the certificate) is enough, with a serial in use. What a caller may do with single objects is checked by the use case,
which is told who calls.
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
    "/queenright.v1.Control/Forward": frozenset({MANAGER}),
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

    def check(self, method: str, auth: dict[str, list[bytes]]) -> Peer:
        """The caller of a method, or DeniedError. ``auth`` is gRPC's auth context."""
        roles = TABLE.get(method)
        if roles is None:
            raise DeniedError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served here")
        pem = auth.get("x509_pem_cert", [b""])[0]
        if not pem:
            raise DeniedError(grpc.StatusCode.PERMISSION_DENIED, "Permission denied: no client certificates in request")
        if auth.get("ssl_tls_version", [b""])[0] != b"TLSv1.3":
            raise DeniedError(grpc.StatusCode.PERMISSION_DENIED, "Permission denied: members speak TLS 1.3")
        peer = self._identify(pem)
        self._check_member(peer, roles)
        return peer

    def _check_member(self, peer: Peer, roles: frozenset[str]) -> None:
        denied = grpc.StatusCode.PERMISSION_DENIED
        if peer.not_after <= self._clock.wall():
            raise DeniedError(
                denied, "Permission denied: the certificate has expired; check this node's clock, or leave and join"
            )
        if peer.cluster_id != self._cluster_id:
            raise DeniedError(denied, "Permission denied: the certificate is of another swarm")
        node = self._store.nodes.get(peer.node_id)
        if node is None:
            raise DeniedError(denied, f"Permission denied: node {peer.node_id} was removed from swarm")
        if node.role not in roles or peer.role not in roles:
            raise DeniedError(denied, f"Permission denied: unauthorized peer role: {node.role}")
        if peer.serial not in (node.serial, node.previous_serial):
            raise DeniedError(denied, "Permission denied: the certificate is no longer in use")
