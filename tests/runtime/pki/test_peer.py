# SPDX-License-Identifier: Apache-2.0
"""Reading and verifying certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from queenright.edge.pki import peer
from queenright.edge.pki.authority import LocalSigner, Root, Subject, create_root
from queenright.edge.pki.errors import CertificateExpiredError, CertificateNotYetValidError, PkiError
from queenright.edge.pki.keys import make_csr, make_key
from queenright.edge.pki.peer import IdentityCache, read_identity, verify

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
NODE, CLUSTER = "n" * 25, "c" * 25
SUBJECT = Subject(NODE, CLUSTER, "worker")


@pytest.fixture(scope="module")
def root() -> Root:
    return create_root(NOW)


@pytest.fixture(scope="module")
def key() -> bytes:
    return make_key()


@pytest.fixture(scope="module")
def chain(root: Root, key: bytes) -> bytes:
    return LocalSigner(root).issue(make_csr(key), SUBJECT, now=NOW).chain_pem


def certificate(
    root: Root,
    names: list[tuple[x509.ObjectIdentifier, str]],
    *,
    ca: bool = False,
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
) -> bytes:
    """A certificate that the root signed although the signer never would."""
    issuer = x509.load_pem_x509_certificate(root.certificate_pem)
    signing = serialization.load_pem_private_key(root.key_pem, None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in names]))
        .issuer_name(issuer.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
    return builder.sign(signing, algorithm or hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


GOOD = [
    (NameOID.ORGANIZATION_NAME, CLUSTER),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "swarm-worker"),
    (NameOID.COMMON_NAME, NODE),
]


def test_an_identity_says_who_where_what_and_until_when(chain: bytes) -> None:
    identity = read_identity(chain)
    assert (identity.node_id, identity.cluster_id, identity.role) == (NODE, CLUSTER, "worker")
    assert identity.serial == f"{x509.load_pem_x509_certificate(chain).serial_number:x}"
    assert identity.not_before == NOW - timedelta(hours=1)
    assert identity.not_after == NOW + timedelta(days=90)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (GOOD[1:], "0 values for organisation"),
        (GOOD[:2], "0 values for common name"),
        ([GOOD[0], GOOD[2]], "0 values for organisational unit"),
        ([*GOOD, (NameOID.ORGANIZATIONAL_UNIT_NAME, "swarm-manager")], "2 values for organisational unit"),
        ([*GOOD, (NameOID.COMMON_NAME, "m" * 25)], "2 values for common name"),
        ([*GOOD, (NameOID.ORGANIZATION_NAME, "m" * 25)], "2 values for organisation"),
        ([GOOD[0], (NameOID.ORGANIZATIONAL_UNIT_NAME, "SWARM-MANAGER"), GOOD[2]], "no role"),
        ([GOOD[0], GOOD[1], (NameOID.COMMON_NAME, "evil")], "not an id"),
        ([(NameOID.ORGANIZATION_NAME, "acme"), *GOOD[1:]], "not an id"),
    ],
)
def test_a_certificate_that_is_not_exactly_a_nodes_is_refused(
    root: Root, names: list[tuple[x509.ObjectIdentifier, str]], says: str
) -> None:
    with pytest.raises(PkiError, match=says):
        read_identity(certificate(root, names))


@pytest.mark.parametrize("pem", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(pem: bytes, chain: bytes, root: Root) -> None:
    with pytest.raises(PkiError, match="cannot be read"):
        read_identity(pem)
    with pytest.raises(PkiError, match="cannot be read"):
        verify(root.certificate_pem, pem, NOW)
    with pytest.raises(PkiError, match="cannot be read"):
        verify(pem, chain, NOW)


def test_a_good_chain_is_verified(root: Root, chain: bytes, key: bytes) -> None:
    assert verify(root.certificate_pem, chain, NOW, key_pem=key).node_id == NODE
    assert verify(root.certificate_pem, chain + root.certificate_pem, NOW).node_id == NODE
    assert verify(create_root(NOW).certificate_pem + root.certificate_pem, chain, NOW).node_id == NODE


def test_a_chain_through_an_authority_between_is_verified(root: Root) -> None:
    other = create_root(NOW, common_name="swarm-ca-2")
    between = x509.load_pem_x509_certificate(other.certificate_pem)
    issuer = x509.load_pem_x509_certificate(root.certificate_pem)
    signing = serialization.load_pem_private_key(root.key_pem, None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    crossed = (
        x509.CertificateBuilder()
        .subject_name(between.subject)
        .issuer_name(issuer.subject)
        .public_key(between.public_key())
        .serial_number(9)
        .not_valid_before(between.not_valid_before_utc)
        .not_valid_after(between.not_valid_after_utc)
        .add_extension(between.extensions.get_extension_for_class(x509.BasicConstraints).value, True)
        .add_extension(between.extensions.get_extension_for_class(x509.KeyUsage).value, True)
        .sign(signing, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    leaf = LocalSigner(other).issue(make_csr(make_key()), SUBJECT, now=NOW).chain_pem
    assert verify(root.certificate_pem, leaf + crossed, NOW).node_id == NODE
    with pytest.raises(PkiError, match="not issued by this cluster's root"):
        verify(root.certificate_pem, leaf, NOW)
    with pytest.raises(PkiError, match="chain is broken"):
        verify(root.certificate_pem, leaf + root.certificate_pem, NOW)


def test_another_cluster_with_a_root_of_the_same_name_is_refused(chain: bytes) -> None:
    with pytest.raises(PkiError, match="not issued by this cluster's root"):
        verify(create_root(NOW).certificate_pem, chain, NOW)


def test_another_nodes_key_is_refused(root: Root, chain: bytes) -> None:
    with pytest.raises(PkiError, match="does not belong to this node's private key"):
        verify(root.certificate_pem, chain, NOW, key_pem=make_key())


def test_a_node_cannot_issue(root: Root, chain: bytes, key: bytes) -> None:
    """A leaf signed by a node's own key and certificate leads nowhere."""
    mine = x509.load_pem_x509_certificate(chain)
    signing = serialization.load_pem_private_key(key, None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in GOOD]))
        .issuer_name(mine.subject)
        .public_key(signing.public_key())
        .serial_number(3)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(signing, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    with pytest.raises(PkiError, match="chain is broken"):
        verify(root.certificate_pem, forged + chain, NOW)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ca": True}, "authority's"),
        ({"usages": ()}, "what it may be used for"),
        ({"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "both server and client"),
        ({"algorithm": hashes.SHA224()}, "not issued by"),
    ],
)
def test_a_certificate_for_another_use_is_refused(root: Root, options: dict[str, object], says: str) -> None:
    with pytest.raises(PkiError, match=says):
        verify(root.certificate_pem, certificate(root, GOOD, **options), NOW)  # type: ignore[arg-type]


def test_the_root_itself_is_no_node(root: Root) -> None:
    with pytest.raises(PkiError, match="authority's"):
        verify(root.certificate_pem, root.certificate_pem, NOW)


def test_time_decides_and_the_error_names_both_times(root: Root, chain: bytes) -> None:
    end = NOW + timedelta(days=90)
    assert verify(root.certificate_pem, chain, end).not_after == end
    with pytest.raises(CertificateExpiredError, match=r"expired on 2026-06-02T05:06:00Z.*says 2026-06-02T05:06:01Z"):
        verify(root.certificate_pem, chain, end + timedelta(seconds=1))
    with pytest.raises(CertificateNotYetValidError, match="set the clocks"):
        verify(root.certificate_pem, chain, NOW - timedelta(hours=1, seconds=1))


def test_an_endless_chain_is_refused(root: Root, chain: bytes) -> None:
    with pytest.raises(PkiError, match="at most 8"):
        verify(root.certificate_pem, chain + root.certificate_pem * 8, NOW)


def test_the_cache_parses_once_and_forgets_the_longest_unused(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = LocalSigner(root)
    chains = [signer.issue(make_csr(make_key()), SUBJECT, now=NOW).chain_pem for _ in range(3)]
    parsed: list[bytes] = []
    real = read_identity
    monkeypatch.setattr(peer, "read_identity", lambda pem: parsed.append(pem) or real(pem))
    cache = IdentityCache(size=2)
    assert cache.identity(chains[0]) is cache.identity(chains[0])
    assert parsed == [chains[0]]
    cache.identity(chains[1])
    cache.identity(chains[0])
    cache.identity(chains[2])  # chains[1] goes
    assert len(cache) == 2
    cache.identity(chains[0])
    assert parsed == [chains[0], chains[1], chains[2]]
    cache.identity(chains[1])
    assert parsed[-1] == chains[1]


def test_the_cache_does_not_remember_what_cannot_be_read() -> None:
    cache = IdentityCache()
    with pytest.raises(PkiError):
        cache.identity(b"junk")
    assert len(cache) == 0
