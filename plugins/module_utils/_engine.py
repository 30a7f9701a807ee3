# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The modules' client of the host socket: standard library only, one request a connection."""

from __future__ import annotations

import http.client
import json
import socket
import typing as t
from urllib.parse import quote, urlencode

DEFAULT_SOCKET = "/run/queenright/engine.sock"
NOT_A_MANAGER = "not a swarm manager"  # in every answer of the Engine API that means it
LOCKED = "needs to be unlocked before it can be used"
PREPARED = "is being prepared"
NO_LEADER = "does not have a leader"
OUTCOME = "X-Queenright-Outcome"  # header of an error that leaves open whether a change was made: unknown
STALE = "X-Queenright-Stale"  # header of what a manager says that does not hear from a majority


class EngineError(Exception):
    """The host socket could not be used, or answered with an error.

    ``status`` is the HTTP status, 0 where there was no answer. ``missing``: there is no socket, or nobody listens.
    ``unknown``: whether what was asked for was done is not known.
    ``more`` is returned beside the message when the module fails.
    """

    def __init__(self, message: str, status: int = 0, missing: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.missing = missing
        self.unknown = False
        self.more = {}  # type: t.Dict[str, t.Any]

    @property
    def not_a_manager(self) -> bool:
        """Whether another host may be able to do what was asked: this is no manager, is locked, or has no runtime."""
        return self.missing or (self.status == 503 and (NOT_A_MANAGER in str(self) or LOCKED in str(self)))

    @property
    def passing(self) -> bool:
        """Whether the host is a manager that has just been started: it will answer in a moment."""
        return self.status == 503 and PREPARED in str(self)

    @property
    def leaderless(self) -> bool:
        """Whether a manager knows no leader: nothing was written; an election may be going on."""
        return self.status == 503 and NO_LEADER in str(self) and not self.unknown

    @property
    def elsewhere(self) -> bool:
        """Whether another manager may be able to do it: this host is none, or it is cut off from the others."""
        return self.not_a_manager or self.leaderless


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("queenright", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """JSON requests to the runtime on this host. Raises EngineError, whose text says what to do.

    ``stale``: whether an answer came from a manager that does not hear from a majority, so that it may be old.
    """

    def __init__(self, path: str = DEFAULT_SOCKET, timeout: float = 60.0) -> None:
        self.path = path
        self.timeout = timeout
        self.stale = False

    def get(self, path: str, query: t.Optional[t.Dict[str, t.Any]] = None, timeout: t.Optional[float] = None) -> t.Any:
        return self.request("GET", path, query=query, timeout=timeout)

    def post(
        self,
        path: str,
        body: t.Any = None,
        query: t.Optional[t.Dict[str, t.Any]] = None,
        timeout: t.Optional[float] = None,
    ) -> t.Any:
        return self.request("POST", path, body={} if body is None else body, query=query, timeout=timeout)

    def delete(self, path: str, query: t.Optional[t.Dict[str, t.Any]] = None) -> t.Any:
        return self.request("DELETE", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        body: t.Any = None,
        query: t.Optional[t.Dict[str, t.Any]] = None,
        timeout: t.Optional[float] = None,
    ) -> t.Any:
        """Send JSON, get JSON (None for an empty answer)."""
        target = path + ("?" + urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode("utf-8")
        headers = {"Content-Type": "application/json"} if data is not None else {}
        connection = _Connection(self.path, timeout or self.timeout)
        try:
            connection.request(method, target, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            self.stale = self.stale or (answer.getheader(STALE) or "").lower() == "true"
        except FileNotFoundError:
            raise EngineError(
                "there is no runtime on this host (%s does not exist): run queenright.swarm.swarm_runtime with "
                "state=present first, or check that the service queenright is started" % self.path,
                missing=True,
            ) from None
        except PermissionError:
            raise EngineError(
                "no permission for %s: run the task with become, or as a member of the docker group" % self.path
            ) from None
        except socket.timeout:
            raise EngineError(
                "%s did not answer %s %s within %g s: look at the log of the service queenright"
                % (self.path, method, path, timeout or self.timeout)
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(
                "%s does not answer (%s): check that the service queenright is started" % (self.path, error),
                missing=isinstance(error, ConnectionRefusedError),
            ) from None
        finally:
            connection.close()
        try:
            return self._read(answer.status, text, method, path)
        except EngineError as error:
            error.unknown = (answer.getheader(OUTCOME) or "").lower() == "unknown"
            raise

    def _read(self, status: int, text: str, method: str, path: str) -> t.Any:
        try:
            value = json.loads(text) if text.strip() else None
        except ValueError:
            raise EngineError(
                "%s answered %s %s with something that is no JSON" % (self.path, method, path), status
            ) from None
        if status >= 400:
            message = value.get("message") if isinstance(value, dict) else None
            raise EngineError(message or "%s %s was answered with %d" % (method, path, status), status)
        return value


def segment(text: str) -> str:
    """A name or id as one path segment."""
    return quote(text, safe="")
