# SPDX-License-Identifier: Apache-2.0
"""Joins the manager's wish for certificates to the room that makes them, and keeps this member's own at hand."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import Iterator

from queenright.edge.http import join_server
from queenright.edge.pki import authority, possession, succession
from queenright.edge.pki.authority import LocalSigner, Root, Subject, create_root
from queenright.edge.pki.describe import authority_info, issuer_info
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import csr_key_digest
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.edge.pki.peer import IdentityCache, read_identity
from queenright.manager.ports import IssuedCertificate, Peer, RootCA
from queenright.model import tokens
from queenright.model.errors import InvalidArgument, PermissionDenied
from queenright.model.identity import Identity, Role
from queenright.spec.cluster import P256

SECOND = 1_000_000_000


def utc(nanoseconds: int) -> datetime.datetime:
    """Nanoseconds since the epoch as an aware time (to the second below)."""
    return datetime.datetime.fromtimestamp(nanoseconds // SECOND, datetime.UTC)


def nanoseconds(moment: datetime.datetime) -> int:
    """An aware time as nanoseconds since the epoch."""
    return int(moment.timestamp()) * SECOND


class PkiMaker:
    """See ``manager.ports.CertificateMaker``."""

    def make_root(self, now: int, algorithm: str = P256) -> RootCA:
        root = create_root(utc(now), algorithm=algorithm)
        return RootCA(root.certificate_pem.decode("ascii"), root.key_pem.decode("ascii"))

    def read_root(self, certificates: str, key: str, now: int) -> RootCA:
        with _refusing():
            found = succession.read_import(_ascii(certificates), _ascii(key), utc(now))
        return RootCA(
            found.root_pem.decode("ascii"), found.key_pem.decode("ascii"), found.intermediates_pem.decode("ascii")
        )

    def cross_sign(self, old: RootCA, new: RootCA) -> str:
        with _refusing():
            return succession.cross_sign(root_of(old), new.certificate.encode("ascii")).decode("ascii")

    def root_request(self, new: RootCA) -> str:
        with _refusing():
            return succession.root_request(root_of(new)).decode("ascii")

    def check_cross_signed(self, cross_signed: str, old: str, new: str) -> None:
        with _refusing():
            succession.check_cross_signed(_ascii(cross_signed), old.encode("ascii"), new.encode("ascii"))

    def issuer(self, root: RootCA) -> tuple[str, str]:
        with _refusing():
            return authority_info((root.intermediates + root.certificate).encode("ascii"))

    def issue(
        self, root: RootCA, csr: bytes, *, node_id: str, role: str, cluster_id: str, validity: int, now: int
    ) -> IssuedCertificate:
        unit: Role = "manager" if role == "manager" else "worker"
        if unit != role:
            raise InvalidArgument(f"a node is a worker or a manager, not {role!r}")
        with _refusing():
            issued = LocalSigner(root_of(root)).issue(
                csr,
                Subject(node_id, cluster_id, unit),
                now=utc(now),
                validity=datetime.timedelta(microseconds=validity // 1000),
            )
        return as_issued(issued)

    def key_digest(self, csr: bytes) -> str:
        with _refusing():
            return csr_key_digest(csr)

    def root_digest(self, certificate: str) -> str:
        return f"sha256:{tokens.root_digest(certificate.encode('ascii')).hex()}"


def root_of(root: RootCA) -> Root:
    """The same in the form of the room of certificates."""
    texts = (root.certificate, root.key, root.intermediates, root.cross_signed)
    return Root(*(text.encode("ascii") for text in texts))


def as_issued(issued: authority.IssuedCertificate) -> IssuedCertificate:
    """The same in the form of the managers."""
    identity = issued.identity
    ends = nanoseconds(identity.not_after), nanoseconds(identity.not_before)
    return IssuedCertificate(issued.chain_pem.decode("ascii"), issued.serial, *ends)


def _ascii(text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise PkiError("the certificate or its key is no PEM text") from None


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """What the room of certificates cannot take is refused for good."""
    try:
        yield
    except PkiError as error:
        raise InvalidArgument(str(error)) from error


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

    @property
    def issuer_key(self) -> str:
        """The public key of whoever issued the certificate, as nodes are asked for it (see ``Node.renew_for``)."""
        return issuer_info(self._held.chain_pem, self._held.root_pem)[1]

    def replace(self, key_pem: bytes, chain_pem: bytes, root_pem: bytes = b"") -> None:
        """Put another key and certificate in force, on disk first. The roots stay, if no others are given.

        Raises PkiError or OSError; then those of before stay in force, and the next start may find either.
        """
        self._store.save(NodeCredentials(key_pem, chain_pem, root_pem or self._held.root_pem))
        self._read()
        self._context = None

    def trust(self, root_pem: bytes) -> None:
        """Trust other roots from now on, on disk first. Raises PkiError or OSError."""
        self._store.save(NodeCredentials(self._held.key_pem, self._held.chain_pem, root_pem))
        self._read()
        self._context = None

    def pending_key(self) -> bytes:
        """The key (PEM) for the next certificate, the same one until there is that certificate."""
        return self._store.pending_key()

    def for_grpc(self) -> tuple[bytes, bytes, bytes]:
        """(private key, certificate chain, trusted roots), PEM each; also asked on gRPC's own thread."""
        return self._for_grpc

    def prove(self, challenge: bytes, request: bytes) -> bytes:
        """That this node has the key of its certificate (see ``possession``)."""
        return possession.prove(self._held.key_pem, challenge, request)

    def show(self, context: ssl.SSLContext) -> None:
        """Have a client show this member's certificate. Blocking and short; raises OSError."""
        context.load_cert_chain(self._store.certificate_path, self._store.key_path, self._store.password())

    def root_pem(self) -> bytes:
        return self._held.root_pem

    def chain_pem(self) -> bytes:
        return self._held.chain_pem

    def tls_context(self) -> ssl.SSLContext:
        """The join listener's side of TLS."""
        if self._context is None:
            self._context = join_server.server_context(
                self._store.certificate_path, self._store.key_path, self._store.password()
            )
        return self._context
