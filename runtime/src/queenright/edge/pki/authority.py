# SPDX-License-Identifier: Apache-2.0
"""The certificate authority: makes the root and issues node certificates.

The root's key is given by the caller each time (it lives in the replicated state); nothing here writes it anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from queenright.edge.pki.errors import UNREADABLE, PkiError
from queenright.edge.pki.keys import PublicKey, check_csr, load_key, public_key_digest, signature_hash
from queenright.edge.pki.peer import identity_of
from queenright.model.identity import CA_SERVER_NAME, UNIT_OF_ROLE, Identity, Role
from queenright.model.ids import check_id
from queenright.spec.cluster import P256, P384

ROOT_VALIDITY = timedelta(days=20 * 365)
DEFAULT_VALIDITY = timedelta(days=90)
MIN_VALIDITY = timedelta(minutes=30)
# Certificates begin an hour early, so a node whose clock is behind accepts them (short ones a tenth of their life). The
# root as well: the first nodes of a swarm join within minutes.
BACKDATE = timedelta(hours=1)
_CURVES: dict[str, type[ec.SECP256R1 | ec.SECP384R1]] = {P256: ec.SECP256R1, P384: ec.SECP384R1}


@dataclass(frozen=True, slots=True)
class Root:
    """A root certificate and the key that signs, both PEM. The certificate's bytes are what tokens pin: keep them as
    they are.

    ``intermediates_pem`` are the certificates from the one that signs to the one below the root; none: the root signs
    itself. ``cross_signed_pem`` is the root as signed by the one before it, for those who know only that one.
    """

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    intermediates_pem: bytes = b""
    cross_signed_pem: bytes = b""

    @property
    def tail_pem(self) -> bytes:
        """What follows a node's own certificate in its chain."""
        return self.intermediates_pem + self.cross_signed_pem


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate is for; decided by the manager, never taken from the request."""

    node_id: str
    cluster_id: str
    role: Role


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate chain (PEM, the node's own first) and what it says; ``key_digest`` as in ``public_key_digest``."""

    chain_pem: bytes
    identity: Identity
    key_digest: str

    @property
    def serial(self) -> str:
        return self.identity.serial


class Signer(Protocol):
    """Whatever can issue node certificates: the cluster's own key here, an outside authority elsewhere.

    Coroutines, since another signer may be across the network. PkiError: the request is refused for good.
    """

    async def sign(
        self, csr_pem: bytes, subject: Subject, *, now: datetime, validity: timedelta = DEFAULT_VALIDITY
    ) -> IssuedCertificate: ...


def backdate(validity: timedelta) -> timedelta:
    """How long before it is issued a certificate begins."""
    return min(BACKDATE, validity / 10)


def create_root(now: datetime, *, common_name: str = "", algorithm: str = P256) -> Root:
    """A new self-signed root, valid for 20 years from one hour before ``now`` (aware, UTC).

    Its name holds a part of its key's id: no two roots of a swarm have the same name, or OpenSSL and BoringSSL would
    take a root that another one has signed for one that has signed itself.
    """
    key = ec.generate_private_key(_CURVES[algorithm]())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    common_name = common_name or f"{CA_SERVER_NAME}-{identifier.digest.hex()[:8]}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    begin = minute(now - BACKDATE)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + ROOT_VALIDITY)
        .add_extension(key_usage(authority=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
    )
    certificate = builder.sign(key, signature_hash(key))
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Root(certificate.public_bytes(serialization.Encoding.PEM), key_pem)


class LocalSigner:
    """Issues with the cluster's own key, the root's or that of an intermediate below it.

    Raises PkiError when key and certificate do not belong together.
    """

    def __init__(self, root: Root) -> None:
        self._key = load_key(root.key_pem, "the cluster's root key")
        try:
            certificates = x509.load_pem_x509_certificates(root.intermediates_pem + root.certificate_pem)
        except UNREADABLE:
            raise PkiError("the cluster's root certificate cannot be read") from None
        digest = public_key_digest(self._key.public_key())
        matching = [one for one in certificates if public_key_digest(one.public_key()) == digest]
        if not matching:
            raise PkiError("the cluster's root key does not belong to its root certificate")
        self._certificate = matching[0]
        self._tail = root.tail_pem
        self._end = min(one.not_valid_after_utc for one in certificates)

    async def sign(
        self, csr_pem: bytes, subject: Subject, *, now: datetime, validity: timedelta = DEFAULT_VALIDITY
    ) -> IssuedCertificate:
        """Issue a certificate for the key in the request (see ``issue``)."""
        return self.issue(csr_pem, subject, now=now, validity=validity)

    def issue(
        self, csr_pem: bytes, subject: Subject, *, now: datetime, validity: timedelta = DEFAULT_VALIDITY
    ) -> IssuedCertificate:
        """Issue a certificate for the key in the request; of the request nothing but the key is used.

        It ends ``validity`` (at least half an hour) after ``now`` (aware, UTC), or with the root. Raises PkiError for a
        bad request, an expired root or a shorter validity.
        """
        if validity < MIN_VALIDITY:
            raise PkiError(f"a node certificate is valid for at least {MIN_VALIDITY}, not {validity}")
        check_id(subject.node_id, "the node id")
        check_id(subject.cluster_id, "the cluster id")
        public_key = check_csr(csr_pem)
        root_end = self._end
        if root_end <= now:
            raise PkiError(f"the cluster's root certificate has expired on {root_end:%Y-%m-%d}: rotate the root")
        end = min(minute(now + validity), root_end)
        certificate = self._build(public_key, subject, minute(now - backdate(validity)), end).sign(
            self._key, signature_hash(self._key)
        )
        return IssuedCertificate(
            certificate.public_bytes(serialization.Encoding.PEM) + self._tail,
            identity_of(certificate),
            public_key_digest(public_key),
        )

    def _build(
        self, public_key: PublicKey, subject: Subject, begin: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        issuer = self._certificate
        return (
            x509.CertificateBuilder()
            .subject_name(_subject_name(subject))
            .issuer_name(issuer.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(key_usage(authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(authority_key(issuer), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names(subject)]), critical=False)
        )


def _subject_name(subject: Subject) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, UNIT_OF_ROLE[subject.role]),
            x509.NameAttribute(NameOID.COMMON_NAME, subject.node_id),
        ]
    )


def names(subject: Subject) -> list[str]:
    """The DNS names of a node's certificate, which clients ask for."""
    found = [UNIT_OF_ROLE[subject.role], subject.node_id]
    if subject.role == "manager":
        found.append(CA_SERVER_NAME)
    return found


def key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Names the issuer by the key id it carries itself (an imported root may count it in its own way)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # whoever signs was checked before
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def minute(moment: datetime) -> datetime:
    """The minute it is in, in UTC. ValueError for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone was given: hand in UTC")
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
