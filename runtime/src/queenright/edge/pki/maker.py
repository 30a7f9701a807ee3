# SPDX-License-Identifier: Apache-2.0
"""The manager's view of this room: signing with times as the store keeps them (nanoseconds, UTC) and texts.

Fulfils ``manager.ports.CertificateMaker``.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from queenright.edge.pki.authority import LocalSigner, Root, Subject, create_root
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import csr_key_digest
from queenright.edge.pki.peer import IdentityCache
from queenright.manager.ports import IssuedCertificate, Peer, RootCA
from queenright.model.errors import InvalidArgument
from queenright.model.identity import UNIT_OF_ROLE, Identity, Role

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(nanoseconds: int) -> datetime:
    """A time of the store (nanoseconds since the epoch) as an aware datetime in UTC, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def nanoseconds(moment: datetime) -> int:
    """An aware datetime as nanoseconds since the epoch, exact."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def as_peer(identity: Identity) -> Peer:
    """An identity as the manager's ports have it."""
    return Peer(identity.node_id, identity.cluster_id, identity.role, identity.serial, nanoseconds(identity.not_after))


class Maker:
    """Makes roots and node certificates for the manager."""

    def make_root(self, now: int) -> RootCA:
        """A new root; see ``authority.create_root``."""
        root = create_root(moment(now))
        return RootCA(root.certificate_pem.decode("ascii"), root.key_pem.decode("ascii"))

    def issue(
        self, root: RootCA, csr: bytes, *, node_id: str, role: str, cluster_id: str, validity: int, now: int
    ) -> IssuedCertificate:
        """A certificate for the key in ``csr`` and nothing else of it; see ``LocalSigner.issue``.

        Raises InvalidArgument for a request that cannot be taken or too short a validity.
        """
        try:
            signer = LocalSigner(Root(root.certificate.encode("ascii"), root.key.encode("ascii")))
            issued = signer.issue(
                csr,
                Subject(node_id, cluster_id, _role(role)),
                now=moment(now),
                validity=timedelta(microseconds=validity // 1000),
            )
        except PkiError as error:
            raise InvalidArgument(str(error)) from None
        return IssuedCertificate(
            issued.chain_pem.decode("ascii"), issued.serial, nanoseconds(issued.identity.not_after)
        )

    def key_digest(self, csr: bytes) -> str:
        """``sha256:<hex>`` of the request's public key. Raises InvalidArgument for a request that cannot be taken."""
        try:
            return csr_key_digest(csr)
        except PkiError as error:
            raise InvalidArgument(str(error)) from None

    def root_digest(self, certificate: str) -> str:
        """``sha256:<hex>`` of the PEM bytes."""
        return "sha256:" + hashlib.sha256(certificate.encode()).hexdigest()


class PeerReader:
    """Who is calling, from the PEM text that TLS verified; known certificates are not parsed again."""

    def __init__(self) -> None:
        self._cache = IdentityCache()

    def __call__(self, certificate_pem: bytes) -> Peer:
        """Raises PkiError for a certificate that is not a node's."""
        return as_peer(self._cache.identity(certificate_pem))


def _role(text: str) -> Role:
    for role in UNIT_OF_ROLE:
        if role == text:
            return role
    raise PkiError(f"{text!r} is no role of a node: worker or manager is expected")
