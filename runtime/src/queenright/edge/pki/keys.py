# SPDX-License-Identifier: Apache-2.0
"""Private keys, their digests, and certificate requests: made here, and checked when another node sends one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from queenright.edge.pki.errors import UNREADABLE, PkiError

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

MAX_REQUEST_BYTES = 16 * 1024
_RSA_BITS = range(2048, 8192 + 1)  # above that, one check of a signature costs a manager too much
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def make_key() -> bytes:
    """A new P-256 private key as PKCS#8 PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(key_pem: bytes, what: str = "the private key") -> PrivateKey:
    """Read a PEM private key (PKCS#8, SEC1 or PKCS#1). Raises PkiError naming ``what``, never showing its bytes."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except UNREADABLE:
        raise PkiError(f"{what} cannot be read: it is damaged, encrypted or no PEM private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PkiError(f"{what} is neither an elliptic-curve nor an RSA key")
    return key


def is_encrypted(key_pem: bytes) -> bool:
    """Whether this is a private key that a password opens."""
    return _ENCRYPTED in key_pem


def encrypt_key(key_pem: bytes, password: bytes) -> bytes:
    """The same key as encrypted PKCS#8 PEM. ``password`` has 256 bits of its own: nobody gains by guessing."""
    return load_key(key_pem).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )


def open_key(key_pem: bytes, passwords: Sequence[bytes]) -> bytes | None:
    """The key of an encrypted file in clear (PKCS#8 PEM), None if none of the passwords opens it."""
    for password in passwords:
        try:
            key = serialization.load_pem_private_key(key_pem, password=password)
        except UNREADABLE:
            continue
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    return None


def public_key_digest(key: PublicKeyTypes) -> str:
    """``sha256:<hexadecimal>`` over the DER form (SubjectPublicKeyInfo) of a public key."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(der).hexdigest()


def key_digest(key_pem: bytes) -> str:
    """The digest of the public half of a private key, see ``public_key_digest``."""
    return public_key_digest(load_key(key_pem).public_key())


def make_csr(key_pem: bytes) -> bytes:
    """A certificate request (PEM) for this key with an empty subject: the manager decides who the holder is."""
    key = load_key(key_pem)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, signature_hash(key))
    return request.public_bytes(serialization.Encoding.PEM)


def signature_hash(key: PrivateKey | PublicKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """The hash that goes with a signing key: as strong as its curve, SHA-256 for RSA."""
    bits = key.curve.key_size if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) else 256
    if bits <= 256:
        return hashes.SHA256()
    return hashes.SHA384() if bits <= 384 else hashes.SHA512()


def check_csr(csr_pem: bytes) -> PublicKey:
    """The public key of a certificate request; everything else in it is ignored.

    Raises PkiError unless it is one PEM request, signed by its own key (P-256, P-384 or RSA of 2048 to 8192 bits) with
    SHA-256 or stronger.
    """
    if len(csr_pem) > MAX_REQUEST_BYTES:
        raise PkiError(f"the certificate request is larger than {MAX_REQUEST_BYTES} bytes")
    if csr_pem.count(b"-----BEGIN") != 1:
        raise PkiError("the certificate request is not one PEM block")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        algorithm = request.signature_hash_algorithm
    except UNREADABLE:
        raise PkiError("the certificate request cannot be read") from None
    checked = _allowed(key)
    if not isinstance(algorithm, _STRONG_HASHES):
        raise PkiError("the certificate request is signed with a weak hash: SHA-256 or stronger is needed")
    try:
        valid = request.is_signature_valid
    except (*UNREADABLE, InvalidSignature):
        valid = False
    if not valid:
        raise PkiError("the certificate request is not signed by its own key")
    return checked


def csr_key_digest(csr_pem: bytes) -> str:
    """The digest of the key in a request that ``check_csr`` accepts: what a ticket is bound to."""
    return public_key_digest(check_csr(csr_pem))


def _allowed(key: PublicKeyTypes) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            return key
        raise PkiError(f"the key's curve {key.curve.name} is not allowed: P-256, P-384 or RSA of 2048 bits is needed")
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size in _RSA_BITS:
            return key
        raise PkiError(f"an RSA key of {key.key_size} bits is not allowed: 2048 to 8192 bits are needed")
    raise PkiError("the kind of key is not allowed: P-256, P-384 or RSA of 2048 bits is needed")
