# SPDX-License-Identifier: GPL-3.0-or-later
"""What a connection costs directly, through a virtual address and through the routing mesh; what a change costs.

Two hosts in namespaces, each with a Docker Engine of Debian's and the daemon's own code for kernel and engine. A client
connects, sends a byte, gets one back and closes, again and again; the ways take turns in each round. Needs root,
docker.io, busybox-static, tini, iproute2, nftables and gcc. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks._lib import sandbox
from benchmarks._lib.engine_api import until
from benchmarks._lib.figures import Figures
from benchmarks._lib.hosts import Host, Image, make_bridge, run
from benchmarks._lib.sandbox import BenchError
from queenright.decide.dataplane import Tables
from queenright.decide.names import NameTable
from queenright.edge.docker.client import Engine
from queenright.edge.docker.networks import DockerNetworks
from queenright.edge.kernel.mesh import KernelMesh
from queenright.model.mesh import NFTABLES, Backend, Balanced, MeshPicture, Neighbour, Overlay, Published, mac_of, names
from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, Row
from queenright.model.objects import Attachment, Subnet, Task
from queenright.spec.service import TaskSpec

CLUSTER = "benchmark"
SIDE = "queenright"
SOURCE = pathlib.Path(__file__).parent / "_lib/connect.c"
PORT = 80
VIP = "10.1.0.10"
LOCAL, REMOTE, PLAIN = 8080, 8081, 8082  # published ports: task here, task there, by the engine
SERVICES, BACKENDS, ENDPOINTS = 1000, 10, 1000
CHANGES = 15


def say(text: str) -> None:
    print(text, flush=True)


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
        body = _body(program, image, ("/connect", "server", str(PORT)))
        body["ExposedPorts"] = {f"{PORT}/tcp": {}}
        body["HostConfig"]["PortBindings"] = {f"{PORT}/tcp": [{"HostPort": str(port)}]}
        self._run("plain", body)

    def _run(self, name: str, body: dict[str, object]) -> int:
        api = self.host.engine
        key = api.call("POST", "/containers/create", body, name=name)["Id"]
        api.call("POST", f"/containers/{key}/start")
        return int(until(lambda: _pid_of(key), f"{name} on {self.host.name} to run"))

    def stop(self) -> None:
        self.mesh.close()
        self.engine.close()
        self.host.kill()


def _body(program: pathlib.Path, image: str, command: tuple[str, ...]) -> dict[str, object]:
    return {
        "Image": image,
        "Cmd": list(command),
        "HostConfig": {"Binds": [f"{program}:/connect:ro"], "Init": False, "NetworkMode": "default"},
    }


def _pid_of(key: str) -> int:
    """The first process of a container, as the sandbox sees it: it carries the container's id in its cgroup."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if key in (entry / "cgroup").read_text() and b"containerd-shim" not in (entry / "cmdline").read_bytes():
                    return int(entry.name)
            except OSError:
                continue
    return 0


def overlay(host: Host, number: int) -> Overlay:
    return Overlay(
        network_id="n1",
        name="mynet",
        vni=4097,
        mtu=1450,
        subnets=(Subnet(subnet="10.1.0.0/16", gateway="10.1.0.1"),),
        dns=("10.1.0.2",),
        internal=False,
        ingress=True,
        addresses=(f"10.1.0.{200 + number}/16",),
        vtep=host.address,
        vxlan_port=4789,
    )


def neighbour(address: str, vtep: str) -> Neighbour:
    return Neighbour(mac_of(address), (address,), vtep)


class Bench:
    def __init__(self, scratch: pathlib.Path, options: argparse.Namespace) -> None:
        self._options = options
        self._figures = Figures()
        self._scratch = scratch
        self._nodes = [Node(scratch, index) for index in (1, 2)]
        self._pids: dict[str, int] = {}
        self._program = scratch / "connect"

    async def run(self) -> dict[str, float]:
        run("gcc", "-O2", "-static", "-o", str(self._program), str(SOURCE))
        make_bridge()
        try:
            for node in self._nodes:
                node.start()
            await self._ways()
            await self._endpoints()
            await self._updates()
        finally:
            for node in self._nodes:
                node.stop()
        for line in self._figures.table():
            say(line)
        return self._summary()

    async def _ways(self) -> None:
        """Measure all ways, in turns."""
        first, second = self._nodes
        image = Image(first.host)
        image.load(second.host)
        bases = [overlay(node.host, number) for number, node in enumerate(self._nodes, 1)]
        others = [("10.1.0.21", "10.1.0.202"), ("10.1.0.11", "10.1.0.12", "10.1.0.201")]
        server = ("/connect", "server", str(PORT))
        here = Backend("t1", ("10.1.0.11",), serving=True, local=True)
        there = Backend("t2", ("10.1.0.21",), serving=True, local=False)
        for node, base, addresses, peer in zip(self._nodes, bases, others, reversed(self._nodes), strict=True):
            whole = dataclasses.replace(
                base,
                neighbours=tuple(neighbour(address, peer.host.address) for address in addresses),
                balanced=(Balanced("s1", (VIP,), (here,)),) if node is first else (),
                published=(
                    Published("tcp", LOCAL, PORT, "s1", (here,)),
                    Published("tcp", REMOTE, PORT, "s2", (there,)),
                )
                if node is first
                else (),
            )
            await node.bring(whole, kind=self._options.backend)
            await node.networks.ensure(whole)
        first.container(self._program, image.id, "here", "10.1.0.11", *server)
        self._pids["client"] = first.container(
            self._program, image.id, "client", "10.1.0.12", "/bin/busybox", "sleep", "86400"
        )
        second.container(self._program, image.id, "there", "10.1.0.21", *server)
        first.plain(self._program, image.id, PLAIN)
        outside = first.host.address
        ways = (
            Way("direct", "client", "10.1.0.11", PORT),
            Way("vip", "client", VIP, PORT),
            Way("direct_remote", "client", "10.1.0.21", PORT),
            Way("mesh_local", "", outside, LOCAL),
            Way("mesh_remote", "", outside, REMOTE),
            Way("docker_p", "", outside, PLAIN),
        )
        for way in ways:
            until(lambda way=way: self._connect(way, 50) > 0, f"an answer over {way.name}", 60)
        for number in range(self._options.rounds):
            say(f"  round {number + 1} of {self._options.rounds}")
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                self._figures.add(way.name, SIDE, self._connect(way, self._options.connections))
        for node in self._nodes:
            await node.bring()

    def _connect(self, way: Way, times: int) -> float:
        """The median of so many connections, in microseconds. Raises BenchError if one fails."""
        enter = ("nsenter", f"--target={self._pids[way.client]}", "--net") if way.client else ()
        said = run(*enter, str(self._program), "client", way.address, str(way.port), str(times))
        good, middle, _, seconds = said.split()
        if int(good) != times:
            raise BenchError(f"{way.name}: {times - int(good)} of {times} connections failed in {seconds} s")
        return float(middle)

    async def _endpoints(self) -> None:
        """How long it takes until a network knows very many more tasks of other hosts."""
        node = self._nodes[0]
        base = overlay(node.host, 1)
        known = tuple(
            neighbour(f"10.1.{1 + number // 250}.{1 + number % 250}", f"192.168.87.{100 + number % 50}")
            for number in range(ENDPOINTS)
        )
        for _ in range(self._options.rounds):
            await node.bring(base, kind=self._options.backend)
            took = await node.bring(dataclasses.replace(base, neighbours=known), kind=self._options.backend)
            known_there = run(*node.inside, "bridge", "fdb", "show", "dev", names("n1").vxlan).count(" dst ")
            if known_there < ENDPOINTS:
                raise BenchError(f"the kernel knows {known_there} of {ENDPOINTS} endpoints")
            self._figures.add("endpoints_1000_s", SIDE, took)
        await node.bring()

    async def _updates(self) -> None:
        """How long it takes to give one service other backends, among very many services: from what a manager tells to
        what the kernel does, names included.
        """
        node = self._nodes[0]
        tables, known = Tables(CLUSTER, "here"), NameTable()
        self._tell(tables, known, 0, tuple(_rows(node.host)))
        took = await node.bring(*tables.picture().overlays, kind=self._options.backend)
        self._figures.add("load_1000_s", SIDE, took)
        for number in range(1, CHANGES + 1):
            changed = _endpoint(number * 61 % SERVICES, number % BACKENDS, serving=False)
            began = time.perf_counter()
            self._tell(tables, known, number, (changed,))
            picture = tables.picture()
            decided = time.perf_counter() - began
            took = await node.bring(*picture.overlays, kind=self._options.backend)
            self._figures.add("update_1_of_1000_ms", SIDE, (decided + took) * 1000)
            self._figures.add("decide_1_of_1000_ms", SIDE, decided * 1000)
        await node.bring()

    @staticmethod
    def _tell(tables: Tables, known: NameTable, number: int, rows: tuple[Row, ...]) -> None:
        known.take(*tables.take(NetworksSet(not number, str(number - 1), str(number), rows)))

    def _summary(self) -> dict[str, float]:
        medians = self._figures.medians(SIDE)
        direct = self._figures.values("direct", SIDE)
        summary: dict[str, float] = {f"{name}_us": medians[name] for name in WAYS}
        for name in WAYS[1:]:
            pairs = zip(self._figures.values(name, SIDE), direct, strict=True)
            summary[f"{name}_ratio"] = round(statistics.median(mine / plain for mine, plain in pairs), 3)
        for name in ("update_1_of_1000_ms", "decide_1_of_1000_ms", "endpoints_1000_s", "load_1000_s"):
            summary[name] = round(medians[name], 4)
        return summary


WAYS = ("direct", "vip", "mesh_local", "mesh_remote", "docker_p", "direct_remote")


def _rows(host: Host) -> Iterator[Row]:
    """Very many services in one network, with all their tasks on other hosts."""
    yield Link(
        network_id="n1",
        name="mynet",
        vni=4097,
        subnets=(Subnet(subnet="10.0.0.0/8", gateway="10.0.0.1"),),
        mtu=1450,
        addresses=("10.0.0.201/8",),
        vtep=host.address,
        vxlan_port=4789,
        backend=NFTABLES,
    )
    for service in range(SERVICES):
        high, low = divmod(service, 250)
        vip = f"10.1.{high}.{1 + low}"
        yield Face(network_id="n1", service_id=f"s{service}", name=f"web{service}", vips=(vip,))
        for index in range(BACKENDS):
            yield _endpoint(service, index)


def _endpoint(service: int, index: int, *, serving: bool = True) -> Endpoint:
    high, low = divmod(service, 250)
    return Endpoint(
        network_id="n1",
        holder=f"t{service}-{index}",
        addresses=(f"10.{10 + index}.{high}.{1 + low}",),
        node_id=f"node{index}",
        vtep=f"192.168.87.{100 + index}",
        task_id=f"t{service}-{index}",
        service_id=f"s{service}",
        name=f"web{service}.{index}.t{service}-{index}",
        serving=serving,
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds (%(default)s)")
    parser.add_argument("--connections", type=int, default=3000, help="of each way in a round (%(default)s)")
    parser.add_argument("--backend", choices=("nftables", "ipvs"), default=NFTABLES, help="(%(default)s)")
    options = parser.parse_args(argv)
    try:
        scratch = sandbox.scratch()
        if scratch is None:
            return sandbox.enter([__file__, *argv])
        summary = asyncio.run(Bench(scratch, options).run())
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    say(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
