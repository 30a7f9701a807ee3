# SPDX-License-Identifier: Apache-2.0
"""One root after another: brought along, signed by the one before it, and recognised by who knows only that one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from queenright.edge.pki.authority import Root, authority_key, key_usage, minute
from queenright.edge.pki.errors import UNREADABLE, PkiError
from queenright.edge.pki.keys import load_key, public_key_digest, signature_hash
from queenright.edge.pki.peer import issued, read_chain

LEAST_LEFT = timedelta(days=365)  # of the life of a root that is brought along
MOST_INTERMEDIATES = 2
MOST_STEPS = 32  # from root to root on the way home


@dataclass(frozen=True, slots=True)
class Imported:
    """Certificates that were brought along, checked and in the form in which they are kept; all PEM."""

    root_pem: bytes
    intermediates_pem: bytes = b""
    key_pem: bytes = field(default=b"", repr=False)


def read_import(certificates_pem: bytes, key_pem: bytes, now: datetime) -> Imported:
    """A root, or the certificates from an intermediate that signs up to its root, with the key of the first.

    No key (empty): an authority outside has it; then there is nothing but the root. Raises PkiError unless each is an
    authority that is valid now and for another year, each is signed by the next, and the last by itself.
    """
    chain = read_chain(certificates_pem)
    root = chain[-1]
    if not issued(root, root):
        raise PkiError("the last certificate is no root: it is not an authority that has signed itself")
    if len(chain) - 1 > MOST_INTERMEDIATES:
        raise PkiError(f"there are more than {MOST_INTERMEDIATES} certificates before the root")
    if len(chain) > 1 and not key_pem:
        raise PkiError("without its key, an intermediate certificate is of no use: give the root alone, or the key")
    for certificate, issuer in pairwise(chain):
        if not issued(certificate, issuer):
            raise PkiError("a certificate is not signed by the next one: begin with the one that shall sign")
    _check_depth(chain)
    for certificate in chain:
        _check_kind(certificate)
        if certificate.not_valid_before_utc > now:
            raise PkiError(f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} on only")
        if certificate.not_valid_after_utc < now + LEAST_LEFT:
            raise PkiError(
                f"the certificate ends on {certificate.not_valid_after_utc:%Y-%m-%d}: it must be valid for another year"
            )
    if key_pem:
        key = load_key(key_pem, "the key of the certificate that shall sign")
        if public_key_digest(key.public_key()) != public_key_digest(chain[0].public_key()):
            raise PkiError("the key does not belong to the first certificate")
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    return Imported(_pem(root), b"".join(map(_pem, chain[:-1])), key_pem)


def _check_depth(chain: list[x509.Certificate]) -> None:
    """Whoever limits how many authorities may stand below it, must let those stand that do."""
    for below, certificate in enumerate(chain):
        limit = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        if limit is not None and limit < below:
            raise PkiError(f"a certificate allows only {limit} authorities below it, and there are {below}")


def _check_kind(certificate: x509.Certificate) -> None:
    """Authorities that nodes could not check in reasonable time, or should not trust. Raises PkiError."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            return
    elif isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192:
        return
    raise PkiError("the key of an authority must be of P-256, P-384, P-521, or RSA of 2048 to 8192 bits")


def cross_sign(old: Root, new_root_pem: bytes) -> bytes:
    """The new root as signed with the old one's key (PEM): its name, key, key id and end, below the old root.

    It names its issuer by key id: without that, OpenSSL and BoringSSL do not find the way through roots of one name.
    """
    new = read_chain(new_root_pem)[0]
    key = load_key(old.key_pem, "the cluster's root key")
    digest = public_key_digest(key.public_key())
    signers = read_chain(old.intermediates_pem + old.certificate_pem)
    issuer = next((one for one in signers if public_key_digest(one.public_key()) == digest), None)
    if issuer is None:
        raise PkiError("the cluster's root key does not belong to its root certificate")
    limit = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if limit == 0:
        raise PkiError("the present authority may not sign another one: its certificate allows none below it")
    builder = (
        x509.CertificateBuilder()
        .subject_name(new.subject)
        .issuer_name(issuer.subject)
        .public_key(new.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(minute(max(new.not_valid_before_utc, issuer.not_valid_before_utc)))
        .not_valid_after(min(new.not_valid_after_utc, issuer.not_valid_after_utc))
        .add_extension(key_usage(authority=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_identifier(new), critical=False)
        .add_extension(authority_key(issuer), critical=False)
    )
    return _pem(builder.sign(key, signature_hash(key))) + old.intermediates_pem


def root_request(new: Root) -> bytes:
    """A request (PEM) for the new root's name, made with its key: for an authority that shall sign it from outside."""
    certificate = read_chain(new.certificate_pem)[0]
    key = load_key(new.key_pem, "the new root's key")
    if public_key_digest(key.public_key()) != public_key_digest(certificate.public_key()):
        raise PkiError("only a root itself can be signed by the external CA of before, not one above an intermediate")
    builder = x509.CertificateSigningRequestBuilder().subject_name(certificate.subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, signature_hash(key)).public_bytes(serialization.Encoding.PEM)


def key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """The id of its key that it carries itself, or the usual one."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())


def check_cross_signed(cross_pem: bytes, old_root_pem: bytes, new_root_pem: bytes) -> None:
    """Raise PkiError unless the first certificate stands for the new root below the old one."""
    if not leads(old_root_pem, new_root_pem, [cross_pem]):
        raise PkiError("what was signed is not the new root below the present one")


def leads(known_pem: bytes, wanted_pem: bytes, path: list[bytes]) -> bool:
    """Whether every root of ``wanted_pem`` is one of ``known_pem``, or was signed by one that is trusted by this rule.

    ``path`` holds roots as signed by those before them, each followed by the intermediates between the two.
    """
    trusted = {_whole(one): one for one in read_chain(known_pem)}
    wanted = read_chain(wanted_pem)
    steps = [read_chain(one) for one in path[:MOST_STEPS]]
    for _ in range(len(steps) + 1):
        for root in wanted:
            if any(_stands_for(step, root, list(trusted.values())) for step in steps):
                trusted[_whole(root)] = root
        grown = len(trusted)
        for step in steps:
            if _below(step, list(trusted.values())):
                trusted.setdefault(_whole(step[0]), step[0])
        if len(trusted) == grown:
            break
    return all(_whole(root) in trusted for root in wanted)


def _below(step: list[x509.Certificate], trusted: list[x509.Certificate]) -> bool:
    """Whether a step's authority was signed, by way of its intermediates, by one that is trusted."""
    return all(issued(one, issuer) for one, issuer in pairwise(step)) and any(
        issued(step[-1], issuer) for issuer in trusted
    )


def _stands_for(step: list[x509.Certificate], root: x509.Certificate, trusted: list[x509.Certificate]) -> bool:
    """Whether a step is that root (its name and its key) as signed by one that is trusted."""
    try:
        same = step[0].subject == root.subject and public_key_digest(step[0].public_key()) == public_key_digest(
            root.public_key()
        )
    except UNREADABLE:  # parts of a certificate are read when they are asked for
        return False
    return same and issued(root, root) and _below(step, trusted)


def _whole(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
