# SPDX-License-Identifier: Apache-2.0
"""Hosts on loopback in one process, with all their real parts but for the Docker Engine: one that runs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.server
import json
import pathlib
import random
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from queenright.app import world
from queenright.app.host import Host
from queenright.app.settings import Settings
from queenright.app.world import SystemClock
from queenright.edge.http.api.routes import Routes
from queenright.edge.http.errors import EngineUnreachableError
from queenright.manager.control import Control
from queenright.manager.ports import InitOptions, JoinOptions, LocalState
from queenright.model.errors import OutOfSequence
from queenright.spec.cluster import NodeSpec

PATIENCE = 60.0


class Engine:
    """Answers ``GET /info`` as an upstream does; ``state`` is of dockerd's own swarm, None: it does not answer."""

    path = "/run/docker.sock"

    def __init__(self) -> None:
        self.state: str | None = "inactive"

    async def request(self, method: str, path: str, *, timeout: float | None = None) -> Any:
        if self.state is None:
            raise EngineUnreachableError(self.path, "no such file")

        class Reply:
            body = json.dumps({"Swarm": {"LocalNodeState": self.state}}).encode()

        return Reply


class Dockerd(socketserver.ThreadingUnixStreamServer):
    """A Docker Engine on a socket: it describes itself and has no containers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qrd"))
        self.path = self.folder / "d.sock"
        self.ended = threading.Event()
        super().__init__(str(self.path), _DockerdHandler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="dockerd of the test")
        self._thread.start()

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no matter."""

    def close(self) -> None:
        self.ended.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        shutil.rmtree(self.folder)


class _DockerdHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Dockerd)
        path = self.path.partition("?")[0].rpartition("/v1.")[2].partition("/")[2] or self.path.lstrip("/")
        if path.startswith("events"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            self.server.ended.wait()
            return
        answers: dict[str, Any] = {
            "info": {"Name": "test", "OSType": "linux", "Architecture": "x86_64", "NCPU": 2, "MemTotal": 1 << 30},
            "version": {"Version": "0", "ApiVersion": "1.41"},
            "containers/json": [],
        }
        text = json.dumps(answers.get(path, {"message": "no such thing"})).encode()
        self.send_response(200 if path in answers else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Place:
    """A host on loopback, with a port of its own. Without a ``docker_socket`` its engine never answers."""

    def __init__(self, docker_socket: pathlib.Path | None = None) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qr"))
        self.port = free_ports()
        self.addr = f"127.0.0.1:{self.port}"
        self.engine = Engine()
        docker = docker_socket or self.folder / "none.sock"
        self.settings = Settings(state_dir=self.folder / "state", docker_socket=docker)
        self.settings.state_dir.mkdir(mode=0o700)
        self.host = self.again()

    def again(self) -> Host:
        """The host as a new daemon would have it."""
        self.host = Host(self.settings, self.engine, SystemClock())  # type: ignore[arg-type]
        routes = Routes(self.host, self.engine, version="0", forwarder=self.host, ids=world.ids)  # type: ignore[arg-type]
        self.host.gateway = routes.gateway
        return self.host

    def move(self) -> None:
        """Have another address after the next start."""
        self.port = free_ports()
        self.addr = f"127.0.0.1:{self.port}"
        self.settings = dataclasses.replace(self.settings, listen_addr=self.addr, advertise_addr=self.addr)

    @property
    def init(self) -> InitOptions:
        return InitOptions(listen_addr=self.addr, advertise_addr=self.addr)

    async def close(self) -> None:
        await self.host.stop()
        shutil.rmtree(self.folder)

    @property
    def state(self) -> LocalState:
        return self.host.local_state()

    @property
    def id(self) -> str:
        return self.state.node_id

    @property
    def control(self) -> Control:
        control = self.host.manager()
        assert isinstance(control, Control)
        return control

    def joining(self, through: Place, role: str = "worker", **more: Any) -> JoinOptions:
        """A wish to join the swarm that ``through`` manages."""
        cluster = through.control.context.cluster
        token = cluster.manager_token if role == "manager" else cluster.worker_token
        return JoinOptions(remote_addrs=(through.addr,), secret=token, listen_addr=self.addr, **more)

    async def give_role(self, node_id: str, role: str) -> None:
        """On the leader: wish that a node has a role."""
        for _ in range(20):
            node = self.control.store.node(node_id)
            with contextlib.suppress(OutOfSequence):
                spec = NodeSpec(role=role, availability=node.spec.availability, labels=node.spec.labels)
                await self.control.nodes.update(node_id, node.version, spec)
                return
        raise AssertionError(f"node {node_id} changes all the time")

    def voters(self) -> set[str]:
        """Who has a voice, as this manager knows."""
        raft = self.state.raft or {"members": []}
        return {member["node_id"] for member in raft["members"] if member["voter"]}

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.settings.state_dir.iterdir())

    def listening(self) -> list[int]:
        """Which of its ports are open."""
        found = []
        for port in (self.port, self.port + 1):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                found.append(port)
        return found


def free_ports() -> int:
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(20000, 30000)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for number in (port, port + 1):
                held.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port


async def until(condition: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        await asyncio.sleep(0.01)
