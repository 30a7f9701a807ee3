# SPDX-License-Identifier: GPL-3.0-or-later
"""Three engines, queenright beside Swarm mode of the same dockerds: create, update, scale, remove, replace, idle.

Both work on the same three Docker Engines with the same image, one after the other in each round, in alternating order.
Everything is asked through the Engine API at one cadence. Needs root, docker.io, busybox-static, tini and iproute2; the
machine's own network and engine are not touched. The summary is medians; its last line is one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks._lib import process, sandbox
from benchmarks._lib.engine_api import filters, until
from benchmarks._lib.figures import Figures
from benchmarks._lib.hosts import Host, Image, make_bridge
from benchmarks._lib.sandbox import BenchError
from benchmarks._lib.sides import Queenright, Side, Swarm

OURS, THEIRS = "queenright", "swarm"
CADENCE = 0.025  # seconds between two looks at the tasks
SMALL, LARGE, KILLED = 30, 60, 12  # replicas
SETTLE = 5.0
LATENCIES = ("create_p50_ms", "inspect_p50_ms", "list_p50_ms", "tasks_p50_ms")
MANY = ("create_many_p50_ms", "inspect_many_p50_ms", "list_many_p50_ms")
"""The same among very many services without tasks."""
BY, MONITOR = 5, 100_000_000  # replicas in a batch of an update, nanoseconds for which it is looked at


def say(text: str) -> None:
    print(text, flush=True)


def service(name: str, image: str, replicas: int) -> dict[str, Any]:
    """A service of sleepers, by image id (nobody asks a registry), on each engine's own bridge."""
    container = {"Image": image, "Command": ["/bin/busybox", "sleep", "86400"], "StopSignal": "SIGKILL"}
    return {
        "Name": name,
        "TaskTemplate": {"ContainerSpec": container},
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": {"Parallelism": BY, "Monitor": MONITOR},
    }


class Round:
    """One side's turn."""

    def __init__(self, side: Side, image: Image, figures: Figures, options: argparse.Namespace) -> None:
        self._side, self._api = side, side.api
        self._image, self._figures, self._options = image, figures, options

    def run(self, *, thorough: bool, many: bool) -> None:
        """Measure everything; ``thorough`` and ``many``: also what takes long."""
        side = self._side
        began = time.monotonic()
        side.form()
        self._add("form", time.monotonic() - began)
        self._measure("create30", lambda: self._create("web", SMALL), SMALL)
        self._measure("update30", lambda: self._change("web", {"Env": ["VERSION=2"]}), SMALL)
        self._measure("scale60", lambda: self._scale("web", LARGE), LARGE)
        self._add(
            "tasks_p50_ms", *(self._milliseconds(lambda: self._running("web")) for _ in range(self._options.calls))
        )
        if thorough:
            self._idle()
        if isinstance(side, Queenright):
            self._memory(side)
            self._ready(side)
        began = time.monotonic()
        self._remove("web")
        self._add("remove60", time.monotonic() - began)
        self._latencies(LATENCIES, self._options.calls)
        if many:
            self._latencies(MANY, self._options.many)
        if thorough:
            self._cut()
            self._kill()
        side.dissolve()

    def warm_up(self) -> None:
        """What is only slow the first time (bytecode, page cache) is done before anything counts."""
        self._side.form()
        self._timed(lambda: self._create("warm", 3), "warm", 3)
        self._remove("warm")
        self._side.dissolve()

    def _add(self, figure: str, *values: float) -> None:
        self._figures.add(figure, self._side.name, *values)
        say(f"    {self._side.name:12}{figure:22}" + " ".join(f"{value:8.3f}" for value in values[:8]))

    def _measure(self, figure: str, request: Callable[[], None], wanted: int) -> None:
        """Wall time, and beside it processor time, which a busy machine blurs less."""
        used = sandbox.cpu_seconds()
        self._add(figure, self._timed(request, "web", wanted))
        self._add(f"{figure}_cpu", sandbox.cpu_seconds() - used)

    # -- services

    def _create(self, name: str, replicas: int) -> None:
        self._api.call("POST", "/services/create", service(name, self._image.id, replicas))

    def _scale(self, name: str, replicas: int) -> None:
        self._update(name, lambda spec: spec.update({"Mode": {"Replicated": {"Replicas": replicas}}}))

    def _change(self, name: str, container: dict[str, Any]) -> None:
        """Replace all tasks, some at a time; returns when the update is complete."""
        self._update(name, lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(container))
        until(
            lambda: self._api.call("GET", f"/services/{name}").get("UpdateStatus", {}).get("State") == "completed",
            f"the update of {name} to be complete",
            300,
            CADENCE,
        )

    def _update(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        current = self._api.call("GET", f"/services/{name}")
        change(current["Spec"])
        path = f"/services/{current['ID']}/update"
        self._api.call("POST", path, current["Spec"], version=current["Version"]["Index"])

    def _remove(self, name: str) -> None:
        self._api.call("DELETE", f"/services/{name}")
        for host in self._side.hosts:
            until(host.is_empty, f"containers of {name} on {host.name} to go", every=CADENCE)

    def _running(self, name: str) -> list[str]:
        """Node ids of the tasks that run and shall run."""
        tasks = self._api.call("GET", "/tasks", filters=filters(service=name, desired_state="running"))
        return [task["NodeID"] for task in tasks if task["Status"]["State"] == "running"]

    def _timed(self, request: Callable[[], None], name: str, wanted: int) -> float:
        """Seconds from a request until so many tasks run."""
        began = time.monotonic()
        request()
        until(lambda: len(self._running(name)) == wanted, f"{wanted} tasks of {name} to run", 300, CADENCE)
        return time.monotonic() - began

    def _latencies(self, figures: tuple[str, ...], services: int) -> None:
        """One call after another, of services without tasks."""
        create, inspect, listing, *_ = figures
        names = [f"empty{number}" for number in range(services)]
        self._add(create, *(self._milliseconds(partial(self._create, name, 0)) for name in names))
        self._add(inspect, *(self._milliseconds(self._call("GET", f"/services/{name}")) for name in names))
        self._add(listing, *(self._milliseconds(self._call("GET", "/services")) for _ in range(20)))
        for name in names:
            self._api.call("DELETE", f"/services/{name}")

    def _call(self, method: str, path: str) -> Callable[[], Any]:
        return lambda: self._api.call(method, path)

    @staticmethod
    def _milliseconds(call: Callable[[], Any]) -> float:
        began = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - began)

    # -- the daemons

    def _idle(self) -> None:
        """Processor time while 60 tasks run and nobody asks anything."""
        time.sleep(SETTLE)
        hosts = self._side.hosts
        daemons = [self._side.pids[host.name] for host in hosts] if isinstance(self._side, Queenright) else []
        used = process.idle_percent([*daemons, *(host.dockerd for host in hosts)], self._options.idle)
        if daemons:
            self._add("idle_cpu_pct", max(used[: len(hosts)]))
        self._add("dockerd_idle_cpu_pct", max(used[-len(hosts) :]))

    def _memory(self, side: Queenright) -> None:
        first, *others = side.hosts
        self._add("manager_rss_mib", process.rss_mib(side.pids[first.name]))
        self._add("worker_rss_mib", max(process.rss_mib(side.pids[host.name]) for host in others))

    def _ready(self, side: Queenright) -> None:
        """Restart a manager and a worker that have tasks; nothing that runs may notice."""
        before = sorted(self._containers())
        for host, figure in ((side.hosts[0], "manager_ready_s"), (side.hosts[-1], "worker_ready_s")):
            self._add(figure, side.restart(host))
        if sorted(self._containers()) != before:
            raise BenchError("containers changed while daemons were restarted")

    def _containers(self) -> list[str]:
        return [item["Id"] for host in self._side.hosts for item in host.engine.call("GET", "/containers/json")]

    # -- a dead host

    def _cut(self) -> None:
        """The last host loses its link; it comes back afterwards."""
        victim = self._side.hosts[-1]
        self._replaced("link_cut_replaced", victim, victim.unplug)
        victim.plug_in()
        until(self._side.all_ready, f"{victim.name} to come back")
        self._remove("vital")

    def _kill(self) -> None:
        """The last host dies at once."""
        side, victim = self._side, self._side.hosts[-1]
        self._replaced("killed_replaced", victim, victim.kill)
        if isinstance(side, Queenright):
            side.pids.pop(victim.name)
        self._api.call("DELETE", "/services/vital")
        victim.wipe()
        victim.power_on()
        self._image.load(victim)

    def _replaced(self, figure: str, victim: Host, strike: Callable[[], None]) -> None:
        """Seconds until the tasks of a host run on the others."""
        self._timed(lambda: self._create("vital", KILLED), "vital", KILLED)
        dead = self._side.node_ids[victim.name]
        if dead not in self._running("vital"):
            raise BenchError(f"no task on {victim.name}: there is nothing to replace")
        began = time.monotonic()
        strike()
        until(
            lambda: len([node for node in self._running("vital") if node != dead]) == KILLED,
            f"the tasks of {victim.name} to run elsewhere",
            120,
            CADENCE,
        )
        self._add(figure, time.monotonic() - began)


def measure(folder: pathlib.Path, options: argparse.Namespace) -> Figures:
    """All rounds, in the sandbox."""
    make_bridge()
    hosts = [Host(folder, index) for index in (1, 2, 3)]
    for host in hosts:
        host.power_on()
    image = Image(hosts[0])
    for host in hosts[1:]:
        image.load(host)
    sides: list[Side] = [side(hosts) for side in (Swarm, Queenright) if options.only in ("", side.name)]
    figures = Figures()
    for side in sides:
        Round(side, image, figures, options).warm_up()
    for number in range(options.rounds):
        load = " ".join(f"{value:.1f}" for value in os.getloadavg())
        say(f"  round {number + 1} of {options.rounds} (load {load})")
        for side in sides if number % 2 == 0 else sides[::-1]:
            Round(side, image, figures, options).run(
                thorough=number < options.thorough, many=number < options.many_rounds
            )
    for host in hosts:
        host.kill()
    return figures


def summary(figures: Figures) -> dict[str, float]:
    """The figures of the last line. Ratios are ours by Swarm's, of medians: below 1 is faster than Swarm."""
    ours, theirs = figures.medians(OURS), figures.medians(THEIRS)

    def ratio(figure: str) -> float | None:
        return ours[figure] / theirs[figure] if figure in ours and figure in theirs else None

    def larger(*names: str) -> float | None:
        return max((ours[name] for name in names if name in ours), default=None)

    out = {
        "create30_ratio": ratio("create30"),
        "scale60_ratio": ratio("scale60"),
        "update30_ratio": ratio("update30"),
        "remove_ratio": ratio("remove60"),
        "create30_cpu_ratio": ratio("create30_cpu"),
        "scale60_cpu_ratio": ratio("scale60_cpu"),
        "rss_mib": larger("worker_rss_mib", "manager_rss_mib"),
        "idle_cpu_pct": ours.get("idle_cpu_pct"),
        "ready_s": larger("worker_ready_s", "manager_ready_s"),
        "killed_replaced_s": ours.get("killed_replaced"),
        "swarm_killed_replaced_s": theirs.get("killed_replaced"),
        "link_cut_replaced_s": ours.get("link_cut_replaced"),
        "swarm_link_cut_replaced_s": theirs.get("link_cut_replaced"),
    }
    for name in ("worker_rss_mib", "manager_rss_mib", *LATENCIES, *MANY):
        out[name] = ours.get(name)
    for name in (*LATENCIES, *MANY):
        out[f"swarm_{name}"] = theirs.get(name)
    return {key: round(value, 3) for key, value in out.items() if value is not None}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench swarm", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--thorough", type=int, default=3, help="the first rounds that also measure idle and kill")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of looking at an idle swarm")
    parser.add_argument("--calls", type=int, default=50, help="calls per round for the latencies")
    parser.add_argument("--many", type=int, default=1000, help="services without tasks, for the latencies among them")
    parser.add_argument("--many-rounds", type=int, default=1, help="the first rounds that measure them")
    parser.add_argument("--only", choices=("", OURS, THEIRS), default="", help="for profiling: one side alone")
    options = parser.parse_args(argv)
    folder = sandbox.scratch()
    try:
        if folder is None:
            return sandbox.enter([str(pathlib.Path(__file__).resolve()), *argv])
        figures = measure(folder, options)
    except (BenchError, OSError, http.client.HTTPException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    say("\n".join(figures.table()))
    say(json.dumps(summary(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
