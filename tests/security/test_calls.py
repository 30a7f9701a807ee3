# SPDX-License-Identifier: Apache-2.0
"""Who may call what on the control port of a running manager, over the wire."""

from __future__ import annotations

import random
import socket
import ssl
import tempfile

import pytest
from compat.daemon.kit import PATIENCE, Daemon, until
from security.kit import OK, Caller, Manager

from queenright.edge.grpc.authorize import TABLE
from queenright.wire.gen import control_pb2 as control
from queenright.wire.gen import dispatcher_pb2 as pb

DISPATCHER = "/queenright.v1.Dispatcher/"
NO_SESSION = ("INVALID_ARGUMENT", "session invalid")
NOT_A_WORKERS = ("PERMISSION_DENIED", "unauthorized peer role: worker")
HANDSHAKE = ("UNAVAILABLE", "")
REMOVED = ("PERMISSION_DENIED", "was removed from swarm")

# What each kind of caller gets who has no session and sends nothing.
DISPATCH = {
    DISPATCHER + "Session": (OK, ""),
    DISPATCHER + "Heartbeat": NO_SESSION,
    DISPATCHER + "Assignments": NO_SESSION,
    DISPATCHER + "UpdateTaskStatus": NO_SESSION,
    DISPATCHER + "Restarting": NO_SESSION,
    DISPATCHER + "Networks": NO_SESSION,
    DISPATCHER + "NetworksApplied": NO_SESSION,
    "/queenright.v1.Certificates/Renew": ("INVALID_ARGUMENT", ""),
    "/queenright.v1.Logs/Subscriptions": NO_SESSION,
    "/queenright.v1.Logs/Publish": ("INVALID_ARGUMENT", ""),  # no message says of which session
}
BETWEEN_MANAGERS = (
    "/queenright.v1.Control/Forward",
    "/queenright.v1.Control/Admit",
    "/queenright.v1.Logs/Read",
    "/queenright.v1.Raft/Exchange",
    "/queenright.v1.Raft/InstallSnapshot",
)
MANAGER = DISPATCH | {
    "/queenright.v1.Control/Forward": (OK, ""),  # the answer holds an error of the API
    "/queenright.v1.Control/Admit": (OK, ""),  # the same of the join
    "/queenright.v1.Logs/Read": (OK, ""),  # of nothing there is nothing
    "/queenright.v1.Raft/Exchange": (OK, ""),  # no message is none to refuse
    "/queenright.v1.Raft/InstallSnapshot": ("INVALID_ARGUMENT", "a part of a snapshot"),
}
WORKER = DISPATCH | dict.fromkeys(BETWEEN_MANAGERS, NOT_A_WORKERS)
UNKNOWN = (
    DISPATCHER + "Nodes",
    "/queenright.v1.Control/Create",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/docker.swarmkit.v1.Dispatcher/Heartbeat",
)


def check(caller: Caller, expected: dict[str, tuple[str, str]]) -> None:
    assert set(expected) == set(TABLE)
    got = {method: caller.call(method) for method in expected}
    wrong = {
        method: got[method]
        for method, (code, words) in expected.items()
        if got[method][0] != code or words not in got[method][1]
    }
    assert not wrong


def test_a_worker_may_do_a_worker_s_calls_and_nothing_else(manager: Manager) -> None:
    check(manager.guest(), WORKER)


def test_a_manager_s_certificate_passes_too(manager: Manager) -> None:
    check(manager.member(manager.daemon), MANAGER)
    manager.daemon.becomes(state="active", ready=True)  # its own session was replaced, and came back


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/containers/json"),
        ("POST", "/containers/create"),
        ("POST", "/images/create?fromImage=x"),
        ("POST", "/swarm/leave?force=1"),
        ("POST", "/queenright/v1/leave?force=1"),
        ("POST", "/swarm/init"),
        ("POST", "/swarm/join"),
        ("POST", "/queenright/v1/join/key"),
        ("GET", "/../containers/json"),
        ("POST", "http://elsewhere/services/create"),
        ("POST", "/nothing"),
    ],
)
def test_a_manager_hands_on_what_is_of_the_swarm_and_nothing_of_the_host(
    manager: Manager, method: str, path: str
) -> None:
    thief = manager.member(manager.daemon)
    path, _, query = path.partition("?")
    request = control.ForwardRequest(method=method, path=path, query=query, request_id="r", body=b"{}")
    with thief.channel() as channel:
        forward = channel.unary_unary(
            "/queenright.v1.Control/Forward",
            request_serializer=control.ForwardRequest.SerializeToString,
            response_deserializer=control.ForwardResponse.FromString,
        )
        answer = forward(request, timeout=PATIENCE)
    assert answer.status in (400, 403, 404, 405), (answer.status, answer.body)
    assert manager.daemon.status()["state"] == "active"


def test_who_has_no_certificate_does_not_pass_the_handshake(manager: Manager) -> None:
    check(manager.nobody(), dict.fromkeys(TABLE, HANDSHAKE))


@pytest.mark.parametrize("role", ["worker", "manager"])
def test_a_certificate_of_another_root_does_not_pass_the_handshake(manager: Manager, role) -> None:
    check(manager.stranger(role, manager.node_id), dict.fromkeys(TABLE, HANDSHAKE))


def test_a_removed_node_may_do_nothing(manager: Manager) -> None:
    guest = manager.guest()
    assert guest.call(DISPATCHER + "Heartbeat")[0] == "INVALID_ARGUMENT"
    manager.daemon.api("DELETE", f"/nodes/{guest.node_id}?force=1")
    check(guest, dict.fromkeys(DISPATCH, REMOVED) | dict.fromkeys(BETWEEN_MANAGERS, NOT_A_WORKERS))
    told = [line for line in manager.daemon.logged() if "refused" in line["message"]]
    assert {line["level"] for line in told} == {"warning"}
    assert any(guest.node_id in line["message"] for line in told)


def test_a_member_that_left_may_do_nothing_when_its_node_was_removed(manager: Manager, worker: Daemon) -> None:
    thief = manager.member(worker)  # a copy of its files, made while it was a member
    status = worker.status()
    worker.post("/swarm/leave")
    manager.daemon.api("DELETE", f"/nodes/{status['node_id']}?force=1")
    check(thief, dict.fromkeys(DISPATCH, REMOVED) | dict.fromkeys(BETWEEN_MANAGERS, NOT_A_WORKERS))
    worker.post("/swarm/join", {"RemoteAddrs": [manager.addr], "JoinToken": manager.daemon.token()})
    worker.becomes(state="active", ready=True)


def test_methods_that_do_not_exist_are_told_so_without_more(manager: Manager) -> None:
    guest = manager.guest()
    for method in UNKNOWN:
        assert guest.call(method)[0] == "UNIMPLEMENTED", method


def test_another_node_s_session_is_of_no_use(manager: Manager, worker: Daemon) -> None:
    guest = manager.guest()
    with guest.channel() as channel:
        open_session = channel.unary_stream(
            DISPATCHER + "Session",
            request_serializer=pb.SessionRequest.SerializeToString,
            response_deserializer=pb.SessionMessage.FromString,
        )
        news = open_session(pb.SessionRequest(), timeout=PATIENCE)
        session_id = next(news).session_id
        mine = pb.HeartbeatRequest(session_id=session_id).SerializeToString()
        assert guest.call(DISPATCHER + "Heartbeat", mine)[0] == OK
        for other in (manager.guest(), manager.member(worker), manager.member(manager.daemon)):
            assert other.call(DISPATCHER + "Heartbeat", mine) == NO_SESSION
            assert other.call(DISPATCHER + "Restarting", mine) == NO_SESSION
        manager.daemon.api("DELETE", f"/nodes/{guest.node_id}?force=1")
        with pytest.raises(Exception, match=r"removed from swarm"):
            while True:
                next(news)


def test_the_news_of_a_session_hold_no_secret(manager: Manager) -> None:
    guest = manager.guest()
    with guest.channel() as channel:
        call = channel.unary_stream(DISPATCHER + "Session", request_serializer=bytes, response_deserializer=bytes)
        news = bytes(next(call(b"", timeout=PATIENCE)))
    tokens = manager.daemon.get("/swarm")["JoinTokens"]
    assert b"PRIVATE KEY" not in news and b"SWMTKN" not in news
    for token in tokens.values():
        assert token.rpartition("-")[2].encode() not in news
    assert b"BEGIN CERTIFICATE" in news


def test_a_member_with_older_tls_is_not_served(manager: Manager) -> None:
    """gRPC itself takes TLS 1.2: then the call is refused."""
    guest = manager.guest()
    assert guest.chain is not None and guest.key is not None
    context = ssl.create_default_context(cadata=manager.root.decode())
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as file:
        file.write(guest.chain + guest.key)
        file.flush()
        context.load_cert_chain(file.name)
    try:
        with (
            socket.create_connection(("127.0.0.1", manager.port), PATIENCE) as plain,
            context.wrap_socket(plain) as stream,
        ):
            stream.sendall(heartbeat_in_h2())
            while stream.recv(4096):
                if manager.daemon.said("refused Heartbeat") and manager.daemon.said("members speak TLS 1.3"):
                    break
    except (ssl.SSLError, ConnectionError) as error:
        assert "PROTOCOL_VERSION" in str(error).upper(), error  # refused by the handshake
        return
    until(lambda: manager.daemon.said("members speak TLS 1.3"), manager.daemon.tail)


def heartbeat_in_h2() -> bytes:
    """A Heartbeat call as HTTP/2 frames, without compression of the headers."""

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def literal(name: bytes, value: bytes) -> bytes:
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    headers = b"".join(
        literal(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", (DISPATCHER + "Heartbeat").encode()),
            (b":authority", b"x"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
    )
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, headers) + frame(0, 1, 1, bytes(5))
    )


def test_nonsense_from_a_member_harms_nobody(manager: Manager) -> None:
    dice = random.Random(7)
    guests = [manager.guest() for _ in range(3)]
    for number in range(60):
        method = list(WORKER)[number % len(WORKER)]
        code, details = guests[number % 3].call(method, dice.randbytes(dice.randrange(1, 2000)))
        assert code != OK or method.endswith("Session"), (method, code, details)
        assert code not in ("UNKNOWN", "UNAVAILABLE") or "too many sessions" in details, (method, code, details)
    for guest in guests:
        manager.daemon.api("DELETE", f"/nodes/{guest.node_id}?force=1")
    assert manager.daemon.becomes(state="active", ready=True)["error"] == ""
