# SPDX-License-Identifier: Apache-2.0
"""Proof that who speaks has the key of a certificate: for a node whose certificate opens no connection any more."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from queenright.edge.pki.errors import UNREADABLE
from queenright.edge.pki.keys import load_key, signature_hash
from queenright.edge.pki.peer import read_chain

PURPOSE = b"queenright: this node comes home\0"
"""Begins each signed text: a signature that was made for another purpose is none for this one."""


def prove(key_pem: bytes, challenge: bytes, request: bytes) -> bytes:
    """A signature over what a manager has asked for, and over the request that it is to go with."""
    key = load_key(key_pem)
    message = _message(challenge, request)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(signature_hash(key)))
    return key.sign(message, padding.PKCS1v15(), signature_hash(key))


def is_proven(certificate_pem: bytes, proof: bytes, challenge: bytes, request: bytes) -> bool:
    """Whether ``proof`` was made with the key of the first certificate. Raises PkiError where that cannot be read."""
    key = read_chain(certificate_pem)[0].public_key()
    message = _message(challenge, request)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(proof, message, ec.ECDSA(signature_hash(key)))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(proof, message, padding.PKCS1v15(), signature_hash(key))
        else:
            return False
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _message(challenge: bytes, request: bytes) -> bytes:
    return PURPOSE + len(challenge).to_bytes(4, "big") + challenge + request
