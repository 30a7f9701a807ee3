# SPDX-License-Identifier: GPL-3.0-or-later
"""What a connection costs directly, through a virtual address and through the routing mesh; what a change costs.

Hosts in namespaces, each with a Docker Engine of Debian's: two with the daemon's own code for kernel and engine, and
three with the whole daemon, whose service is updated and drained under load. Beside that, in a virtual machine, Swarm's
own mesh and ours. Needs root and the packages of `benchmarks/apt.txt`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import pathlib
import statistics
import sys
import tempfile

from benchmarks._lib import mesh_changes, mesh_guest, mesh_requests, sandbox
from benchmarks._lib.engine_api import until
from benchmarks._lib.figures import Figures
from benchmarks._lib.hosts import Image, make_bridge
from benchmarks._lib.mesh_node import PORT, SERVER, SLEEP, VIP, Node, Way, compiled, connect, neighbour, overlay
from benchmarks._lib.sandbox import BenchError
from queenright.model.mesh import NFTABLES, Backend, Balanced, Published

SIDE = "queenright"
WAYS = ("direct", "vip", "mesh_local", "mesh_remote", "docker_p", "direct_remote")
LOCAL, REMOTE, PLAIN = 8080, 8081, 8082  # published ports: task here, task there, by the engine
PARTS = ("ways", "changes", "requests", "guest")
SLOWER = 10  # as many fewer connections in the virtual machine


def say(text: str) -> None:
    print(text, flush=True)


class Bench:
    """All parts but the virtual machine, in the sandbox."""

    def __init__(self, scratch: pathlib.Path, options: argparse.Namespace) -> None:
        self._options = options
        self._figures = Figures()
        self._scratch = scratch
        self._nodes = [Node(scratch, index) for index in (1, 2)]
        self._pids = {"": 0}
        self._program = compiled(scratch)

    async def run(self) -> dict[str, float]:
        make_bridge()
        parts = self._options.parts
        summary: dict[str, float] = {}
        if "requests" in parts:
            outcome = await mesh_requests.measure(self._scratch, self._program, say)
            for name, asked in outcome._asdict().items():
                summary |= {f"failed_requests_{name}": len(asked.failed), f"requests_{name}": asked.total}
        if "ways" in parts or "changes" in parts:
            await self._on_two_hosts(parts)
        for line in self._figures.table():
            say(line)
        return self._summary() | summary

    async def _on_two_hosts(self, parts: list[str]) -> None:
        kind, rounds = self._options.backend, self._options.rounds
        try:
            for node in self._nodes:
                node.start()
            if "ways" in parts:
                await self._ways()
            if "changes" in parts:
                await mesh_changes.endpoints(self._nodes[0], self._figures, SIDE, rounds, kind)
                await mesh_changes.updates(self._nodes[0], self._figures, SIDE, kind)
        finally:
            for node in self._nodes:
                node.stop()

    async def _ways(self) -> None:
        """Measure all ways, in turns."""
        first, second = self._nodes
        image = Image(first.host)
        image.load(second.host)
        bases = [overlay(node.host, number) for number, node in enumerate(self._nodes, 1)]
        others = [("10.1.0.21", "10.1.0.202"), ("10.1.0.11", "10.1.0.12", "10.1.0.201")]
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
        first.container(self._program, image.id, "here", "10.1.0.11", *SERVER)
        self._pids["client"] = first.container(self._program, image.id, "client", "10.1.0.12", *SLEEP)
        second.container(self._program, image.id, "there", "10.1.0.21", *SERVER)
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
        return connect(self._program, way, self._pids[way.client], times)

    def _summary(self) -> dict[str, float]:
        medians = self._figures.medians(SIDE)
        summary = {f"{name}_us": round(medians[name], 1) for name in WAYS if name in medians}
        direct = self._figures.values("direct", SIDE)
        for name in WAYS[1:] if direct else ():
            pairs = zip(self._figures.values(name, SIDE), direct, strict=True)
            summary[f"{name}_ratio"] = round(statistics.median(mine / plain for mine, plain in pairs), 3)
        summary.update((name, round(medians[name], 4)) for name in mesh_changes.FIGURES if name in medians)
        return summary


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return parts


def _in_sandbox(argv: list[str]) -> dict[str, float]:
    """Run this program again in a sandbox; gives what it found."""
    with tempfile.NamedTemporaryFile("r", prefix="qrb", suffix=".json") as file:
        status = sandbox.enter([__file__, *argv, "--into", file.name])
        if status:
            raise BenchError(f"the part in the sandbox failed ({status}); it said why above")
        found: dict[str, float] = json.load(file)
        return found


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench mesh", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds (%(default)s)")
    parser.add_argument(
        "--connections",
        type=int,
        default=3000,
        help=f"of each way in a round (%(default)s); in the virtual machine a {SLOWER}th",
    )
    parser.add_argument("--backend", choices=("nftables", "ipvs"), default=NFTABLES, help="(%(default)s)")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)} (default: all)")
    parser.add_argument("--into", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    summary: dict[str, float] = {}
    try:
        scratch = sandbox.scratch()
        if scratch is not None:
            options.into.write_text(json.dumps(asyncio.run(Bench(scratch, options).run())))
            return 0
        if set(options.parts) != {"guest"}:
            summary |= _in_sandbox(argv)
        if "guest" in options.parts:
            summary |= mesh_guest.measure(options.rounds, max(20, options.connections // SLOWER), say)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    say(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
