# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine API over a unix socket: one kept connection, JSON in, JSON out."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from benchmarks._lib.sandbox import BenchError

VERSION = "/v1.41"
TIMEOUT = 120.0


class RefusedError(BenchError):
    """An answer of 400 or more; ``status`` is its number."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Api:
    """One client. Paths without ``/queenright`` in front get the API's version."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection = _Connection(path)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The decoded answer (None if it is empty). Raises RefusedError; OSError where nobody listens."""
        data = self.raw(method, path, body, **query)
        return json.loads(data) if data.strip() else None

    def raw(self, method: str, path: str, body: Any = None, **query: Any) -> bytes:
        """The same without decoding; a body of bytes is a tar archive."""
        if query:
            path = f"{path}?{urllib.parse.urlencode(query)}"
        if not path.startswith("/queenright"):
            path = VERSION + path
        status, data = self._exchange(method, path, body)
        if status >= 400:
            raise RefusedError(
                status, f"{method} {path} at {self.path}: {status} {data.decode(errors='replace').strip()}"
            )
        return data

    def _exchange(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        headers = {}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/x-tar"
        elif body is not None:
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


def filters(**names: str) -> str:
    """The value of ``filters=`` that asks for each name with that one value."""
    return json.dumps({name.replace("_", "-"): [value] for name, value in names.items()})


def until(probe: Callable[[], Any], what: str, seconds: float = 120.0, every: float = 0.05) -> Any:
    """The first true answer of the probe, asked at that cadence; failing calls count as not yet."""
    began = time.monotonic()
    last = "it never answered"
    while True:
        asked = time.monotonic()
        try:
            if answer := probe():
                return answer
            last = "not so"
        except (OSError, http.client.HTTPException, BenchError) as error:
            last = str(error) or type(error).__name__
        if time.monotonic() - began > seconds:
            raise BenchError(f"waited {seconds:.0f} s for {what}: {last}")
        time.sleep(max(0.0, every - (time.monotonic() - asked)))
