# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole swarm declared in one call: from bare hosts, 50 services, and with nothing to change beside Ansible's ping.

Ten hosts, each with a Docker Engine and a runtime that is in no swarm; real ``ansible-playbook`` with the checkout's
collection. Needs root, docker.io, busybox-static, tini and iproute2; the machine's own network and engine are not
touched. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import pathlib
import sys
import time
from typing import Any

from benchmarks._lib import sandbox
from benchmarks._lib.figures import Figures
from benchmarks._lib.hosts import Host, Image, make_bridge
from benchmarks._lib.plays import MANAGERS, WORKERS, Plays
from benchmarks._lib.sandbox import BenchError
from benchmarks._lib.sides import Queenright

NODES = 10
FEW, MANY = 20, 50  # services
OTHERS = 10  # networks, secrets and configs together
APPLY, PING = "apply", "ping"
MODULE = "queenright.swarm.swarm_apply"


def say(text: str) -> None:
    print(text, flush=True)


def service(number: int, image: str) -> dict[str, Any]:
    """A service of one sleeper, by image id (nobody asks a registry)."""
    return {
        "name": f"service{number}",
        "image": image,
        "resolve_image": "never",
        "command": ["/bin/busybox", "sleep", "86400"],
        "stop_grace_period": "0s",
        "env": {"NUMBER": str(number)},
        "labels": {"part": "bench"},
        "update_config": {"monitor": "1s"},
    }


def whole(image: str, services: int) -> dict[str, Any]:
    """The desired state of a swarm, as the options of ``swarm_apply``."""
    data = base64.b64encode(b"x" * 512).decode()
    return {
        "networks": [{"name": f"network{number}"} for number in range(4)],
        "secrets": [{"name": f"secret{number}", "data": data, "data_is_b64": True} for number in range(3)],
        "configs": [{"name": f"config{number}", "data": data, "data_is_b64": True} for number in range(OTHERS - 7)],
        "services": [service(number, image) for number in range(services)],
    }


def task(name: str, module: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, module: options or {}}


class Bench:
    """One run of everything."""

    def __init__(self, folder: pathlib.Path, options: argparse.Namespace) -> None:
        make_bridge()
        self._options, self._figures = options, Figures()
        self.hosts = [Host(folder, index) for index in range(1, options.nodes + 1)]
        for number, host in enumerate(self.hosts, 1):
            host.power_on()
            say(f"  host {number} of {options.nodes} is up")
        image = Image(self.hosts[0])
        for host in self.hosts[1:]:
            image.load(host)
        self._image = image.id
        self._side = Queenright(self.hosts)
        for host in self.hosts:
            self._side.start(host)
        self._plays = Plays(folder, self.hosts, [self._side.socket(host) for host in self.hosts])

    def run(self) -> dict[str, float]:
        """All figures."""
        out: dict[str, float] = {}
        begun = time.monotonic()
        done = self._plays.run(*self._from_nothing())
        out["from_nothing_s"] = time.monotonic() - begun
        out["host_tasks_1_plus_9_nodes"] = len(done)
        say(f"  from bare hosts: {len(done)} host-tasks, {out['from_nothing_s']:.1f} s")
        if not self._side.all_ready():
            raise BenchError("not all hosts are nodes that are ready")
        begun = time.monotonic()
        applied = self._plays.run(self._play(MANAGERS, task(APPLY, MODULE, whole(self._image, MANY))))
        if not applied[0].changed:
            raise BenchError("50 services changed nothing")
        out["apply_50_services_s"] = applied[0].seconds
        say(f"  {MANY} services: {applied[0].seconds:.2f} s until all of them run")
        self._again()
        medians = {name: self._figures.medians("ansible")[name] for name in (APPLY, PING)}
        out["noop_ratio_to_ping"] = medians[APPLY] / medians[PING]
        out["noop_s"], out["ping_s"] = medians[APPLY], medians[PING]
        for host in self.hosts:
            host.kill()
        return {name: round(value, 3) for name, value in out.items()}

    def table(self) -> list[str]:
        return self._figures.table()

    def _from_nothing(self) -> list[dict[str, Any]]:
        """Plays that make a swarm of the hosts, with what runs in it. The runtime is installed already."""
        here = {"install_runtime": False, "advertise_addr": "{{ address }}"}
        return [
            self._play(MANAGERS, task("found", "queenright.swarm.swarm_init", here)),
            self._play(WORKERS, task("join", "queenright.swarm.swarm_join", here)),
            self._play(MANAGERS, task(APPLY, MODULE, whole(self._image, FEW))),
        ]

    def _again(self) -> None:
        """Both modules in turn in one run, on the same host, so that nothing but the modules differs."""
        options = whole(self._image, MANY)
        turns = [task(PING, "ansible.builtin.ping"), task(APPLY, MODULE, options)]
        tasks = [one for number in range(self._options.rounds + 1) for one in (turns if number % 2 else turns[::-1])]
        done = self._plays.run(self._play(MANAGERS, *tasks))
        if any(one.changed for one in done):
            raise BenchError("an apply without changes changed something")
        for one in done[len(turns) :]:  # the first round is warm-up
            self._figures.add(one.task, "ansible", one.seconds)

    @staticmethod
    def _play(hosts: str, *tasks: dict[str, Any]) -> dict[str, Any]:
        return {"hosts": hosts, "tasks": list(tasks)}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench stack", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--rounds", type=int, default=15, help="of the apply without changes, and of ping")
    options = parser.parse_args(argv)
    folder = sandbox.scratch()
    try:
        if folder is None:
            return sandbox.enter([str(pathlib.Path(__file__).resolve()), *argv])
        say(f"  load {' '.join(f'{value:.1f}' for value in os.getloadavg())}")
        bench = Bench(folder, options)
        figures = bench.run()
    except (BenchError, OSError, http.client.HTTPException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    say("\n".join(bench.table()))
    say(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
