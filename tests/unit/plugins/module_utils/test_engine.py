# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the host socket: what it sends, what it makes of answers, what it says when there is none."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import tempfile
import threading

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError, segment
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import RefusalError


@pytest.fixture
def place():
    """A folder with a short path, for sockets."""
    folder = tempfile.mkdtemp(prefix="qr")
    yield pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _raw(path: str, answer: bytes) -> threading.Thread:
    """A server for one request that answers bytes, or hangs up for none."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)

    def serve() -> None:
        peer, _address = server.accept()
        peer.recv(65536)
        if answer:
            peer.sendall(answer)
        peer.close()
        server.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_a_question_and_its_answer_are_json(runtime) -> None:
    assert Engine(runtime.socket).get("/queenright/v1/status")["state"] == "inactive"
    Engine(runtime.socket).post("/queenright/v1/join/key")
    assert runtime.calls == [("GET", "/queenright/v1/status", {}, None), ("POST", "/queenright/v1/join/key", {}, {})]


def test_a_query_is_encoded(manager) -> None:
    Engine(manager.socket).get("/queenright/v1/wait", {"kind": "service", "id": "a b&c"})
    assert manager.calls[-1][2] == {"kind": "service", "id": "a b&c"}


def test_an_empty_answer_is_none(manager) -> None:
    assert Engine(manager.socket).post("/queenright/v1/leave", query={"force": 1}) is None


def test_an_error_carries_the_message_and_the_status(runtime) -> None:
    runtime.refusals["/swarm"] = [RefusalError(418, "no coffee")]
    with pytest.raises(EngineError, match=r"^no coffee$") as caught:
        Engine(runtime.socket).get("/swarm")
    assert caught.value.status == 418
    assert not caught.value.not_a_manager


@pytest.mark.parametrize("fixture", ["runtime", "worker"])
def test_a_host_that_is_no_manager_is_told_apart(fixture, request) -> None:
    with pytest.raises(EngineError) as caught:
        Engine(request.getfixturevalue(fixture).socket).get("/swarm")
    assert caught.value.not_a_manager
    assert not caught.value.missing


def test_no_socket_says_how_to_get_a_runtime(place) -> None:
    with pytest.raises(EngineError, match=r"swarm_runtime with state=present") as caught:
        Engine(str(place / "none.sock")).get("/x")
    assert caught.value.missing
    assert caught.value.not_a_manager


def test_a_socket_nobody_listens_on_says_to_look_at_the_service(place) -> None:
    path = str(place / "dead.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.close()
    with pytest.raises(EngineError, match="service queenright is started") as caught:
        Engine(path).get("/x")
    assert caught.value.missing


def test_no_permission_says_to_become(place, monkeypatch) -> None:
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(EngineError, match="become, or as a member of the docker group") as caught:
        Engine(str(place / "e.sock")).get("/x")
    assert not caught.value.missing


def test_a_runtime_that_does_not_answer_in_time_is_named(place) -> None:
    path = str(place / "slow.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    try:
        with pytest.raises(EngineError, match=r"did not answer GET /x within 0.05 s"):
            Engine(path, timeout=0.05).get("/x")
    finally:
        server.close()


def test_an_answer_that_is_no_json_is_an_error(place) -> None:
    path = str(place / "odd.sock")
    thread = _raw(path, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    with pytest.raises(EngineError, match="no JSON"):
        Engine(path).get("/x")
    thread.join(10)


def test_a_connection_that_is_cut_is_an_error_and_not_an_absent_runtime(place) -> None:
    path = str(place / "cut.sock")
    thread = _raw(path, b"")
    with pytest.raises(EngineError, match="does not answer") as caught:
        Engine(path).get("/x")
    assert not caught.value.missing
    thread.join(10)


def test_an_error_without_a_message_says_what_was_asked(place) -> None:
    path = str(place / "bare.sock")
    thread = _raw(path, b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(EngineError, match="GET /x was answered with 500"):
        Engine(path).get("/x")
    thread.join(10)


def test_a_name_is_one_segment_of_a_path() -> None:
    assert segment("a/b c") == "a%2Fb%20c"


def test_file_descriptors_are_given_back(runtime) -> None:
    engine = Engine(runtime.socket)
    engine.get("/queenright/v1/status")
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(20):
        engine.get("/queenright/v1/status")
    assert len(set(os.listdir("/proc/self/fd"))) <= len(before) + 5
