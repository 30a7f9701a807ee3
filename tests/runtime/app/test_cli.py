# SPDX-License-Identifier: Apache-2.0
"""The command line against a host socket that answers what it is told."""

from __future__ import annotations

import http.server
import json
import pathlib
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from queenright import __version__
from queenright.app import cli, settings
from queenright.app.ask import AskError, ask

STATUS = {
    "version": "0.1.0",
    "state": "active",
    "role": "worker",
    "node_id": "n1",
    "node_addr": "10.0.0.2",
    "cluster_id": "c1",
    "managers": [{"node_id": "m1", "addr": "10.0.0.1:2377"}],
    "error": "",
    "engine": {"reachable": True, "version": "20.10", "error": ""},
    "ready": True,
    "tasks": {"running": 2, "total": 3},
}


GROUP = {
    **STATUS,
    "role": "manager",
    "leader": {"node_id": "m2", "addr": "10.0.0.1:2377"},
    "has_quorum": True,
    "stale": False,
    "raft": {
        "term": 7,
        "applied_index": 99,
        "members": [
            {"node_id": "m1", "addr": "10.0.0.1:2377", "voter": True, "reachable": True, "leader": False},
            {"node_id": "m2", "addr": "10.0.0.2:2377", "voter": True, "reachable": True, "leader": True},
            {"node_id": "m3", "addr": "10.0.0.3:2377", "voter": True, "reachable": False, "leader": False},
            {"node_id": "m4", "addr": "", "voter": False, "reachable": True, "leader": False},
        ],
    },
}


class Socket(socketserver.ThreadingUnixStreamServer):
    """Answers with what stands in ``answers`` for the path."""

    daemon_threads = True

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(str(path), Handler)
        self.path = path
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str, bytes]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Socket)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, body))
        status, text = self.server.answers.get(self.path, (404, b'{"message": "page not found"}'))
        if status:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        else:
            self.wfile.write(text)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Socket]:
    with tempfile.TemporaryDirectory(prefix="qr") as folder, Socket(pathlib.Path(folder) / "s") as server:
        monkeypatch.setattr(settings, "CONFIG", pathlib.Path(folder) / "config.toml")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def run(server: Socket, *arguments: str) -> int:
    return cli.main([*arguments, f"--socket={server.path}"])


def answer(server: Socket, path: str, value: Any, status: int = 200) -> None:
    server.answers[path] = status, json.dumps(value).encode()


def test_the_status_is_readable_and_good(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    answer(server, "/queenright/v1/status", STATUS)
    assert run(server, "status") == 0
    assert capsys.readouterr().out.splitlines() == [
        "queenright 0.1.0: active",
        "  worker n1 at 10.0.0.2",
        "  swarm c1",
        "  manager m1 at 10.0.0.1:2377",
        "  2 of 3 tasks on this node are running",
        "  engine 20.10",
    ]
    assert run(server, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == STATUS


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"state": "error", "error": "disk full", "ready": False}, 1, "  error: disk full"),
        ({"ready": False, "error": "manager m1: gone"}, 1, "  error: manager m1: gone"),
        ({"state": "inactive", "role": ""}, 0, "queenright 0.1.0: inactive"),
        ({"engine": {"version": "", "error": "no socket"}}, 0, "  engine not reachable: no socket"),
        ({"node_addr": ""}, 0, "  worker n1 at an unknown address"),
        ({"clock_skew": -31.2}, 0, "  the clock is 31 s behind that of the manager that leads"),
    ],
)
def test_the_exit_status_says_whether_all_is_well(
    server: Socket, capsys: pytest.CaptureFixture[str], change: dict[str, Any], status: int, words: str
) -> None:
    answer(server, "/queenright/v1/status", STATUS | change)
    assert run(server, "status") == status
    assert words in capsys.readouterr().out.splitlines()


def test_the_status_of_a_manager_shows_the_group(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    answer(server, "/queenright/v1/status", GROUP)
    assert run(server, "status") == 0
    assert capsys.readouterr().out.splitlines()[1:7] == [
        "  manager n1 at 10.0.0.2",
        "  swarm c1",
        "  manager m1 at 10.0.0.1:2377 (reachable)",
        "  manager m2 at 10.0.0.2:2377 (leader)",
        "  manager m3 at 10.0.0.3:2377 (not reachable)",
        "  manager m4 at an unknown address (learner, reachable)",
    ]


def test_a_manager_without_quorum_says_what_that_means(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    answer(server, "/queenright/v1/status", GROUP | {"leader": None, "has_quorum": False, "stale": True})
    run(server, "status")
    lines = capsys.readouterr().out.splitlines()
    assert "  the swarm has no leader: nothing can be changed" in lines
    assert "  this manager has no contact to more than half of the managers: what it shows may be old" in lines


def test_why_shows_what_a_manager_knows(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "task": {"name": "web.1"},
        "node": None,
        "state": "pending",
        "desired_state": "running",
        "chain": {
            "text": "h2 down -> restart any -> no node yet",
            "steps": [
                {"at": 1_700_000_000_000_000_000, "task": "t" * 25, "text": "runs"},
                {"at": 0, "task": "u" * 25, "text": "waits"},
            ],
        },
        "explanation": ["no suitable node"],
        "filters": [{"name": "ready", "verdicts": {"h1": "", "h2": "the node is down"}}],
        "history": [{"id": "t" * 25, "state": "failed", "node": "h2", "err": "exit 1"}],
    }
    answer(server, "/queenright/v1/why/web.1%2Fx", found)
    assert run(server, "why", "web.1/x") == 0
    assert capsys.readouterr().out.splitlines() == [
        "web.1: pending (wanted: running)",
        "  (h2 down -> restart any -> no node yet)",
        "  no suitable node",
        f"  22:13:20 {'t' * 12} runs",
        f"  --:--:-- {'u' * 12} waits",
        "  ready: h1: fits",
        "  ready: h2: the node is down",
        f"  {'t' * 12} failed on h2: exit 1",
    ]
    assert run(server, "why", "web.1/x", "--json") == 0
    assert json.loads(capsys.readouterr().out) == found


def test_why_shows_what_a_worker_knows_of_its_own_task(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "state": "running",
        "desired_state": "running",
        "message": "started",
        "err": "",
        "trouble": "the engine hangs",
        "container": {"id": "c" * 64, "seen": "running", "health": "none"},
    }
    answer(server, "/queenright/v1/why/t1", found)
    assert run(server, "why", "t1") == 0
    assert capsys.readouterr().out.splitlines() == [
        "t1: running (wanted: running) on this node",
        "  started",
        "  the engine hangs",
        f"  container {'c' * 12}: running, health none",
        "  ask a manager for the rest",
    ]


def test_an_error_of_the_daemon_is_shown_in_its_words(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    answer(server, "/queenright/v1/why/x", {"message": "task x not found"}, 404)
    assert run(server, "why", "x") == 1
    assert capsys.readouterr().err == "queenright: task x not found\n"


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (200, b"<html>", "answered something that is no JSON"),
        (500, b"[]", "the daemon answered 500"),
        (0, b"", "does not answer"),
        (0, b"SSH-2.0\r\n", "does not answer"),
        (0, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "does not answer"),
    ],
)
def test_something_else_on_the_socket_is_an_error_not_a_crash(
    server: Socket, status: int, text: bytes, words: str
) -> None:
    server.answers["/x"] = status, text
    with pytest.raises(AskError, match=words):
        ask(server.path, "GET", "/x", timeout=60)


def test_a_body_goes_out_as_json(server: Socket) -> None:
    answer(server, "/x", {"a": 1})
    assert ask(server.path, "POST", "/x", {"b": [1]}) == {"a": 1}
    assert server.asked == [("POST", "/x", b'{"b": [1]}')]


def test_a_socket_that_is_not_there_or_dead_says_what_to_do(tmp_path: pathlib.Path) -> None:
    with pytest.raises(AskError, match="does not exist: is the service queenright started"):
        ask(tmp_path / "none", "GET", "/")
    (tmp_path / "file").write_text("")
    with pytest.raises(AskError, match="does not answer"):
        ask(tmp_path / "file", "GET", "/")


def test_version_and_config_need_no_daemon(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert run(server, "version", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}
    assert run(server, "config", "--log-level=debug") == 0
    shown = capsys.readouterr().out.splitlines()
    assert 'log_level = "debug"' in shown and "log_file = # unset" in shown and "idle_timeout = 30" in shown
    assert run(server, "config", "--json") == 0
    assert json.loads(capsys.readouterr().out)["socket"] == str(server.path)
    assert server.asked == []


def test_wrong_usage_and_settings_end_with_2(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "config", "--log-level=loud") == 2
    assert "the flag --log-level: log_level must be one of" in capsys.readouterr().err
    for arguments in ([], ["nosuch"], ["why"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
