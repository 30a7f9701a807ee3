# SPDX-License-Identifier: Apache-2.0
"""The root, and node certificates: all of it decided by the manager, nothing by the request."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from queenright.edge.pki.authority import LocalSigner, Root, Subject, create_root
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import check_csr, csr_key_digest, key_digest, make_csr, make_key
from queenright.edge.pki.peer import verify

NOW = datetime(2026, 3, 4, 5, 6, 47, 123456, tzinfo=UTC)
MINUTE = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
NODE, CLUSTER = "n" * 25, "c" * 25
WORKER = Subject(NODE, CLUSTER, "worker")
MANAGER = Subject(NODE, CLUSTER, "manager")
REQUEST = make_csr(make_key())


@pytest.fixture(scope="module")
def root() -> Root:
    return create_root(NOW)


def load(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def pem_request(builder: x509.CertificateSigningRequestBuilder, key: object) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]


def test_the_root_is_a_p256_authority_for_twenty_years(root: Root) -> None:
    certificate = load(root.certificate_pem)
    assert certificate.subject.rfc4514_string() == certificate.issuer.rfc4514_string()
    assert certificate.subject.rfc4514_string().startswith("CN=swarm-ca-")
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert certificate.not_valid_before_utc == MINUTE - timedelta(hours=1)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(seconds=630_720_000)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=None)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert root.key_pem.startswith(b"-----BEGIN EC PRIVATE KEY-----")


def test_the_roots_key_is_not_in_its_repr(root: Root) -> None:
    assert "EC PRIVATE KEY" not in repr(root)


async def test_a_worker_gets_its_names_usages_and_times(root: Root) -> None:
    key = make_key()
    issued = await LocalSigner(root).sign(make_csr(key), WORKER, now=NOW)
    certificate = load(issued.chain_pem)
    assert certificate.subject == x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, CLUSTER),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "swarm-worker"),
            x509.NameAttribute(NameOID.COMMON_NAME, NODE),
        ]
    )
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["swarm-worker", NODE]
    assert len(names) == 2
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    own = load(root.certificate_pem).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own.digest
    assert certificate.not_valid_before_utc == MINUTE - timedelta(hours=1)
    assert certificate.not_valid_after_utc == MINUTE + timedelta(days=90)
    assert issued.serial == f"{certificate.serial_number:x}"
    assert issued.key_digest == key_digest(key)
    assert verify(root.certificate_pem, issued.chain_pem, NOW, key_pem=key) == issued.identity


def test_a_manager_answers_to_the_name_of_the_authority_too(root: Root) -> None:
    issued = LocalSigner(root).issue(make_csr(make_key()), MANAGER, now=NOW)
    names = load(issued.chain_pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["swarm-manager", NODE, "swarm-ca"]
    assert issued.identity.role == "manager"


def test_two_certificates_have_two_serials(root: Root) -> None:
    signer, request = LocalSigner(root), make_csr(make_key())
    assert signer.issue(request, WORKER, now=NOW).serial != signer.issue(request, WORKER, now=NOW).serial


def test_a_request_has_an_empty_subject() -> None:
    request = x509.load_pem_x509_csr(make_csr(make_key()))
    assert len(request.subject) == 0
    assert len(request.extensions) == 0


def test_a_forged_request_gets_nothing_of_what_it_asks_for(root: Root) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    forged = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x" * 25),
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "swarm-manager"),
                    x509.NameAttribute(NameOID.COMMON_NAME, "evil"),
                ]
            )
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("swarm-manager"), x509.DNSName("swarm-ca")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
    )
    issued = LocalSigner(root).issue(pem_request(forged, key), WORKER, now=NOW)
    plain = LocalSigner(root).issue(make_csr(make_key()), WORKER, now=NOW)
    certificate, expected = load(issued.chain_pem), load(plain.chain_pem)
    assert certificate.subject == expected.subject
    differing = (x509.SubjectKeyIdentifier,)
    assert [one for one in certificate.extensions if not isinstance(one.value, differing)] == [
        one for one in expected.extensions if not isinstance(one.value, differing)
    ]


def broken_signature() -> bytes:
    request = x509.load_pem_x509_csr(make_csr(make_key()))
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    other = x509.load_pem_x509_csr(make_csr(make_key())).public_bytes(serialization.Encoding.DER)
    point = request.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    foreign = (
        x509.load_der_x509_csr(other)
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    return x509.load_der_x509_csr(bytes(der).replace(point, foreign)).public_bytes(serialization.Encoding.PEM)


def empty(key: object, algorithm: object) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_pem", "says"),
    [
        (lambda: b"", "not one PEM block"),
        (lambda: b"junk", "not one PEM block"),
        (lambda: make_csr(make_key()) * 2, "not one PEM block"),
        (lambda: b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
        (make_key, "cannot be read"),
        (lambda: create_root(NOW).certificate_pem, "cannot be read"),
        (lambda: make_csr(make_key()) + b" " * 20_000, "larger than"),
        (broken_signature, "not signed by its own key"),
        (lambda: empty(ec.generate_private_key(ec.SECP521R1()), hashes.SHA256()), "curve secp521r1"),
        (lambda: empty(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()), "curve secp256k1"),
        (lambda: empty(ed25519.Ed25519PrivateKey.generate(), None), "kind of key"),
        (lambda: empty(rsa.generate_private_key(65537, 1024), hashes.SHA256()), "1024 bits"),
        (lambda: empty(ec.generate_private_key(ec.SECP256R1()), hashes.SHA224()), "weak hash"),
    ],
)
def test_a_bad_request_is_refused(root: Root, request_pem, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PkiError, match=says):
        LocalSigner(root).issue(request_pem(), WORKER, now=NOW)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_request_is_refused_or_still_carries_its_own_signature(data: st.DataObject) -> None:
    der = bytearray(x509.load_pem_x509_csr(REQUEST).public_bytes(serialization.Encoding.DER))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    body = base64.encodebytes(bytes(der))
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"
    try:
        key = check_csr(pem)
    except PkiError:
        return
    assert key == check_csr(REQUEST)


def test_a_request_of_an_unknown_version_is_refused() -> None:
    der = x509.load_pem_x509_csr(REQUEST).public_bytes(serialization.Encoding.DER)
    version = der.index(b"\x02\x01\x00")
    strange = der[:version] + b"\x02\x01\x07" + der[version + 3 :]
    body = base64.encodebytes(strange)
    with pytest.raises(PkiError, match="cannot be read"):
        check_csr(b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n")


@pytest.mark.parametrize(
    "key",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
def test_the_allowed_kinds_of_key_get_a_certificate(root: Root, key) -> None:  # type: ignore[no-untyped-def]
    request = empty(key(), hashes.SHA256())
    issued = LocalSigner(root).issue(request, WORKER, now=NOW)
    assert issued.key_digest == csr_key_digest(request)
    assert load(issued.chain_pem).public_key() == check_csr(request)


def test_a_key_digest_names_its_kind() -> None:
    key = make_key()
    assert key_digest(key) == csr_key_digest(make_csr(key))
    assert key_digest(key).startswith("sha256:")
    assert len(key_digest(key)) == len("sha256:") + 64


def test_less_than_half_an_hour_is_refused(root: Root) -> None:
    signer, request = LocalSigner(root), make_csr(make_key())
    with pytest.raises(PkiError, match="at least 0:30:00"):
        signer.issue(request, WORKER, now=NOW, validity=timedelta(minutes=29, seconds=59))
    issued = signer.issue(request, WORKER, now=NOW, validity=timedelta(minutes=30))
    assert issued.identity.not_after == MINUTE + timedelta(minutes=30)


def test_a_short_certificate_begins_a_tenth_of_its_life_early(root: Root) -> None:
    signer, request = LocalSigner(root), make_csr(make_key())
    for hours, minutes in ((0.5, 3), (1, 6), (5, 30), (10, 60), (2160, 60)):
        issued = signer.issue(request, WORKER, now=MINUTE, validity=timedelta(hours=hours))
        assert MINUTE - issued.identity.not_before == timedelta(minutes=minutes)


def test_a_certificate_ends_with_its_root_at_the_latest(root: Root) -> None:
    end = load(root.certificate_pem).not_valid_after_utc
    signer, request = LocalSigner(root), make_csr(make_key())
    assert signer.issue(request, WORKER, now=end - timedelta(days=1)).identity.not_after == end
    with pytest.raises(PkiError, match="rotate the root"):
        signer.issue(request, WORKER, now=end)


@pytest.mark.parametrize("subject", [Subject("evil", CLUSTER, "worker"), Subject(NODE, "", "worker")])
def test_a_subject_that_is_no_id_is_refused(root: Root, subject: Subject) -> None:
    with pytest.raises(ValueError, match="is not an id"):
        LocalSigner(root).issue(make_csr(make_key()), subject, now=NOW)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        create_root(NOW.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("key_pem", "says"),
    [
        (lambda: create_root(NOW).key_pem, "does not belong"),
        (lambda: b"-----BEGIN EC PRIVATE KEY-----\nsecret\n-----END EC PRIVATE KEY-----\n", "cannot be read"),
    ],
)
def test_a_signer_needs_the_roots_own_key(root: Root, key_pem, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PkiError, match=says) as caught:
        LocalSigner(Root(root.certificate_pem, key_pem()))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_root_with_another_kind_of_key_signs_too() -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "imported")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        .sign(key, hashes.SHA256())
    )
    imported = Root(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    issued = LocalSigner(imported).issue(make_csr(make_key()), WORKER, now=NOW)
    assert verify(imported.certificate_pem, issued.chain_pem, NOW) == issued.identity
