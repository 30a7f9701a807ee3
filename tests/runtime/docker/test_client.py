# SPDX-License-Identifier: Apache-2.0
"""The client against a socket on which nobody, or somebody strange, listens."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import requests
from docker.api.client import APIClient
from docker.errors import APIError

from queenright.agent.ports import EngineLostError, TaskError, TemporaryError
from queenright.edge.docker.client import Engine, translate


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    folder = tempfile.mkdtemp(prefix="qr")
    yield pathlib.Path(folder)
    shutil.rmtree(folder)


@contextlib.contextmanager
def engine_that_says(path: pathlib.Path, answers: Callable[[str], tuple[int, Any]]) -> Iterator[None]:
    """A server on a unix socket; ``answers`` maps a path to status and JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers(self.path)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def address_string(self) -> str:
            return "test"

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def version(api: str, oldest: str = "1.12") -> dict[str, str]:
    return {"ApiVersion": api, "MinAPIVersion": oldest, "Version": "x"}


@pytest.mark.parametrize(("offered", "spoken"), [("1.41", "1.41"), ("1.43", "1.43"), ("1.99", "1.47")])
async def test_the_newest_version_that_both_know_is_spoken(folder: pathlib.Path, offered: str, spoken: str) -> None:
    paths: list[str] = []

    def answers(path: str) -> tuple[int, Any]:
        paths.append(path)
        return 200, version(offered)

    with engine_that_says(folder / "s", answers):
        engine = Engine(str(folder / "s"), 2)
        for _ in range(2):
            await engine.call(lambda client: client.info())
        engine.close()
    assert paths == ["/version", f"/v{spoken}/info", f"/v{spoken}/info"]


async def test_an_engine_that_is_too_old_is_refused_with_what_is_needed(folder: pathlib.Path) -> None:
    with engine_that_says(folder / "s", lambda path: (200, version("1.40"))):
        engine = Engine(str(folder / "s"), 1)
        with pytest.raises(EngineLostError, match=r"speaks API 1\.12 to 1\.40.*Docker Engine 20\.10 or newer"):
            await engine.call(lambda client: client.info())
        engine.close()


async def test_a_socket_that_is_not_there_is_a_lost_engine_by_name(folder: pathlib.Path) -> None:
    engine = Engine(str(folder / "none"), 1)
    with pytest.raises(EngineLostError, match=r"/none does not answer: .*No such file"):
        await engine.call(lambda client: client.info())
    engine.close()


async def test_an_engine_that_comes_back_newer_is_asked_for_its_version_again(folder: pathlib.Path) -> None:
    spoken: list[str] = []

    def remember(client: APIClient) -> None:
        client.info()
        spoken.append(client.api_version)

    engine = Engine(str(folder / "s"), 1)
    for offered in ("1.41", "1.43"):
        with engine_that_says(folder / "s", lambda path, offered=offered: (200, version(offered))):
            await engine.call(remember)
        (folder / "s").unlink()
        with pytest.raises(EngineLostError):
            await engine.call(remember)
    engine.close()
    assert spoken == ["1.41", "1.43"]


async def test_the_environments_proxy_is_not_used(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with engine_that_says(folder / "s", lambda path: (200, version("1.41"))):
        engine = Engine(str(folder / "s"), 1)
        assert (await engine.call(lambda client: client.info()))["Version"] == "x"
        engine.close()


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "No such image: a", TaskError),
        (400, "invalid mount", TaskError),
        (409, "conflict", TaskError),
        (500, "driver failed: port is already allocated", TaskError),
        (500, "dial tcp 127.0.0.1:24224: connect: connection refused", TaskError),
        (500, "context canceled", TemporaryError),
        (500, "rpc error: transport is closing", TemporaryError),
        (503, "busy", TemporaryError),
        (429, "too many", TemporaryError),
    ],
)
def test_answers_are_told_apart_by_whether_trying_again_can_help(status: int, text: str, kind: type) -> None:
    response = requests.Response()
    response.status_code = status
    error = translate(APIError("x", response=response, explanation=text))
    assert type(error) is kind and str(error) == text
