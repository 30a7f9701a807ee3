# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs the manager to scale one service, among few tasks and among many: the cost shall follow the change.

Store, codec, deciders, loop and dispatcher are the daemon's own; the log applies at once and the agents are short
coroutines, all in this process. Measured is the processor time from the update until every task's RUNNING is written
and everybody has settled. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from queenright.decide.orchestrate import DECIDERS
from queenright.edge.http.api import render
from queenright.edge.http.api.json_cache import JsonCache
from queenright.edge.http.slicing import slices
from queenright.manager.dispatch import Dispatcher, Session
from queenright.manager.proposer import ConflictError
from queenright.manager.reconcile import Reconciler
from queenright.manager.views import list_tasks
from queenright.model.changes import Batch, Change, Create, Update
from queenright.model.objects import Cluster, Node, NodeDescription, Service, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.container import ContainerSpec
from queenright.spec.service import Mode, ServiceSpec, TaskSpec
from queenright.store.store import Store
from queenright.wire import codec

NODES, REPLICAS, MORE = 20, 10, 20
LOOK = 0.02  # seconds between two looks at whether it is done
QUIET = 5  # looks without a commit after which nothing more comes
PATIENCE = 600.0  # seconds, for the slowest of machines
DESCRIPTION = NodeDescription(hostname="host", os="linux", architecture="x86_64", nano_cpus=10**13, memory_bytes=10**14)


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
    """A log that is on the disk the moment it is written; entries pass through the codec as they do in a real one."""

    is_leader = True

    def __init__(self, store: Store) -> None:
        self._store = store

    async def propose(self, changes: Sequence[Change]) -> int:
        entry = codec.encode_batch(Batch(time.time_ns(), tuple(changes)))
        await asyncio.sleep(0)
        conflict = self._store.apply(self._store.index + 1, codec.decode_batch(entry))
        if conflict is not None:
            raise ConflictError(conflict)
        return self._store.index

    async def barrier(self) -> int:
        return self._store.index


class Scene:
    """A manager with nodes whose agents start everything at once."""

    def __init__(self) -> None:
        self.store, self.ids = Store(), Ids()
        self.proposer = AtOnce(self.store)
        self.dispatcher = Dispatcher(self.store, self.proposer, Clock(), self.ids)
        self._reconciler = Reconciler(self.store, self.proposer, Clock(), self.ids, DECIDERS)
        self._running: list[asyncio.Task[None]] = []

    async def open(self, tasks: int) -> None:
        """Nodes, and services of running tasks, at all of which the deciders have looked."""
        nodes = [Node(id=f"node{number}", description=DESCRIPTION) for number in range(NODES)]
        await self.proposer.propose([Create(Cluster(id="swarm")), *(Create(node) for node in nodes)])
        for number in range(tasks // REPLICAS):
            service = Service(id=f"service{number}", spec=spec(f"s{number}", REPLICAS))
            await self.proposer.propose([Create(service), *(Create(task) for task in self._tasks(number, service))])
        self.dispatcher.start()
        for node in nodes:
            session = await self.dispatcher.open(node.id, DESCRIPTION, "")
            self._running.append(asyncio.create_task(self._agent(session), name=f"the agent of {node.id}"))
        self._running.append(asyncio.create_task(self._reconciler.run(), name="the reconciler"))
        await self.settled()

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.dispatcher.stop()

    async def settled(self) -> None:
        """Until every decider has looked at everything, and nothing has been written for a while: a first pass over
        many tasks takes long and writes nothing.
        """
        quiet, index = 0, self.store.index

        def still() -> bool:
            nonlocal quiet, index
            busy = index != self.store.index or any(seat.dirty or seat.rest for seat in self._reconciler._seats)
            quiet, index = 0 if busy else quiet + 1, self.store.index
            return quiet >= QUIET

        await self._until(still, "the manager settles")

    async def _until(self, done: Callable[[], bool], what: str) -> None:
        """Wait. Raises what ended the reconciler or an agent, or RuntimeError when it takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            for task in self._running:
                if task.done():
                    task.result()
                    raise RuntimeError(f"{task.get_name()} ended while it was waited for that {what}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {PATIENCE:.0f} s in vain for that {what}")
            await asyncio.sleep(LOOK)

    def _count(self, service_id: str) -> int:
        """Tasks of the service that run."""
        return sum(task.state == TaskState.RUNNING for task in self.store.tasks.by("service", service_id))

    async def scale(self, service_id: str, replicas: int) -> float:
        """Milliseconds of processor time that it takes."""
        service = self.store.services.get(service_id)
        assert service is not None
        changed = dataclasses.replace(service, spec=dataclasses.replace(service.spec, mode=Mode(replicas=replicas)))
        began = time.process_time()
        await self.proposer.propose([Update(changed)])
        await self._until(lambda: self._count(service_id) >= replicas, f"{replicas} tasks of {service_id} run")
        await self.settled()
        used = time.process_time() - began
        if self._count(service_id) != replicas:
            raise RuntimeError(f"{self._count(service_id)} tasks of {service_id} run, not {replicas}")
        return 1000 * used

    def _tasks(self, number: int, service: Service) -> list[Task]:
        running = TaskStatus(state=TaskState.RUNNING, at=time.time_ns(), running_since=time.time_ns())
        return [
            Task(
                id=self.ids(),
                service_id=service.id,
                service_name=service.name,
                spec=service.spec.task,
                slot=slot + 1,
                node_id=f"node{(number * REPLICAS + slot) % NODES}",
                status=running,
            )
            for slot in range(REPLICAS)
        ]

    async def _agent(self, session: Session) -> None:
        async for assigned in self.dispatcher.assignments(session):
            told = []
            for task in assigned.updates:
                state = TaskState.RUNNING if task.desired_state <= TaskState.RUNNING else TaskState.SHUTDOWN
                if task.state < state:
                    told.append((task.id, TaskStatus(state=state, at=time.time_ns())))
            if told:
                await self.dispatcher.update_statuses(session.node_id, session.id, told)


def spec(name: str, replicas: int) -> ServiceSpec:
    """A service of sleepers."""
    container = ContainerSpec(image="busybox", command=("sleep", "86400"), env=("A=1", "B=2"))
    return ServiceSpec(name=name, task=TaskSpec(container=container), mode=Mode(replicas=replicas))


async def measure(tasks: int, rounds: int) -> list[float]:
    """Processor milliseconds of each round: one service from 10 to 30 replicas, among so many tasks."""
    scene = Scene()
    await scene.open(tasks)
    gc.collect()
    gc.freeze()
    await scene.scale("service0", REPLICAS + MORE)  # what is only slow the first time
    figures = [await scene.scale(f"service{number}", REPLICAS + MORE) for number in range(1, rounds + 1)]
    await scene.close()
    return figures


async def list_tasks_of(tasks: int) -> dict[str, float]:
    """Processor milliseconds of the longest slice of a list of all tasks (the first time, and again), and of one to
    which a single task belongs.
    """
    scene = Scene()
    await scene.open(tasks)
    gc.collect()
    gc.freeze()
    cache, figures = JsonCache(render.task), {}
    wanted = [next(iter(scene.store.tasks)).name]
    for name, filters in (("first", {}), ("all", {}), ("one", {"name": wanted})):
        began, longest = time.process_time(), 0.0
        for _ in slices(None if task is None else cache.text(task) for task in list_tasks(scene.store, filters)):
            ended = time.process_time()
            longest, began = max(longest, ended - began), ended
        figures[name] = round(1000 * longest, 1)
    await scene.close()
    return figures


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench manager", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(argv)
    medians = []
    for tasks in (options.few, options.many):
        figures = asyncio.run(measure(tasks, options.rounds))
        medians.append(statistics.median(figures))
        print(f"among {tasks} tasks: {medians[-1]:.1f} ms, {min(figures):.1f} to {max(figures):.1f}", flush=True)
    few, many = medians
    slowest = asyncio.run(list_tasks_of(options.many))
    print(f"longest slices of lists of {options.many} tasks: {slowest}", flush=True)
    figures = {"scale20_few_ms": round(few, 1), "scale20_many_ms": round(many, 1), "ratio": round(many / few, 2)}
    print(json.dumps({**figures, "list_slice_ms": round(max(slowest.values()), 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
