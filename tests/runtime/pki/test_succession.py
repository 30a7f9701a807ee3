# SPDX-License-Identifier: Apache-2.0
"""One root after another, as OpenSSL, BoringSSL and our own check see them."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from queenright.edge.pki import peer
from queenright.edge.pki.authority import LocalSigner, Root, Subject, authority_key, create_root, key_usage
from queenright.edge.pki.describe import authority_info, issuer_info
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import load_key, make_csr, make_key, signature_hash
from queenright.edge.pki.succession import Imported, check_cross_signed, cross_sign, leads, read_import

NOW = datetime.now(UTC).replace(microsecond=0)
CLUSTER, NODE = "1" + 24 * "c", "1" + 24 * "n"


def successor(old: Root, *, name: str = "") -> Root:
    """Another root, signed by the old one as well."""
    new = create_root(NOW, common_name=name)
    return dataclasses.replace(new, cross_signed_pem=cross_sign(old, new.certificate_pem))


def leaf(root: Root) -> tuple[bytes, bytes]:
    """(key, chain) of a manager."""
    key = make_key()
    subject = Subject(NODE, CLUSTER, "manager")
    return key, LocalSigner(root).issue(make_csr(key), subject, now=NOW).chain_pem


def authority(
    issuer: Root | None = None, *, years: float = 10, depth: int | None = None, name: str = "imported", begin: float = 0
) -> Root:
    """A root of somebody else's, or an intermediate below one."""
    key_pem = make_key()
    key = load_key(key_pem)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = peer.read_chain(issuer.intermediates_pem + issuer.certificate_pem)[0] if issuer else None
    signer = load_key(issuer.key_pem) if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1) + timedelta(days=begin))
        .not_valid_after(NOW + timedelta(days=365 * years))
        .add_extension(key_usage(authority=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if above is not None:
        builder = builder.add_extension(authority_key(above), critical=False)
    pem = builder.sign(signer, signature_hash(signer)).public_bytes(serialization.Encoding.PEM)
    if issuer is None:
        return Root(pem, key_pem)
    return Root(issuer.certificate_pem, key_pem, pem + issuer.intermediates_pem)


# -- names and keys


def test_no_two_roots_have_the_same_name_or_key_id() -> None:
    found = [peer.read_chain(create_root(NOW).certificate_pem)[0] for _ in range(4)]
    assert len({one.subject for one in found}) == 4
    for one in found:
        identifier = one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        assert one.subject.rfc4514_string() == f"CN=swarm-ca-{identifier[:8]}"


def test_a_root_is_of_the_curve_that_was_asked_for() -> None:
    root = create_root(NOW, algorithm="p384")
    key = peer.read_chain(root.certificate_pem)[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp384r1"
    _, chain = leaf(root)
    assert peer.verify(root.certificate_pem, chain, NOW).node_id == NODE


def test_a_cross_signed_root_names_both_keys() -> None:
    old = create_root(NOW)
    new = successor(old)
    cross, root, former = (
        peer.read_chain(pem)[0] for pem in (new.cross_signed_pem, new.certificate_pem, old.certificate_pem)
    )
    assert (cross.subject, cross.public_key()) == (root.subject, root.public_key())
    assert cross.issuer == former.subject != cross.subject

    def extension(one: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType:
        return one.extensions.get_extension_for_class(kind).value

    assert extension(cross, x509.SubjectKeyIdentifier) == extension(root, x509.SubjectKeyIdentifier)
    named = extension(cross, x509.AuthorityKeyIdentifier)
    above = extension(former, x509.SubjectKeyIdentifier)
    assert isinstance(named, x509.AuthorityKeyIdentifier) and isinstance(above, x509.SubjectKeyIdentifier)
    assert named.key_identifier == above.digest


# -- three readers of one chain


def trusts() -> list[tuple[str, str]]:
    return list(itertools.product(("old", "new", "both"), ("unique names", "one name", "intermediates")))


def family(kind: str) -> tuple[Root, Root]:
    if kind == "one name":
        old = create_root(NOW, common_name="swarm-ca")
        return old, successor(old, name="swarm-ca")
    if kind == "intermediates":
        old = authority(authority(name="old root"), name="old intermediate")
        new = authority(authority(name="new root"), name="new intermediate")
        return old, dataclasses.replace(new, cross_signed_pem=cross_sign(old, new.certificate_pem))
    old = create_root(NOW)
    return old, successor(old)


def bundle(trust: str, old: Root, new: Root) -> bytes:
    return {
        "old": old.certificate_pem,
        "new": new.certificate_pem,
        "both": old.certificate_pem + new.certificate_pem,
    }[trust]


@pytest.mark.parametrize(("trust", "kind"), trusts())
def test_our_own_check_takes_the_chain_whatever_is_trusted(trust: str, kind: str) -> None:
    old, new = family(kind)
    key, chain = leaf(new)
    assert peer.verify(bundle(trust, old, new), chain, NOW, key_pem=key).node_id == NODE


@pytest.mark.parametrize(("trust", "kind"), trusts())
async def test_openssl_takes_the_chain_on_both_sides(trust: str, kind: str, tmp_path: Path) -> None:
    old, new = family(kind)
    key, chain = leaf(new)
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "chain").write_bytes(chain)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (server, client):
        context.load_cert_chain(tmp_path / "chain", tmp_path / "key")
        context.load_verify_locations(cadata=bundle(trust, old, new).decode())
        context.verify_mode = ssl.CERT_REQUIRED
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(5) == b"hello"
        done.set()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    async with asyncio.timeout(30):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=NODE)
        writer.write(b"hello")
        await done.wait()
    writer.close()
    listener.close()


@pytest.mark.parametrize(("trust", "kind"), trusts())
async def test_boringssl_takes_the_chain_on_both_sides(trust: str, kind: str) -> None:
    old, new = family(kind)
    key, chain = leaf(new)
    roots = bundle(trust, old, new)

    async def echo(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return request + context.auth_context()["x509_common_name"][0]

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Say": handler}),))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)], roots, True))
    await server.start()
    options = (("grpc.ssl_target_name_override", NODE), ("grpc.enable_http_proxy", 0))
    credentials = grpc.ssl_channel_credentials(roots, key, chain)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        assert await channel.unary_unary("/test.Echo/Say")(b"hello ", timeout=30) == b"hello " + NODE.encode()
    await server.stop(None)


def test_who_knows_neither_root_takes_nothing() -> None:
    _, new = family("unique names")
    _, chain = leaf(new)
    with pytest.raises(PkiError, match="not issued by this cluster's root"):
        peer.verify(create_root(NOW).certificate_pem, chain, NOW)


def test_the_issuer_is_told_by_its_key_and_not_by_its_name_alone() -> None:
    old, new = family("one name")
    _, chain = leaf(new)
    assert issuer_info(chain, old.certificate_pem) == authority_info(new.certificate_pem)
    assert issuer_info(chain, old.certificate_pem + new.certificate_pem) != authority_info(old.certificate_pem)


# -- following from one root to the next


def test_a_root_that_the_trusted_one_has_signed_may_be_trusted() -> None:
    for kind in ("unique names", "one name", "intermediates"):
        old, new = family(kind)
        assert leads(old.certificate_pem, new.certificate_pem, [new.cross_signed_pem])
        assert leads(old.certificate_pem, old.certificate_pem + new.certificate_pem, [new.cross_signed_pem])
        check_cross_signed(new.cross_signed_pem, old.certificate_pem, new.certificate_pem)


def test_the_way_goes_over_roots_that_were_missed_in_any_order() -> None:
    roots = [create_root(NOW)]
    for _ in range(4):
        roots.append(successor(roots[-1]))
    path = [root.cross_signed_pem for root in roots[1:]]
    for order in (path, path[::-1]):
        assert leads(roots[0].certificate_pem, roots[-1].certificate_pem, order)
    for missing in range(len(path)):
        assert not leads(roots[0].certificate_pem, roots[-1].certificate_pem, path[:missing] + path[missing + 1 :])


def test_a_root_is_not_trusted_for_less_than_the_signature_of_a_trusted_one() -> None:
    old, new = family("unique names")
    stranger = create_root(NOW)
    forged = cross_sign(stranger, new.certificate_pem)
    _, node = leaf(old)
    for path in ([], [forged], [new.certificate_pem], [node], [old.certificate_pem]):
        assert not leads(old.certificate_pem, new.certificate_pem, path)
    assert not leads(old.certificate_pem, stranger.certificate_pem, [new.cross_signed_pem])
    assert leads(old.certificate_pem, old.certificate_pem, [])
    with pytest.raises(PkiError, match="not the new root below the present one"):
        check_cross_signed(forged, old.certificate_pem, new.certificate_pem)


def test_a_node_cannot_sign_a_root() -> None:
    old = create_root(NOW)
    key, chain = leaf(old)
    new = create_root(NOW)
    with pytest.raises(PkiError, match="root key does not belong"):
        cross_sign(dataclasses.replace(old, key_pem=key), new.certificate_pem)
    forged = cross_sign(Root(peer_root(chain, key), key), new.certificate_pem)
    assert not leads(old.certificate_pem, new.certificate_pem, [forged + chain])


def peer_root(chain: bytes, key: bytes) -> bytes:
    """What a node would make with its own key, to look like an authority."""
    name = peer.read_chain(chain)[0].subject
    own = load_key(key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=400))
        .add_extension(key_usage(authority=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(own, signature_hash(own)).public_bytes(serialization.Encoding.PEM)


# -- what is brought along


def test_a_pair_and_an_intermediate_with_its_root_are_taken() -> None:
    root = authority()
    taken = read_import(root.certificate_pem, root.key_pem, NOW)
    assert (taken.root_pem, taken.intermediates_pem) == (root.certificate_pem, b"") and taken.key_pem
    assert read_import(root.certificate_pem, b"", NOW) == Imported(root.certificate_pem)
    below = authority(root, name="below")
    taken = read_import(below.intermediates_pem + below.certificate_pem, below.key_pem, NOW)
    assert (taken.root_pem, taken.intermediates_pem) == (root.certificate_pem, below.intermediates_pem)
    _, chain = leaf(Root(taken.root_pem, taken.key_pem, taken.intermediates_pem))
    assert peer.verify(root.certificate_pem, chain, NOW).node_id == NODE
    assert "PRIVATE" not in repr(taken)


def imports() -> dict[str, tuple[bytes, bytes, str]]:
    root, other = authority(), authority(name="other")
    below = authority(root, name="below")
    deep = authority(authority(authority(root, name="a"), name="b"), name="c")
    narrow = authority(depth=0)
    under = authority(narrow, name="under")
    key, chain = leaf(root)
    short, early = authority(years=0.9), authority(begin=2)
    return {
        "no certificate": (b"junk", b"", "cannot be read"),
        "a node's": (chain, key, "no root"),
        "an intermediate alone": (below.intermediates_pem, below.key_pem, "no root"),
        "two roots": (root.certificate_pem + other.certificate_pem, root.key_pem, "not signed by the next"),
        "the wrong order": (root.certificate_pem + below.intermediates_pem, root.key_pem, "no root"),
        "too many": (deep.intermediates_pem + root.certificate_pem, deep.key_pem, "more than 2"),
        "one that allows none": (under.intermediates_pem + narrow.certificate_pem, under.key_pem, "allows only 0"),
        "an intermediate without a key": (below.intermediates_pem + root.certificate_pem, b"", "without its key"),
        "another key": (root.certificate_pem, other.key_pem, "does not belong"),
        "no key": (root.certificate_pem, b"junk", "no PEM private key"),
        "too short": (short.certificate_pem, short.key_pem, "another year"),
        "too early": (early.certificate_pem, early.key_pem, "on only"),
    }


@pytest.mark.parametrize("what", imports())
def test_what_cannot_be_a_root_is_refused_in_words_without_a_byte_of_the_key(what: str) -> None:
    certificates, key, words = imports()[what]
    with pytest.raises(PkiError, match=words) as raised:
        read_import(certificates, key, NOW)
    assert "PRIVATE" not in str(raised.value)
