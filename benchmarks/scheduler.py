# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs a manager to place tasks: ten thousand at once, one service's more, and what thirty thousand weigh.

Reconciler, deciders and store are the daemon's own and everything runs in this process on one core. Measured is
processor time, from the moment the services stand in the store until every task is assigned to a node and nothing is
left to decide. It holds the loop with all deciders (so also the making of the tasks), the checks and applying of each
entry, indexes and aggregates; ``..._with_log`` holds the encoding and decoding of every entry of the log as well.
Agents, network and disk are not in it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks._lib.process import rss_mib
from queenright.decide import nodes as liveness
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.liveness import Beat
from queenright.decide.orchestrate import DECIDERS, Decider
from queenright.decide.revision import placement_fits
from queenright.manager.proposer import ConflictError
from queenright.manager.reconcile import Reconciler
from queenright.model.changes import Batch, Change, Create, Update
from queenright.model.objects import Cluster, Node, NodeDescription, NodeStatus, Service, Task, TaskStatus
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import NodeSpec
from queenright.spec.fields import decode
from queenright.spec.service import Mode, ServiceSpec
from queenright.store.store import Store
from queenright.wire import codec

REPLICAS = 10
MIB = 1 << 20
NEVER = 10.0**12

# What users' services ask for, in turn: a quarter each of four kinds.
KINDS: tuple[Callable[[int], dict[str, Any]], ...] = (
    lambda number: {},
    lambda number: {"Resources": {"Reservations": {"NanoCPUs": 10**7, "MemoryBytes": (4 + number % 8) * MIB}}},
    lambda number: {"Placement": {"Constraints": [f"node.labels.zone != z{number % 10}", "node.role == worker"]}},
    lambda number: {"Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]}},
)


class Clock:
    def wall(self) -> int:
        return time.time_ns()

    def mono(self) -> float:
        return time.monotonic()


class Ids:
    """Counts; ids are as long as real ones."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> str:
        self._last += 1
        return f"{self._last:025d}"


class AtOnce:
    """A log that is on the disk the moment it is written. ``coded``: entries pass through the codec first."""

    is_leader = True

    def __init__(self, store: Store, coded: bool) -> None:
        self._store = store
        self._coded = coded

    async def propose(self, changes: Sequence[Change]) -> int:
        batch = Batch(time.time_ns(), tuple(changes))
        if self._coded:
            batch = codec.decode_batch(codec.encode_batch(batch))
        await asyncio.sleep(0)
        conflict = self._store.apply(self._store.index + 1, batch)
        if conflict is not None:
            raise ConflictError(conflict)
        return self._store.index

    async def barrier(self) -> int:
        return self._store.index


class Scene:
    """A leader's loop over ready nodes."""

    def __init__(self, nodes: int, *, coded: bool = False) -> None:
        self.store, self.ids = Store(), Ids()
        self.proposer = AtOnce(self.store, coded)
        self._put(Create(Cluster(id="swarm")), *(Create(node(number)) for number in range(nodes)))
        beats = {each.id: Beat(heard=NEVER) for each in self.store.nodes}
        self._asked = 0
        deciders = [("nodes", liveness.decider(lambda: beats, 0.0)), *DECIDERS]
        counted = [(name, self._counted(decide)) for name, decide in deciders]
        self._reconciler = Reconciler(self.store, self.proposer, Clock(), self.ids, counted)
        self._loop: asyncio.Task[None] | None = None

    def _counted(self, decide: Decider) -> Decider:
        def ask(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
            self._asked += 1
            return decide(view, dirty, now, ids)

        return ask

    def _put(self, *changes: Change) -> None:
        conflict = self.store.apply(self.store.index + 1, Batch(time.time_ns(), changes))
        if conflict is not None:
            raise ConflictError(conflict)

    def services(self, count: int, replicas: int, *, kinds: Sequence[Callable[[int], dict[str, Any]]] = KINDS) -> None:
        """Services, each written by an entry of its own, whose tasks are still to be made."""
        for number in range(count):
            spec = service_spec(f"s{number}", replicas, kinds[number % len(kinds)](number))
            self._put(Create(Service(id=f"service{number}", spec=spec)))

    def running(self, count: int, replicas: int, kinds: Sequence[Callable[[int], dict[str, Any]]] = KINDS) -> None:
        """Services of running tasks, evenly on the nodes."""
        self.services(count, replicas, kinds=kinds)
        turn = itertools.cycle(sorted(self.store.nodes, key=lambda each: each.id))
        for service in list(self.store.services):
            fitting = (each for each in turn if placement_fits(each, service.spec.task))
            made = [running_task(self.ids(), service, slot, next(fitting).id) for slot in range(1, replicas + 1)]
            self._put(*map(Create, made))

    async def settled(self) -> None:
        """Until nothing is left to decide: no decider is asked while the loop has its turns."""
        if self._loop is None:
            self._loop = asyncio.create_task(self._reconciler.run())
        quiet = 0
        while quiet < 50:
            asked = self._asked
            await asyncio.sleep(0)
            quiet = quiet + 1 if asked == self._asked else 0
            if self._loop.done():
                raise RuntimeError("the loop has ended") from self._loop.exception()

    async def placed(self, tasks: int) -> float:
        """Seconds of processor time until so many tasks are assigned and all is quiet."""
        began = time.process_time()
        await self.settled()
        used = time.process_time() - began
        assigned = sum(1 for task in self.store.tasks if task.state >= TaskState.ASSIGNED)
        if assigned != tasks:
            raise RuntimeError(f"{assigned} of {tasks} tasks were assigned")
        return used

    async def scale(self, service_id: str, replicas: int) -> float:
        """Milliseconds of processor time until a service has that many tasks, all assigned."""
        service = self.store.services.get(service_id)
        assert service is not None
        changed = dataclasses.replace(service, spec=dataclasses.replace(service.spec, mode=Mode(replicas=replicas)))
        began = time.process_time()
        await self.proposer.propose([Update(changed)])
        await self.settled()
        used = time.process_time() - began
        assigned = [task for task in self.store.tasks.by("service", service_id) if task.state >= TaskState.ASSIGNED]
        if len(assigned) != replicas:
            raise RuntimeError(f"{len(assigned)} tasks of {service_id} are assigned, not {replicas}")
        return 1000 * used

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)


def node(number: int) -> Node:
    """A ready worker of one of ten zones, with room for all that is asked of it here."""
    return Node(
        id=f"node{number:021d}",
        spec=NodeSpec(labels={"zone": f"z{number % 10}"}),
        status=NodeStatus(state=NodeState.READY, addr="10.0.0.1"),
        description=NodeDescription(
            hostname=f"host{number}", os="linux", architecture="x86_64", nano_cpus=10**13, memory_bytes=10**14
        ),
    )


def service_spec(name: str, replicas: int, task: dict[str, Any]) -> ServiceSpec:
    """A service of sleepers."""
    container = {"Image": "busybox", "Command": ["sleep", "86400"], "Env": ["A=1", "B=2"], "Labels": {"app": name}}
    mode = {"Replicated": {"Replicas": replicas}}
    return decode(ServiceSpec, {"Name": name, "TaskTemplate": {"ContainerSpec": container, **task}, "Mode": mode})


def running_task(task_id: str, service: Service, slot: int, node_id: str) -> Task:
    status = TaskStatus(state=TaskState.RUNNING, at=1, applied_at=1, running_since=1, message="started")
    return Task(
        id=task_id,
        service_id=service.id,
        service_name=service.name,
        spec=service.spec.task,
        endpoint=service.spec.endpoint,
        spec_version=service.spec_version,
        slot=slot,
        node_id=node_id,
        status=status,
    )


def _tidy() -> None:
    """As the daemon does when it is ready: the collector need not look again at what stays."""
    gc.collect()
    gc.freeze()


async def place(services: int, nodes: int, *, coded: bool = False) -> float:
    """Seconds for all tasks of so many services."""
    scene = Scene(nodes, coded=coded)
    scene.services(services, REPLICAS)
    _tidy()
    used = await scene.placed(services * REPLICAS)
    await scene.close()
    return used


async def one_scale(tasks: int, nodes: int, rounds: int) -> float:
    """Median milliseconds to scale one service by ten among so many running tasks. Entries pass through the codec."""
    scene = Scene(nodes, coded=True)
    scene.running(tasks // REPLICAS, REPLICAS)
    await scene.settled()
    _tidy()
    await scene.scale("service0", 2 * REPLICAS)  # what is only slow the first time
    used = [await scene.scale(f"service{number}", 2 * REPLICAS) for number in range(1, rounds + 1)]
    await scene.close()
    return statistics.median(used)


async def weigh(tasks: int, nodes: int) -> float:
    """Resident MiB of a process with the daemon's code and a store of so many assigned tasks."""
    import queenright.app.daemon  # noqa: F401, PLC0415 - its weight is part of the figure

    scene = Scene(nodes, coded=True)
    scene.services(tasks // REPLICAS, REPLICAS)
    await scene.placed(tasks)
    await scene.close()
    gc.collect()
    return rss_mib(os.getpid())


def _aside(*arguments: str) -> float:
    """A figure from a process of its own."""
    command = [sys.executable, "-B", __file__, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace) -> dict[str, float]:
    """All figures; each is told as it comes."""
    figures: dict[str, float] = {}

    def tell(name: str, value: float, digits: int) -> None:
        figures[name] = round(value, digits)
        print(f"{name}: {figures[name]}", flush=True)

    services = options.services
    seconds = [asyncio.run(place(services, 1_000)) for _ in range(options.rounds)]
    tell("seconds_10k_on_1k", statistics.median(seconds), 2)
    tell("seconds_10k_on_1k_with_log", asyncio.run(place(services, 1_000, coded=True)), 2)
    few, many = (statistics.median(asyncio.run(place(services, nodes)) for _ in range(2)) for nodes in (100, 5_000))
    tell("growth_100_to_5000_nodes", many / few, 2)
    tell("one_scale_ms_at_1k_tasks", asyncio.run(one_scale(1_000, 1_000, options.scales)), 1)
    tell("one_scale_ms_at_100k_tasks", asyncio.run(one_scale(100_000, 1_000, options.scales)), 1)
    tell("rss_mib_30k_tasks", _aside("--weigh", "30000"), 0)
    return figures


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench scheduler", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", type=int, default=1_000, help="of ten tasks each, to be placed at once")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is the first figure")
    parser.add_argument("--scales", type=int, default=9, help="services that are scaled, one after the other")
    parser.add_argument("--weigh", type=int, help="only tell what a process with so many tasks weighs")
    options = parser.parse_args(argv)
    if options.weigh:
        print(asyncio.run(weigh(options.weigh, 1_000)))
        return 0
    print(json.dumps(measure(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
