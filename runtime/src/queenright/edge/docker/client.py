# SPDX-License-Identifier: Apache-2.0
"""Calls to the engine over its unix socket: one SDK client, its version agreed once, its errors made ours."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests.exceptions
import urllib3.exceptions
from docker.api.client import APIClient
from docker.errors import APIError, DockerException
from docker.transport import UnixHTTPAdapter

from queenright.agent.ports import EngineLostError, TaskError, TemporaryError
from queenright.edge.docker.pool import ThreadPool

log = logging.getLogger(__name__)

T = TypeVar("T")
OLDEST = (1, 41)  # Docker 20.10
NEWEST = (1, 47)  # of which we know what it means
TIMEOUT = 120  # seconds for one answer; a start on a busy machine takes long
SHUTTING_DOWN = ("context canceled", "transport is closing", "connection is closing", "containerd.sock")
COMES_BACK = ("could not find bridge",)  # the agent makes it anew


class _Adapter(UnixHTTPAdapter):  # type: ignore[misc]
    """One pool of connections for all paths. (The SDK's own has one for each path, and closes some in mid-use.)"""

    def get_connection(self, url: str, proxies: object = None) -> Any:
        return super().get_connection("http+docker://localhost", proxies)


def connect(socket: str, connections: int) -> APIClient:
    """A client that speaks the newest version both sides know. Raises what the SDK raises."""
    client = _client(socket, OLDEST, 1)
    try:
        said = client.version(api_version=False)
    finally:
        client.close()
    newest, oldest = _version(said.get("ApiVersion", "1.41")), _version(said.get("MinAPIVersion", "1.12"))
    if newest < OLDEST or oldest > NEWEST:
        raise EngineLostError(
            f"the Docker Engine at {socket} (version {said.get('Version')}) speaks API {_text(oldest)} to "
            f"{_text(newest)}, queenright needs {_text(OLDEST)} to {_text(NEWEST)}: use Docker Engine 20.10 or newer"
        )
    return _client(socket, min(newest, NEWEST), connections)


def _client(socket: str, version: tuple[int, int], connections: int) -> APIClient:
    client = APIClient(base_url=f"unix://{socket}", version=_text(version), timeout=TIMEOUT)
    client.trust_env = False  # proxies and .netrc of the environment are not for this socket
    client.mount("http+docker://", _Adapter(f"http+unix://{socket}", TIMEOUT, max_pool_size=connections))
    return client


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


class Engine:
    """The engine at ``socket``. :meth:`call` belongs to the event loop's thread, :meth:`client` to the others."""

    def __init__(self, socket: str, threads: int = 64) -> None:
        self.socket = socket
        self._threads = threads
        self._pool = ThreadPool(threads)
        self._lock = threading.Lock()  # foreign threads only: who connects first
        self._client: APIClient | None = None

    async def call(self, function: Callable[[APIClient], T]) -> T:
        """Call the function with a client, on a thread. Raises TaskError, TemporaryError or EngineLostError."""
        return await self._pool.run(lambda: self._guarded(function))

    async def on_thread(self, function: Callable[[], T]) -> T:
        """Call what blocks, and is not for the engine, on one of its threads."""
        return await self._pool.run(function)

    def client(self) -> APIClient:
        """The client, connected if it is not. Raises what the SDK raises."""
        with self._lock:
            if self._client is None:
                self._client = connect(self.socket, self._threads)
            return self._client

    def lost(self) -> None:
        """The engine went away: its successor may be of another version."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        self._pool.close()
        self.lost()

    def _guarded(self, function: Callable[[APIClient], T]) -> T:
        try:
            return function(self.client())
        except APIError as error:
            raise translate(error) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            self.lost()
            raise EngineLostError(f"the Docker Engine at {self.socket} does not answer: {reason_of(error)}") from error
        except DockerException as error:
            raise TaskError(str(error)) from error


def translate(error: APIError) -> TaskError | TemporaryError:
    """What an answer of the engine means for the task that was asked for."""
    text = str(error.explanation or error)
    if error.status_code in (429, 503):
        return TemporaryError(text)
    if error.status_code == 500 and any(sign in text.lower() for sign in (*SHUTTING_DOWN, *COMES_BACK)):
        return TemporaryError(text)
    return TaskError(text)


def reason_of(error: BaseException) -> str:
    """The innermost cause, without the layers of the HTTP libraries."""
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return str(error) or type(error).__name__
