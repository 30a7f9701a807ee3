# SPDX-License-Identifier: Apache-2.0
"""Who issued a certificate, in the form the Engine API shows it."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from queenright.edge.pki.peer import issued, read_chain


def issuer_info(chain_pem: bytes, root_pem: bytes) -> tuple[str, str]:
    """(subject, public key) of the issuer of a node's certificate: base64 of the DER name and of the DER key.

    The key is looked up among the chain and the roots; it is empty where the issuer is in neither.
    """
    chain = read_chain(chain_pem)
    leaf = chain[0]
    key = next((_public_key(one) for one in (*chain[1:], *read_chain(root_pem)) if issued(leaf, one)), b"")
    return base64.b64encode(leaf.issuer.public_bytes()).decode("ascii"), base64.b64encode(key).decode("ascii")


def authority_info(certificates_pem: bytes) -> tuple[str, str]:
    """(subject, public key) of the first certificate of a PEM text, in the same form."""
    first = read_chain(certificates_pem)[0]
    subject, key = first.subject.public_bytes(), _public_key(first)
    return base64.b64encode(subject).decode("ascii"), base64.b64encode(key).decode("ascii")


def _public_key(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
