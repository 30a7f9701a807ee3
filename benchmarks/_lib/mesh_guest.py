# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Swarm's own mesh and ours with both backends, on one host of a virtual machine with Debian's stock kernel.

The kernel has IPVS, which Swarm needs. :func:`measure` boots the machine; the program itself runs in there. Swarm mode
of the host's engine publishes a service of two tasks; the daemon's code publishes two containers of the same engine.
All are up at the same time, and are asked in turns, in one boot.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks._lib import sandbox
from benchmarks._lib.engine_api import filters, until
from benchmarks._lib.figures import Figures
from benchmarks._lib.hosts import Image, make_bridge
from benchmarks._lib.mesh_node import PORT, SERVER, SLEEP, VIP, Node, Way, compiled, connect, overlay, pid_of
from benchmarks._lib.sandbox import BenchError
from queenright.model.mesh import IPVS, NFTABLES, Backend, Balanced, Overlay, Published

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOOT = ROOT / "tests/kernel/guest/boot.py"
RESULT = ROOT / ".test-output/guest-bench"
MEMORY = 3072  # MiB: images and layers are in memory
LIMIT = 3600  # seconds for all of it
SWARM = "swarm"
PIECES = 6  # of each way's connections in a round
OURS, THEIRS, BY_ENGINE = 8080, 8090, 8082  # published ports
VNI, TUNNEL = 5000, 4799  # what Swarm on the same host does not use
TASKS = ("10.1.0.11", "10.1.0.13")


def measure(rounds: int, connections: int, say: Callable[[str], None]) -> dict[str, float]:
    """Boot the virtual machine and measure in there. Raises BenchError."""
    inside = [sys.executable, "-B", str(pathlib.Path(__file__).resolve())]
    command = [*inside, "--rounds", str(rounds), "--connections", str(connections)]
    options = ["--memory", str(MEMORY), "--limit", str(LIMIT), "--result", str(RESULT)]
    with subprocess.Popen(
        [sys.executable, "-B", str(BOOT), *options, *command], stdout=subprocess.PIPE, text=True, errors="replace"
    ) as machine:
        assert machine.stdout is not None
        for line in machine.stdout:
            say(line.rstrip())
    if machine.returncode:
        raise BenchError(f"the virtual machine or what it did failed ({machine.returncode}); it said why above")
    found: dict[str, float] = json.loads((RESULT / "figures.json").read_text())
    return found


class Versus:
    """The measurement, inside."""

    def __init__(self, scratch: pathlib.Path, options: argparse.Namespace) -> None:
        self._options = options
        self._figures = Figures()
        self._node = Node(scratch, 1)
        self._program = compiled(scratch)
        self._pids = {"": 0}
        self._vip = ""

    async def run(self) -> dict[str, float]:
        make_bridge()
        node = self._node
        node.start()
        say("guest: the engine answers")
        try:
            image = Image(node.host).id
            whole = await self._ours(image)
            say("guest: our containers run")
            await asyncio.to_thread(self._theirs, image)
            await self._rounds(whole)
        finally:
            node.stop()
        for line in self._figures.table():
            say(line)
        return self._summary()

    async def _ours(self, image: str) -> Overlay:
        """Two containers behind a virtual address and a published port."""
        node = self._node
        base = overlay(node.host, 1, vni=VNI, port=TUNNEL)
        await node.bring(base)
        await node.networks.ensure(base)
        for number, address in enumerate(TASKS):
            node.container(self._program, image, f"task{number}", address, *SERVER)
        self._pids["client"] = node.container(self._program, image, "client", "10.1.0.12", *SLEEP)
        node.plain(self._program, image, BY_ENGINE)
        backends = tuple(Backend(address, (address,), serving=True, local=True) for address in TASKS)
        return dataclasses.replace(
            base,
            balanced=(Balanced("s1", (VIP,), backends),),
            published=(Published("tcp", OURS, PORT, "s1", backends),),
        )

    def _theirs(self, image: str) -> None:
        """The same by the engine's own Swarm mode."""
        host = self._node.host
        api = host.engine
        api.call("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address})
        say("guest: Swarm mode is on")
        network = api.call("POST", "/networks/create", {"Name": "peers", "Driver": "overlay"})["Id"]
        mount = {"Type": "bind", "Source": str(self._program), "Target": "/connect", "ReadOnly": True}
        web = self._service("web", image, network, SERVER, len(TASKS), mount)
        web["EndpointSpec"] = {"Ports": [{"Protocol": "tcp", "TargetPort": PORT, "PublishedPort": THEIRS}]}
        for spec in (web, self._service("client", image, network, SLEEP, 1, mount)):
            api.call("POST", "/services/create", spec)
            until(lambda spec=spec: self._run(spec), f"Swarm's service {spec['Name']} to run", 600, 1)
        [client] = self._tasks("client")
        self._pids["peer"] = pid_of(client["Status"]["ContainerStatus"]["ContainerID"])
        virtual = api.call("GET", "/services/web")["Endpoint"]["VirtualIPs"]
        self._vip = next(each["Addr"] for each in virtual if each["NetworkID"] == network).partition("/")[0]
        say("guest: Swarm's services run")

    @staticmethod
    def _service(
        name: str, image: str, network: str, command: Sequence[str], replicas: int, mount: dict[str, Any]
    ) -> dict[str, Any]:
        container = {"Image": image, "Command": list(command), "Mounts": [mount], "StopSignal": "SIGKILL"}
        return {
            "Name": name,
            "TaskTemplate": {"ContainerSpec": container, "Networks": [{"Target": network}]},
            "Mode": {"Replicated": {"Replicas": replicas}},
        }

    def _tasks(self, name: str) -> list[dict[str, Any]]:
        found = self._node.host.engine.call("GET", "/tasks", filters=filters(service=name))
        broken = [task["Status"].get("Err") for task in found if task["Status"]["State"] in ("failed", "rejected")]
        if broken:
            raise SystemExit(f"error: Swarm's task does not run: {broken[0]}")
        return [task for task in found if task["Status"]["State"] == "running"]

    def _run(self, spec: dict[str, Any]) -> bool:
        return len(self._tasks(spec["Name"])) == spec["Mode"]["Replicated"]["Replicas"]

    async def _rounds(self, whole: Overlay) -> None:
        """In each round both of ours, each in small pieces by turns with Swarm: the machine's other work hits both."""
        outside = self._node.host.address
        swarm = {"mesh": Way("mesh", "", outside, THEIRS), "vip": Way("vip", "peer", self._vip, PORT)}
        ours = {"mesh": Way("mesh", "", outside, OURS), "vip": Way("vip", "client", VIP, PORT)}
        for number in range(self._options.rounds + 1):
            say(f"guest: round {number} of {self._options.rounds}" if number else "guest: everything is asked once")
            for kind in (NFTABLES, IPVS) if number % 2 else (IPVS, NFTABLES):
                await self._node.bring(whole, kind=kind)
                for name in ours:
                    sides = {kind: ours[name], f"{SWARM} beside {kind}": swarm[name]}
                    for side, way in sides.items():
                        until(lambda way=way: self._connect(way, 20) > 0, f"{side} {name} to answer", 120, 1)
                    if number:
                        self._in_turns(name, sides)
            if number:
                self._in_turns("beside", {"direct": Way("direct", "client", TASKS[0], PORT)})
                self._in_turns("beside", {"docker_p": Way("docker_p", "", outside, BY_ENGINE)})

    def _in_turns(self, figure: str, sides: dict[str, Way]) -> None:
        """Of each side the median of its pieces."""
        times = max(10, self._options.connections // PIECES)
        pieces: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(PIECES):
            for side in sides if number % 2 else reversed(sides):
                pieces[side].append(self._connect(sides[side], times))
        for side, values in pieces.items():
            self._figures.add(figure, side, statistics.median(values))

    def _connect(self, way: Way, times: int) -> float:
        return connect(self._program, way, self._pids[way.client], times)

    def _summary(self) -> dict[str, float]:
        """Ratios are of the same round, and of these the median."""
        found: dict[str, float] = {}
        for side in (NFTABLES, IPVS):
            for way, name in (("mesh", f"guest_{side}_vs_swarm"), ("vip", f"guest_{side}_vip_vs_swarm")):
                theirs = self._figures.values(way, f"{SWARM} beside {side}")
                pairs = zip(self._figures.values(way, side), theirs, strict=True)
                found[name] = round(statistics.median(own / other for own, other in pairs), 3)
        return found


def say(text: str) -> None:
    print(text, flush=True)


def main(argv: list[str]) -> int:
    """The program inside: leaves ``figures.json`` in the folder of the machine's results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    options = parser.parse_args(argv)
    scratch = sandbox.scratch()
    try:
        if scratch is None:
            _furnish()
            return sandbox.enter([__file__, *argv])
        found = asyncio.run(Versus(scratch, options).run())
    except BenchError as error:
        say(f"error: {error}")
        if scratch is not None:
            say("\n".join((scratch / "1/dockerd.log").read_text(errors="replace").splitlines()[-20:]))
        return 1
    (pathlib.Path(os.environ["QUEENRIGHT_RESULT"]) / "figures.json").write_text(json.dumps(found))
    return 0


def _furnish() -> None:
    """What an engine wants of a machine, and this one has not: control groups and a place that is no overlay."""
    disk = pathlib.Path("/var/tmp/disk")
    disk.mkdir(parents=True, exist_ok=True)
    for kind, place in (("cgroup2", "/sys/fs/cgroup"), ("tmpfs", str(disk))):
        subprocess.run(["mount", "-t", kind, kind, place], check=True)
    os.environ[sandbox.FOLDER] = str(disk)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
