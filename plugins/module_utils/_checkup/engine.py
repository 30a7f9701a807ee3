# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine of the host: its version, and the settings that matter to a swarm."""

from __future__ import annotations

import http.client
import json
import socket
import typing as t

from .finding import Finding, Host, error, ok, warning

OLDEST_API = (1, 41)
DAEMON_JSON = "/etc/docker/daemon.json"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        http.client.HTTPConnection.__init__(self, "docker", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def ask(path: str, url: str) -> t.Dict[str, t.Any]:
    """An answer of the Engine API. Raises OSError or ValueError."""
    connection = _Connection(path)
    try:
        connection.request("GET", url)
        answer = json.loads(connection.getresponse().read())
    except http.client.HTTPException as error_:
        raise OSError(str(error_))
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ValueError("no object came back")
    return answer


def engine(host: Host, path: str, get: t.Callable[[str, str], t.Dict[str, t.Any]] = ask) -> t.Iterator[Finding]:
    """Everything that is asked of the engine."""
    try:
        version, info = get(path, "/version"), get(path, "/info")
    except (OSError, ValueError) as refusal:
        yield error(
            "docker",
            "the Docker Engine does not answer at %s (%s)" % (path, refusal),
            "install and start it (Debian and Ubuntu: docker.io; the role queenright.swarm.engine does it)",
        )
        return
    said = "Docker Engine %s, API %s" % (version.get("Version"), version.get("ApiVersion"))
    if _api(str(version.get("ApiVersion"))) < OLDEST_API:
        yield error("docker", said, "the runtime needs API %d.%d (Docker 20.10) or later: upgrade it" % OLDEST_API)
    else:
        yield ok("docker", said)
    yield from _settings(info)
    yield from _file(host.read(DAEMON_JSON))


def _api(text: str) -> t.Tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit()) or (0,)


def _settings(info: t.Dict[str, t.Any]) -> t.Iterator[Finding]:
    state = (info.get("Swarm") or {}).get("LocalNodeState") or "inactive"
    if state != "inactive":
        yield error(
            "docker",
            "the engine is in a swarm of its own (%s)" % state,
            "take it out with `docker swarm leave`; two swarms on one host share ports and addresses",
        )
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or ()):
        yield error("docker", "the engine runs rootless", "run it as root: its networks are in a namespace of its own")
    if not info.get("LiveRestoreEnabled"):
        yield warning(
            "docker",
            "containers stop when the engine is restarted",
            'set "live-restore": true in %s and reload the engine' % DAEMON_JSON,
        )
    if info.get("IPv4Forwarding") is False:
        yield error("docker", "the host forwards no packets", "set net.ipv4.ip_forward=1 by sysctl")


def _file(text: str) -> t.Iterator[Finding]:
    try:
        settings = json.loads(text) if text.strip() else {}
    except ValueError as fault:
        yield error(
            "docker", "%s cannot be read: %s" % (DAEMON_JSON, fault), "mend it; the engine will not start again"
        )
        return
    if settings.get("iptables") is False:
        yield warning(
            "docker",
            'the engine makes no rules ("iptables": false in %s)' % DAEMON_JSON,
            "without them containers reach nothing outside of their networks: remove that setting",
        )
