# SPDX-License-Identifier: Apache-2.0
"""Certificates whose parts cannot be read when they are asked for: refused, and no surprise for anybody."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from queenright.edge.pki.authority import LocalSigner, Subject, create_root
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import make_csr, make_key
from queenright.edge.pki.peer import read_identity
from queenright.edge.pki.succession import cross_sign, leads
from queenright.model.ids import new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODE, CLUSTER = new_id(b"\x01" * 17), new_id(b"\x02" * 17)


def damaged(pem: bytes, part: bytes, by: bytes) -> bytes:
    """The certificate with one part of it, of the same length, exchanged."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    assert der.count(part) >= 1 and len(part) == len(by)
    text = base64.encodebytes(der.replace(part, by, 1)).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()


def test_a_name_that_is_no_text_is_refused() -> None:
    root = create_root(NOW)
    issued = LocalSigner(root).issue(make_csr(make_key()), Subject(NODE, CLUSTER, "worker"), now=NOW)
    with pytest.raises(PkiError, match="a part of it cannot be read"):
        read_identity(damaged(issued.chain_pem, NODE.encode(), b"\xff" + NODE.encode()[1:]))


def test_a_step_with_a_key_that_is_none_leads_nowhere() -> None:
    old, new = create_root(NOW), create_root(NOW)
    crossed = cross_sign(old, new.certificate_pem)
    assert leads(old.certificate_pem, new.certificate_pem, [crossed])
    point = (
        x509.load_pem_x509_certificate(crossed)
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    assert not leads(old.certificate_pem, new.certificate_pem, [damaged(crossed, point, b"\x04" + b"\xff" * 64)])
