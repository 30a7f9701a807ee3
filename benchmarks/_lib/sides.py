# SPDX-License-Identifier: GPL-3.0-or-later
"""The two that are compared, behind one face: dockerd's own Swarm mode, and queenright beside the same dockerds."""

from __future__ import annotations

import abc
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import time

from benchmarks._lib.engine_api import Api, until
from benchmarks._lib.hosts import Host

PORT = 2377
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "runtime/src"


class Side(abc.ABC):
    """A swarm over the hosts; the first is its only manager. ``api`` speaks to the manager."""

    name: str

    def __init__(self, hosts: list[Host]) -> None:
        self.hosts = hosts
        self.apis = [Api(self.socket(host)) for host in hosts]
        self.api = self.apis[0]
        self.node_ids: dict[str, str] = {}  # by host name

    @abc.abstractmethod
    def socket(self, host: Host) -> str:
        """Where the Engine API with swarm routes is."""

    def form(self) -> None:
        """Found the swarm, join all others, wait until every node is ready."""
        first = self.hosts[0]
        self.api.call("POST", "/swarm/init", {"ListenAddr": f"0.0.0.0:{PORT}", "AdvertiseAddr": first.address})
        token = self.api.call("GET", "/swarm")["JoinTokens"]["Worker"]
        for host, api in zip(self.hosts[1:], self.apis[1:], strict=True):
            body = {"ListenAddr": f"0.0.0.0:{PORT}", "AdvertiseAddr": host.address, "JoinToken": token}
            api.call("POST", "/swarm/join", {**body, "RemoteAddrs": [f"{first.address}:{PORT}"]})
        until(self.all_ready, f"all nodes of {self.name} to be ready")
        nodes = self.api.call("GET", "/nodes")
        self.node_ids = {node["Description"]["Hostname"]: node["ID"] for node in nodes}

    def all_ready(self) -> bool:
        """Whether all hosts are nodes, and well."""
        states = [node["Status"]["State"] for node in self.api.call("GET", "/nodes")]
        return len(states) == len(self.hosts) and set(states) == {"ready"}

    def dissolve(self) -> None:
        """Leave; a host that was killed has nothing to leave."""
        for api in reversed(self.apis):
            with contextlib.suppress(OSError):
                api.call("POST", "/swarm/leave", force="1")
            api.close()
        for host in self.hosts:
            until(host.is_empty, f"containers of {host.name} to go")


class Swarm(Side):
    """Swarm mode of the engines themselves."""

    name = "swarm"

    def socket(self, host: Host) -> str:
        return host.docker_socket


class Queenright(Side):
    """The runtime of this checkout, one daemon beside each engine."""

    name = "queenright"

    def __init__(self, hosts: list[Host], environment: dict[str, str] | None = None) -> None:
        super().__init__(hosts)
        self.pids: dict[str, int] = {}  # by host name
        self._environment = environment or {}

    def socket(self, host: Host) -> str:
        return str(host.folder / "engine.sock")

    def form(self) -> None:
        for host in self.hosts:
            shutil.rmtree(host.folder / "state", ignore_errors=True)
            self.start(host)
        super().form()

    def dissolve(self) -> None:
        super().dissolve()
        for host in self.hosts:
            self.stop(host)

    def start(self, host: Host) -> float:
        """Start the daemon; gives the seconds until it answered that it is ready."""
        api = Api(self.socket(host))
        began = time.monotonic()
        self.pids[host.name] = host.spawn(
            *(sys.executable, "-m", "queenright", "run"),
            *("--state-dir", str(host.folder / "state"), "--socket", self.socket(host)),
            *("--docker-socket", host.docker_socket, "--socket-group", "root"),
            env={
                "PYTHONPATH": str(SOURCE),
                "PYTHONPYCACHEPREFIX": str(host.folder.parent / "bytecode"),
                **self._environment,
            },
        )
        until(lambda: api.call("GET", "/queenright/v1/status")["ready"], f"queenright of {host.name}", every=0.01)
        elapsed = time.monotonic() - began
        api.close()
        return elapsed

    def stop(self, host: Host) -> None:
        """End the daemon as a service manager does."""
        pid = self.pids.pop(host.name, None)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            until(lambda: not alive(pid), f"queenright of {host.name} to end")

    def restart(self, host: Host) -> float:
        """Stop and start with its state; gives the seconds from start to ready."""
        self.stop(host)
        self.apis[self.hosts.index(host)].close()
        return self.start(host)


def alive(pid: int) -> bool:
    """Whether the process runs (one that waits for its parent does not)."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
