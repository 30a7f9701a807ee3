# SPDX-License-Identifier: Apache-2.0
"""The join listener of a running manager: what anybody may ask, what is refused, and who decides about certificates."""

from __future__ import annotations

import json
import random
import socket
import ssl
from typing import Any

import pytest
from compat.daemon.kit import PATIENCE, ApiError, until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from security.kit import Manager, forged_csr

from queenright.edge.pki.keys import make_csr, make_key
from queenright.model.tokens import make_join_token

CSR = make_csr(make_key())
OTHER = make_join_token(b"another root", b"x" * 16).text


def pem(key: Any, algorithm: Any) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def broken_signature() -> bytes:
    der = bytearray(x509.load_pem_x509_csr(CSR).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)


def unchanged(manager: Manager) -> Any:
    return set(manager.daemon.nodes())


def test_the_root_is_for_everybody_and_is_the_one_in_the_token(manager: Manager) -> None:
    status, root = manager.request("GET", "/v1/root")
    assert (status, root) == (200, manager.root)
    assert root.count(b"BEGIN CERTIFICATE") == 1 and b"PRIVATE" not in root


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/join", 405),
        ("POST", "/v1/root", 405),
        ("GET", "/swarm", 404),
        ("GET", "/v1.41/info", 404),
        ("POST", "/v1.41/swarm/init", 404),
        ("GET", "/queenright/v1/status", 404),
        ("GET", "/v1/root/../../swarm", 404),
        ("DELETE", "/v1/join", 405),
    ],
)
def test_there_is_nothing_else(manager: Manager, method: str, path: str, status: int) -> None:
    assert manager.request(method, path)[0] == status


@pytest.mark.parametrize(
    ("members", "status", "words"),
    [
        ({"token": ""}, 403, "A valid join token is necessary"),
        ({"token": OTHER}, 403, "A valid join token is necessary"),
        ({"token": ["x"]}, 400, "'token' in the join request"),
        ({"ticket": "QRTICKET-1-" + "0" * 50 + "-" + "0" * 25}, 403, "A valid join token is necessary"),
        ({"token": "x", "ticket": "y"}, 400, "either a token or a ticket"),
        ({"availability": "root"}, 400, "availability"),
        ({"listen_port": 0}, 400, "listen_port"),
        ({"listen_port": True}, 400, "listen_port"),
        ({"csr": ""}, 400, "no PEM certificate request"),
        ({"csr": "x" * 20000}, 400, "at most"),
        ({"csr": CSR.decode()[:-60]}, 400, "certificate request"),
        ({"csr": broken_signature().decode()}, 400, "not signed by its own key"),
        ({"csr": pem(rsa.generate_private_key(65537, 1024), hashes.SHA256()).decode()}, 400, "RSA"),
        ({"csr": pem(ed25519.Ed25519PrivateKey.generate(), None).decode()}, 400, "key"),
    ],
)
def test_what_is_refused_makes_no_node(manager: Manager, members: dict[str, Any], status: int, words: str) -> None:
    before = unchanged(manager)
    body = {"csr": CSR.decode(), **members}
    if not {"token", "ticket"} & members.keys():
        body["token"] = manager.daemon.token()
    got, answer = manager.request("POST", "/v1/join", json.dumps(body).encode())
    assert (got, words in answer["message"]) == (status, True), (got, answer)
    assert unchanged(manager) == before


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"csr":' * 3000, b"[" * 60000])
def test_what_is_no_json_object_is_refused(manager: Manager, body: bytes) -> None:
    status, answer = manager.request("POST", "/v1/join", body)
    assert (status, "no JSON object" in answer["message"]) == (400, True)


def test_a_body_without_end_is_cut(manager: Manager) -> None:
    assert manager.request("POST", "/v1/join", b"x" * 70_000)[0] == 413


def test_a_manager_that_joins_and_is_never_heard_again_takes_no_quorum(manager: Manager) -> None:
    status, grant = manager.join(CSR, token=manager.daemon.token("Manager"), advertise_addr="127.0.3.1")
    assert (status, grant["role"]) == (200, "manager")
    for number in range(5):
        manager.daemon.service(f"written{number}", 0)
    members = {each["node_id"]: each for each in manager.daemon.status()["raft"]["members"]}
    assert members[manager.node_id]["voter"]
    assert not members.get(grant["node_id"], {"voter": False})["voter"]
    assert manager.daemon.status()["has_quorum"]
    node = manager.daemon.get(f"/nodes/{grant['node_id']}")
    spec = {**node["Spec"], "Role": "worker"}
    manager.daemon.post(f"/nodes/{node['ID']}/update?version={node['Version']['Index']}", spec)
    until(lambda: len(manager.daemon.status()["raft"]["members"]) == 1, manager.daemon.tail)
    until(lambda: gone(manager, node["ID"]), manager.daemon.tail)
    for number in range(5):
        manager.daemon.api("DELETE", f"/services/written{number}")


def gone(manager: Manager, node_id: str) -> bool:
    """Whether a node could be removed: it is no manager any more."""
    try:
        manager.daemon.api("DELETE", f"/nodes/{node_id}?force=1")
    except ApiError:
        return False
    return True


def test_nothing_but_the_key_is_taken_from_a_request(manager: Manager) -> None:
    key = make_key()
    status, grant = manager.join(
        forged_csr(key, manager.cluster_id), role="manager", node_id=manager.node_id, cluster_id="x"
    )
    assert status == 200, grant
    certificate = x509.load_pem_x509_certificate(grant["certificate"].encode())
    subject = {attribute.oid._name: attribute.value for attribute in certificate.subject}
    assert subject == {
        "organizationName": manager.cluster_id,
        "organizationalUnitName": "swarm-worker",
        "commonName": grant["node_id"],
    }
    extensions = certificate.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert set(names) == {"swarm-worker", grant["node_id"]}
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (False, False, True)
    private = serialization.load_pem_private_key(key, None)
    assert certificate.public_key() == private.public_key()
    assert grant["role"] == "worker" and grant["node_id"] != manager.node_id
    assert manager.daemon.nodes()[grant["node_id"]]["Spec"]["Role"] == "worker"


def test_a_ticket_is_bound_to_its_key_and_good_for_one_join(manager: Manager) -> None:
    key, other = make_key(), make_key()
    ticket = manager.ticket(key)
    status, answer = manager.join(make_csr(other), ticket=ticket)
    assert (status, answer["reason"]) == (403, "ticket-of-other-key")
    status, grant = manager.join(make_csr(key), ticket=ticket)
    assert status == 200
    again, repeated = manager.join(make_csr(key), ticket=ticket)  # the answer got lost on its way
    assert (again, repeated["node_id"]) == (200, grant["node_id"])
    status, answer = manager.join(make_csr(other), ticket=ticket)
    assert (status, answer["reason"]) == (403, "ticket-used")
    manager.daemon.api("DELETE", f"/nodes/{grant['node_id']}?force=1")
    status, answer = manager.join(make_csr(key), ticket=ticket)
    assert (status, answer["reason"]) == (403, "ticket-used")


def test_a_ticket_cannot_be_sent_as_a_token_nor_a_token_as_a_ticket(manager: Manager) -> None:
    key = make_key()
    ticket = manager.ticket(key)
    body = {"csr": make_csr(make_key()).decode(), "token": ticket}
    assert manager.request("POST", "/v1/join", json.dumps(body).encode())[0] == 403
    assert manager.join(make_csr(key), ticket=ticket)[0] == 200


def test_guessing_ends_after_ten_tries_and_hinders_no_other_address(manager: Manager) -> None:
    source = manager.source()
    answers = [manager.join(CSR, token=OTHER, source=source)[0] for _ in range(12)]
    assert answers[:10] == [403] * 10 and 429 in answers[10:]
    status, answer = manager.join(make_csr(make_key()), source=source)
    assert (status, answer["reason"]) == (429, "rate-limited")
    assert manager.join(make_csr(make_key()))[0] == 200


def test_older_tls_and_no_tls_are_not_spoken(manager: Manager) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        manager.request("GET", "/v1/root", tls=ssl.TLSVersion.TLSv1_2)
    with socket.create_connection(("127.0.0.1", manager.port + 1), PATIENCE) as plain:
        plain.sendall(b"GET /v1/root HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1 200" not in read_all(plain)


def read_all(stream: socket.socket) -> bytes:
    got = b""
    try:
        while data := stream.recv(65536):
            got += data
    except (ConnectionError, ssl.SSLError):
        pass
    return got


def test_random_bytes_before_and_within_tls_harm_nobody(manager: Manager) -> None:
    dice = random.Random(11)
    context = ssl.create_default_context(cadata=manager.root.decode())
    context.check_hostname = False
    valid = b"POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    for number in range(60):
        noise = dice.randbytes(dice.randrange(1, 3000))
        if number % 3 == 0:
            noise = bytes(byte ^ (dice.random() < 0.05) * dice.randrange(256) for byte in valid)
        source = (f"127.0.2.{number + 1}", 0)
        with socket.create_connection(("127.0.0.1", manager.port + 1), PATIENCE, source) as plain:
            if number % 2:
                plain.sendall(noise)
                plain.shutdown(socket.SHUT_WR)
                read_all(plain)
                continue
            with context.wrap_socket(plain) as stream:
                stream.sendall(noise)
                if number % 3:
                    continue  # gone before the answer
                answer = read_all(stream)
                assert not answer or answer.startswith(b"HTTP/1.1 4"), answer
    assert manager.request("GET", "/v1/root")[0] == 200
