# SPDX-License-Identifier: Apache-2.0
"""Joins the manager's wish for certificates to the room that makes them, and keeps this member's own at hand."""

from __future__ import annotations

import datetime
import ssl

from queenright.edge.http import join_server
from queenright.edge.pki.authority import LocalSigner, Root, Subject, create_root
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import csr_key_digest
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.edge.pki.peer import IdentityCache, read_identity
from queenright.manager.ports import IssuedCertificate, Peer, RootCA
from queenright.model import tokens
from queenright.model.errors import InvalidArgument, PermissionDenied
from queenright.model.identity import Identity, Role

SECOND = 1_000_000_000


def utc(nanoseconds: int) -> datetime.datetime:
    """Nanoseconds since the epoch as an aware time (to the second below)."""
    return datetime.datetime.fromtimestamp(nanoseconds // SECOND, datetime.UTC)


def nanoseconds(moment: datetime.datetime) -> int:
    """An aware time as nanoseconds since the epoch."""
    return int(moment.timestamp()) * SECOND


class PkiMaker:
    """See ``manager.ports.CertificateMaker``."""

    def make_root(self, now: int) -> RootCA:
        root = create_root(utc(now))
        return RootCA(root.certificate_pem.decode("ascii"), root.key_pem.decode("ascii"))

    def issue(
        self, root: RootCA, csr: bytes, *, node_id: str, role: str, cluster_id: str, validity: int, now: int
    ) -> IssuedCertificate:
        unit: Role = "manager" if role == "manager" else "worker"
        if unit != role:
            raise InvalidArgument(f"a node is a worker or a manager, not {role!r}")
        try:
            signer = LocalSigner(Root(root.certificate.encode("ascii"), root.key.encode("ascii")))
            issued = signer.issue(
                csr,
                Subject(node_id, cluster_id, unit),
                now=utc(now),
                validity=datetime.timedelta(microseconds=validity // 1000),
            )
        except PkiError as error:
            raise InvalidArgument(str(error)) from error
        return IssuedCertificate(
            issued.chain_pem.decode("ascii"), issued.serial, nanoseconds(issued.identity.not_after)
        )

    def key_digest(self, csr: bytes) -> str:
        try:
            return csr_key_digest(csr)
        except PkiError as error:
            raise InvalidArgument(str(error)) from error

    def root_digest(self, certificate: str) -> str:
        return f"sha256:{tokens.root_digest(certificate.encode('ascii')).hex()}"


class PeerReader:
    """Reads callers' certificates for the authorisation of calls; known ones from a cache. Raises PermissionDenied."""

    def __init__(self) -> None:
        self._cache = IdentityCache()

    def __call__(self, certificate_pem: bytes) -> Peer:
        try:
            identity: Identity = self._cache.identity(certificate_pem)
        except PkiError as error:
            raise PermissionDenied(str(error)) from None
        return Peer(
            identity.node_id,
            identity.cluster_id,
            identity.role,
            identity.serial,
            nanoseconds(identity.not_after),
            nanoseconds(identity.not_before),
        )


class Credentials:
    """This member's key, chain and root as they stand on disk, kept until :meth:`replace`."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._context: ssl.SSLContext | None = None
        self._read()

    def _read(self) -> None:
        held = self._store.load()
        if held is None:
            raise PkiError(f"{self._store.directory} holds no certificate: leave the swarm and join again")
        self._identity = read_identity(held.chain_pem)
        self._held = held
        self._for_grpc = (held.key_pem, held.chain_pem, held.root_pem)

    @property
    def identity(self) -> Identity:
        """What the certificate says of this member."""
        return self._identity

    def replace(self, key_pem: bytes, chain_pem: bytes) -> None:
        """Put another key and certificate in force, on disk first. The root stays.

        Raises PkiError or OSError; then those of before stay in force, and the next start may find either.
        """
        self._store.save(NodeCredentials(key_pem, chain_pem, self._held.root_pem))
        self._read()
        self._context = None

    def pending_key(self) -> bytes:
        """The key (PEM) for the next certificate, the same one until there is that certificate."""
        return self._store.pending_key()

    def for_grpc(self) -> tuple[bytes, bytes, bytes]:
        """(private key, certificate chain, trusted roots), PEM each; also asked on gRPC's own thread."""
        return self._for_grpc

    def root_pem(self) -> bytes:
        return self._held.root_pem

    def chain_pem(self) -> bytes:
        return self._held.chain_pem

    def tls_context(self) -> ssl.SSLContext:
        """The join listener's side of TLS."""
        if self._context is None:
            self._context = join_server.server_context(self._store.certificate_path, self._store.key_path)
        return self._context
