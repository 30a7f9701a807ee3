# SPDX-License-Identifier: Apache-2.0
"""What Docker's own client makes of Compose files: an engine of a few lines that takes whatever ``docker stack deploy``
sends it, and keeps it.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import socketserver
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CLIENTS = [path for path in ("/usr/local/bin/docker", "/usr/bin/docker") if os.access(path, os.X_OK)]
PATIENCE = 30


@dataclasses.dataclass
class Said:
    """What the client created, by kind; and how it ended."""

    created: dict[str, list[dict[str, Any]]]
    status: int
    errors: str


class Engine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.created: dict[str, list[dict[str, Any]]] = {}
        super().__init__(str(path), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Engine
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer({})

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        place = [urllib.parse.unquote(part) for part in url.path.strip("/").split("/")]
        if place[0].startswith("v1."):
            place = place[1:]
        filters = json.loads(urllib.parse.parse_qs(url.query).get("filters", ["{}"])[0])
        match place:
            case ["info"]:
                self._answer({"Swarm": {"ControlAvailable": True, "LocalNodeState": "active", "NodeID": "n"}})
            case ["networks", name]:
                self._answer({"Name": name, "Scope": "swarm", "Driver": "overlay", "Id": f"id-{name}"})
            case ["secrets" | "configs"] if "name" in filters:
                self._answer([{"ID": f"id-{name}", "Spec": {"Name": name}} for name in filters["name"]])
            case ["secrets" | "configs", name]:
                self._answer({"message": f"{name} not found"}, 404)
            case ["networks" | "services" | "secrets" | "configs"]:
                self._answer([])
            case _:
                self._answer({})

    def do_POST(self) -> None:
        place = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"".join(self._chunks())
        self.server.created.setdefault(place[-2], []).append(json.loads(body))
        self._answer({"ID": "new", "Id": "new"}, 201)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline() or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, document: object, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Api-Version", "1.47")
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def engine(path: Path) -> Iterator[Engine]:
    """An engine on a socket of that path."""
    with Engine(path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def deploy(client: str, at: Path, name: str, files: Sequence[Path], variables: Mapping[str, str], folder: Path) -> Said:
    """What ``docker stack deploy`` of these files creates at the engine that listens at that path."""
    with engine(at) as server:
        command = [client, "-H", f"unix://{at}", "stack", "deploy", "--resolve-image", "never"]
        command += [word for file in files for word in ("-c", str(file))]
        environment = {"PATH": "/usr/bin", "DOCKER_CONFIG": str(folder / "none"), **variables}
        found = subprocess.run(
            [*command, name], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return Said(dict(server.created), found.returncode, found.stderr.strip())
