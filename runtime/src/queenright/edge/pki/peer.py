# SPDX-License-Identifier: Apache-2.0
"""Reading certificates: who the holder is, and whether the chain leads to the root."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from queenright.edge.pki.errors import UNREADABLE, CertificateExpiredError, CertificateNotYetValidError, PkiError
from queenright.edge.pki.keys import load_key, public_key_digest
from queenright.model.identity import ROLE_OF_UNIT, Identity
from queenright.model.ids import is_id

_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_MAX_CHAIN = 8


def identity_of(certificate: x509.Certificate) -> Identity:
    """What a node certificate says. Raises PkiError when it is not exactly of the form the swarm issues."""
    try:
        return _identity_of(certificate)
    except PkiError:
        raise
    except UNREADABLE:  # parts of a certificate are read when they are asked for
        raise PkiError("the certificate is not of a node: a part of it cannot be read") from None


def _identity_of(certificate: x509.Certificate) -> Identity:
    unit = _only(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME, "organisational unit")
    role = ROLE_OF_UNIT.get(unit)
    if role is None:
        raise PkiError("the certificate is not of a node: its organisational unit is no role of a swarm")
    node_id = _only(certificate, NameOID.COMMON_NAME, "common name")
    cluster_id = _only(certificate, NameOID.ORGANIZATION_NAME, "organisation")
    if not is_id(node_id) or not is_id(cluster_id):
        raise PkiError("the certificate is not of a node: its common name or organisation is not an id")
    return Identity(
        node_id=node_id,
        cluster_id=cluster_id,
        role=role,
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _only(certificate: x509.Certificate, oid: ObjectIdentifier, what: str) -> str:
    values = certificate.subject.get_attributes_for_oid(oid)
    if len(values) != 1 or not isinstance(values[0].value, str):
        raise PkiError(f"the certificate is not of a node: it has {len(values)} values for {what}, 1 is expected")
    return values[0].value


def read_identity(certificate_pem: bytes) -> Identity:
    """Who the first certificate of a PEM text belongs to. Says nothing of its validity: TLS did, or ``verify`` does."""
    return identity_of(read_chain(certificate_pem)[0])


def read_chain(chain_pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM text, one to eight. Raises PkiError when there are none or too many."""
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except UNREADABLE:
        raise PkiError("the certificate cannot be read: it is damaged or no PEM certificate") from None
    if len(chain) > _MAX_CHAIN:
        raise PkiError(f"the certificate chain has {len(chain)} certificates, at most {_MAX_CHAIN} are expected")
    return chain


class IdentityCache:
    """Identities by the digest of the PEM text, so a call on a known connection costs no parsing.

    Holds at most ``size`` entries, the longest unused goes first. For the event loop's thread only.
    """

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._known: OrderedDict[bytes, Identity] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def identity(self, certificate_pem: bytes) -> Identity:
        """As ``read_identity``. A certificate that cannot be read is not remembered."""
        digest = hashlib.sha256(certificate_pem).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = read_identity(certificate_pem)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        return known


def verify(root_pem: bytes, chain_pem: bytes, now: datetime | None, *, key_pem: bytes | None = None) -> Identity:
    """Who a chain belongs to, after all of it was checked at ``now`` (aware, UTC; None: at whatever time).

    Each certificate is signed by the next and one of them by a root; each up to that root is valid now; the first is a
    node's (no authority, for server and client); with ``key_pem``, it carries this private key's public half. Raises
    PkiError, or its kinds CertificateExpiredError and CertificateNotYetValidError.
    """
    roots, chain = read_chain(root_pem), read_chain(chain_pem)
    leaf = chain[0]
    if key_pem is not None and public_key_digest(load_key(key_pem).public_key()) != public_key_digest(
        leaf.public_key()
    ):
        raise PkiError("the certificate does not belong to this node's private key")
    _check_leaf(leaf)
    for certificate, issuer in pairwise(chain):
        if not issued(certificate, issuer):
            raise PkiError("the certificate chain is broken: a certificate is not signed by the next one")
    anchored = _anchored(chain, roots)
    if anchored is None:
        raise PkiError("the certificate was not issued by this cluster's root certificate")
    if now is not None:
        for certificate in anchored:
            _check_time(certificate, now)
    return identity_of(leaf)


def _anchored(chain: list[x509.Certificate], roots: list[x509.Certificate]) -> list[x509.Certificate] | None:
    """The chain up to the first certificate that a root has signed, with that root. What follows leads to roots of
    before.
    """
    for index, certificate in enumerate(chain):
        root = next((root for root in roots if certificate == root or issued(certificate, root)), None)
        if root is not None:
            return [*chain[: index + 1], root]
    return None


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` is an authority, has the right name and signed ``certificate`` with a strong hash."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        if not constraints.ca or not usage.key_cert_sign:
            return False
        if not isinstance(certificate.signature_hash_algorithm, _STRONG_HASHES):
            return False
        if certificate.issuer != issuer.subject:  # by their letters: authorities encode the same name in several ways
            return False
        _check_signature(certificate, issuer.public_key())
    except (*UNREADABLE, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True


def _check_signature(certificate: x509.Certificate, key: PublicKeyTypes) -> None:
    """Raises InvalidSignature or ValueError."""
    algorithm = certificate.signature_hash_algorithm
    assert algorithm is not None  # it was found to be strong
    signature, content = certificate.signature, certificate.tbs_certificate_bytes
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, content, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey):
        parameters = certificate.signature_algorithm_parameters
        if not isinstance(parameters, padding.PKCS1v15):
            raise ValueError("an RSA signature of a kind that is not taken")
        key.verify(signature, content, parameters, algorithm)
    else:
        raise ValueError("a key of a kind that is not taken")


def _check_leaf(leaf: x509.Certificate) -> None:
    try:
        extensions = leaf.extensions
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise PkiError("the certificate is an authority's, not a node's")
        usages = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except PkiError:
        raise
    except (*UNREADABLE, x509.ExtensionNotFound):
        raise PkiError("the certificate is not of a node: it does not say what it may be used for") from None
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} <= usages:
        raise PkiError("the certificate is not of a node: it is not for both server and client")


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        raise CertificateNotYetValidError(
            f"the certificate is valid from {begin:%Y-%m-%dT%H:%M:%SZ} on, the clock here says "
            f"{now:%Y-%m-%dT%H:%M:%SZ}: set the clocks of this host and of the managers"
        )
    if now > end:
        raise CertificateExpiredError(
            f"the certificate has expired on {end:%Y-%m-%dT%H:%M:%SZ}, the clock here says {now:%Y-%m-%dT%H:%M:%SZ}: "
            "if the clock is right, leave the swarm and join again"
        )
