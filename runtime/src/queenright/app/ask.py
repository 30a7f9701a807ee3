# SPDX-License-Identifier: Apache-2.0
"""The command line's own small client of the host socket (standard library only, so that ``status`` starts fast)."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any


class AskError(Exception):
    """The daemon could not be asked or said no; the text says what to do."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("queenright", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, target: str, body: Any = None, timeout: float = 20.0) -> Any:
    """JSON in, JSON out. Raises AskError."""
    connection = _Connection(path, timeout)
    data = None if body is None else json.dumps(body).encode()
    try:
        connection.request(method, target, data, {"Content-Type": "application/json"} if data else {})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except FileNotFoundError:
        raise AskError(f"{path} does not exist: is the service queenright started?") from None
    except PermissionError:
        raise AskError(f"no permission for {path}: use sudo, or become a member of the docker group") from None
    except (OSError, http.client.HTTPException) as error:
        raise AskError(f"{path} does not answer ({error}): is the service queenright running?") from None
    finally:
        connection.close()
    try:
        value = json.loads(text) if text else None
    except ValueError:
        raise AskError(f"{path} answered something that is no JSON ({answer.status})") from None
    if answer.status >= 400:
        message = value.get("message") if isinstance(value, dict) else None
        raise AskError(message or f"the daemon answered {answer.status}")
    return value
