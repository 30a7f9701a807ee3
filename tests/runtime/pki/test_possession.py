# SPDX-License-Identifier: Apache-2.0
"""Whoever has a key can show it, for one request and one challenge; nobody else can."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from queenright.edge.pki.authority import LocalSigner, Subject, create_root
from queenright.edge.pki.keys import make_csr, make_key
from queenright.edge.pki.possession import is_proven, prove

NOW = datetime.now(UTC)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certified(key: bytes) -> bytes:
    subject = Subject("1" + 24 * "n", "1" + 24 * "c", "worker")
    return LocalSigner(create_root(NOW)).issue(make_csr(key), subject, now=NOW).chain_pem


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_a_proof_is_good_for_one_challenge_and_one_request(kind: str) -> None:
    makers = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }
    key = pem(makers[kind]())
    chain = certified(key)
    proof = prove(key, b"challenge", b"request")
    assert is_proven(chain, proof, b"challenge", b"request")
    assert not is_proven(chain, proof, b"challengE", b"request")
    assert not is_proven(chain, proof, b"challenge", b"requesT")
    assert not is_proven(chain, proof, b"challenger", b"equest")
    assert not is_proven(chain, proof[:-1], b"challenge", b"request")
    assert not is_proven(chain, b"", b"challenge", b"request")
    assert not is_proven(certified(make_key()), proof, b"challenge", b"request")
