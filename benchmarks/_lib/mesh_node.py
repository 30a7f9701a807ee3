# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose kernel and engine the daemon's own code programs, with tasks' containers, and clients that ask them."""

from __future__ import annotations

import pathlib
import time
from typing import Any, NamedTuple

from benchmarks._lib.engine_api import until
from benchmarks._lib.hosts import Host, run
from benchmarks._lib.sandbox import BenchError
from queenright.edge.docker.client import Engine
from queenright.edge.docker.networks import DockerNetworks
from queenright.edge.kernel.mesh import KernelMesh
from queenright.model.mesh import NFTABLES, MeshPicture, Neighbour, Overlay, mac_of
from queenright.model.objects import Attachment, Subnet, Task
from queenright.spec.service import TaskSpec

CLUSTER = "benchmark"
SOURCE = pathlib.Path(__file__).with_name("connect.c")
PORT = 80
VIP = "10.1.0.10"
SERVER = ("/connect", "server", str(PORT))
SLEEP = ("/bin/busybox", "sleep", "86400")


def compiled(folder: pathlib.Path) -> pathlib.Path:
    """The program that serves and asks; see its source."""
    program = folder / "connect"
    run("gcc", "-O2", "-static", "-o", str(program), str(SOURCE))
    return program


class Way(NamedTuple):
    """A way to a server: who connects ("" is outside of all hosts) and whereto."""

    name: str
    client: str
    address: str
    port: int


class Node:
    """A host with the daemon's hands on its kernel and its engine."""

    def __init__(self, scratch: pathlib.Path, index: int) -> None:
        self.host = Host(scratch, index)
        self.folder = scratch / f"netns{index}"
        self.engine = Engine(self.host.docker_socket, 2)
        self.networks = DockerNetworks(self.engine, CLUSTER)
        self.mesh = KernelMesh(namespace="host", folder=self.folder)

    def start(self) -> None:
        self.host.power_on()
        self.folder.mkdir()
        name = self.folder / "host"
        name.touch()
        run("mount", "--bind", f"/proc/{self.host.init_pid}/ns/net", str(name))

    @property
    def inside(self) -> tuple[str, ...]:
        """What to write in front of a command that asks about the host's network."""
        return ("nsenter", f"--target={self.host.init_pid}", "--net")

    async def bring(self, *overlays: Overlay, kind: str = NFTABLES) -> float:
        """Seconds until the kernel is so."""
        began = time.perf_counter()
        applied = await self.mesh.apply(MeshPicture(CLUSTER, kind, overlays))
        took = time.perf_counter() - began
        problems = [*applied.errors.values(), *filter(None, applied.ports.values())]
        if problems:
            raise BenchError("; ".join(problems))
        return took

    def container(self, program: pathlib.Path, image: str, name: str, address: str, *command: str) -> int:
        """A task's container with that address; gives its process id in the sandbox."""
        attachment = Attachment(network_id="n1", addresses=(f"{address}/24",))
        task = Task(id=name, service_id="s", spec=TaskSpec(), attachments=(attachment,))
        plan = self.networks.plan(task)
        assert plan is not None
        return self._run(name, plan.into(_body(program, image, command), all_at_once=False))

    def plain(self, program: pathlib.Path, image: str, port: int) -> None:
        """A server on the engine's own bridge, published by the engine."""
        body = _body(program, image, SERVER)
        body["ExposedPorts"] = {f"{PORT}/tcp": {}}
        body["HostConfig"]["PortBindings"] = {f"{PORT}/tcp": [{"HostPort": str(port)}]}
        self._run("plain", body)

    def _run(self, name: str, body: dict[str, Any]) -> int:
        api = self.host.engine
        key = api.call("POST", "/containers/create", body, name=name)["Id"]
        api.call("POST", f"/containers/{key}/start")
        return int(until(lambda: pid_of(key), f"{name} on {self.host.name} to run"))

    def stop(self) -> None:
        self.mesh.close()
        self.engine.close()
        self.host.kill()


def _body(program: pathlib.Path, image: str, command: tuple[str, ...]) -> dict[str, Any]:
    return {
        "Image": image,
        "Cmd": list(command),
        "HostConfig": {"Binds": [f"{program}:/connect:ro"], "Init": False, "NetworkMode": "default"},
    }


def pid_of(key: str) -> int:
    """The first process of a container, as the sandbox sees it: it carries the container's id in its cgroup."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if key in (entry / "cgroup").read_text() and b"containerd-shim" not in (entry / "cmdline").read_bytes():
                    return int(entry.name)
            except OSError:
                continue
    return 0


def overlay(host: Host, number: int, *, vni: int = 4097, port: int = 4789) -> Overlay:
    """The network of the benchmark as a host has it, with its sandbox at 10.1.0.20x."""
    return Overlay(
        network_id="n1",
        name="mynet",
        vni=vni,
        mtu=1450,
        subnets=(Subnet(subnet="10.1.0.0/16", gateway="10.1.0.1"),),
        dns=("10.1.0.2",),
        internal=False,
        ingress=True,
        addresses=(f"10.1.0.{200 + number}/16",),
        vtep=host.address,
        vxlan_port=port,
    )


def neighbour(address: str, vtep: str) -> Neighbour:
    return Neighbour(mac_of(address), (address,), vtep)


def connect(program: pathlib.Path, way: Way, pid: int, times: int) -> float:
    """The median of so many connections, in microseconds; ``pid``: in whose network the client is, 0: outside.

    Raises BenchError if one fails.
    """
    enter = ("nsenter", f"--target={pid}", "--net") if pid else ()
    said = run(*enter, str(program), "client", way.address, str(way.port), str(times))
    good, middle, _, seconds = said.split()
    if int(good) != times:
        raise BenchError(f"{way.name}: {times - int(good)} of {times} connections failed in {seconds} s")
    return float(middle)
