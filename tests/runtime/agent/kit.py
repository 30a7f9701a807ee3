# SPDX-License-Identifier: Apache-2.0
"""What the tests of the agent share: tasks, a node around a worker, an engine that lives in memory and fails on
demand, waiting with a deadline."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from runtime.sealers import sealer

from queenright.agent.data import NodeData
from queenright.agent.database import TaskDatabase
from queenright.agent.ports import EngineLostError, ExecutorError, Found, Supplies
from queenright.agent.reporter import Reporter
from queenright.agent.worker import Worker
from queenright.decide.task_step import Health, Phase, Seen
from queenright.model.objects import NodeDescription, Task, TaskStatus
from queenright.model.payloads import Payload
from queenright.model.states import TaskState
from queenright.spec.container import ContainerSpec
from queenright.spec.service import TaskSpec
from queenright.wire.codec import decode_task, encode_task

PATIENCE = 60.0


def make_task(task_id: str = "t1", desired: TaskState = TaskState.RUNNING, **container: Any) -> Task:
    """A task of service ``web``, as a scheduler hands it out."""
    return Task(
        id=task_id,
        service_id="svc",
        service_name="web",
        slot=1,
        node_id="node",
        spec=TaskSpec(container=ContainerSpec(**({"image": "app:1"} | container))),
        desired_state=desired,
        status=TaskStatus(state=TaskState.ASSIGNED, message="scheduler assigned task to node"),
    )


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for a condition, with a deadline that a slow machine keeps."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


class TickingClock:
    """Each look is a nanosecond later."""

    def __init__(self) -> None:
        self.now = 1_000

    def wall(self) -> int:
        self.now += 1
        return self.now


class FakeEngine:
    """An ``Executor``. Containers outlive the workers that use it.

    ``down`` makes every call fail, ``faults[call]`` the next calls of that name, ``hold[call]`` makes them wait.
    """

    def __init__(self) -> None:
        self.containers: dict[str, Seen] = {}
        self.tasks: dict[str, str] = {}  # container id -> task id
        self.calls: list[str] = []
        self.started: list[str] = []  # containers, as often as they were really started
        self.faults: dict[str, list[ExecutorError]] = {}
        self.hold: dict[str, asyncio.Event] = {}
        self.down = False
        self.probed = False  # containers have a healthcheck
        self.stubborn = False  # containers ignore the stop signal
        self.stops: list[tuple[str, str, float]] = []
        self.news = asyncio.Event()
        self.supplies: Supplies = NodeData()  # of the agent that uses it now
        self.files: dict[str, tuple[Payload, ...]] = {}  # task id -> secrets and configs that are mounted
        self.pulled: list[bytes] = []  # credentials of the pulls that succeeded
        self.words: list[str] = []  # what each pull says of its progress

    def set(self, container_id: str, **changes: Any) -> None:
        """Something happens to a container."""
        self.containers[container_id] = dataclasses.replace(self.containers[container_id], **changes)
        self.news.set()
        self.news = asyncio.Event()

    def exit(self, container_id: str, code: int) -> None:
        self.set(container_id, phase=Phase.EXITED, exit_code=code)

    def destroy(self, container_id: str) -> None:
        del self.containers[container_id]
        self.news.set()
        self.news = asyncio.Event()

    async def _enter(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        if self.down:
            raise EngineLostError("the engine does not answer")
        if call in self.hold:
            await self.hold[call].wait()
        if self.faults.get(call):
            raise self.faults[call].pop(0)

    async def describe(self) -> NodeDescription:
        await self._enter("describe")
        return NodeDescription(hostname="host")

    async def found(self) -> Sequence[Found]:
        await self._enter("found")
        return [
            Found(container_id, self.tasks[container_id], seen.phase == Phase.RUNNING)
            for container_id, seen in self.containers.items()
        ]

    async def look(self, task: Task, container_id: str) -> Seen:
        await self._enter("look")
        return self.containers.get(container_id or f"c-{task.id}", Seen(phase=Phase.ABSENT))

    async def pull(self, task: Task, told: Callable[[str], None]) -> None:
        for text in self.words:
            told(text)
        await self._enter("pull")
        self.pulled.append(self.supplies.credentials(task))

    async def create(self, task: Task) -> Seen:
        await self._enter("create")
        self.files[task.id] = tuple(self.supplies.payloads(task))
        container_id = f"c-{task.id}"
        if container_id not in self.containers:
            self.containers[container_id] = Seen(phase=Phase.CREATED, container_id=container_id)
            self.tasks[container_id] = task.id
        return self.containers[container_id]

    async def start(self, task: Task, container_id: str) -> Seen:
        await self._enter("start")
        health = Health.STARTING if self.probed else Health.NONE
        self.started.append(container_id)
        self.set(container_id, phase=Phase.RUNNING, pid=4711, health=health)
        return self.containers[container_id]

    async def changed(self, container_id: str, seen: Seen) -> Seen:
        self.calls.append("changed")
        while self.now(container_id) == seen:
            await self.news.wait()
        return self.now(container_id)

    def now(self, container_id: str) -> Seen:
        return self.containers.get(container_id, Seen(phase=Phase.ABSENT, container_id=container_id))

    async def stop(self, container_id: str, signal: str, grace: float) -> Seen:
        await self._enter("stop")
        self.stops.append((container_id, signal, grace))
        if self.now(container_id).phase == Phase.RUNNING:
            self.exit(container_id, 137 if self.stubborn else 0)
        return self.now(container_id)

    async def release(self, task_id: str) -> None:
        await self._enter("release")
        self.files.pop(task_id, None)

    async def sweep(self, keep: Collection[str]) -> None:
        await self._enter("sweep")
        for task_id in self.files.keys() - set(keep):
            del self.files[task_id]

    async def remove(self, container_id: str, task_id: str) -> None:
        await self._enter("remove")
        if container_id in self.containers:
            self.destroy(container_id)
        self.files.pop(task_id, None)


class Node:
    """A worker with its database; :meth:`crash` forgets what was not written, :meth:`start` begins anew."""

    def __init__(self, engine: FakeEngine, folder: pathlib.Path) -> None:
        self.engine = engine
        self.path = folder / "tasks.db"
        self.reports: list[tuple[str, TaskStatus]] = []
        self.worker: Worker

    async def start(self) -> None:
        await self.start_with(None)

    async def start_with(self, mesh: Any) -> None:
        """Begin with a ``Mesh``."""
        database = TaskDatabase(self.path, sealer(), encode=encode_task, decode=decode_task)
        self.reporter = Reporter(lambda: 0.5)
        self.data = self.engine.supplies = NodeData()
        self.worker = Worker(self.engine, database, self.reporter, TickingClock(), self.data)
        self.worker.mesh = mesh
        await self.worker.start()
        self.worker.connected(self._send)

    async def _send(self, updates: Sequence[tuple[str, TaskStatus]]) -> None:
        self.reports.extend(updates)

    async def stop(self) -> None:
        await self.worker.stop()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def status(self, task_id: str = "t1") -> TaskStatus:
        return dict(self.worker.statuses()).get(task_id, TaskStatus())

    def reported(self, task_id: str = "t1") -> TaskStatus:
        return next((status for known, status in reversed(self.reports) if known == task_id), TaskStatus())

    async def reaches(self, state: TaskState, task_id: str = "t1") -> TaskStatus:
        """Wait until a manager has been told of that state."""
        await until(
            lambda: self.reported(task_id).state == state,
            f"{task_id} is {self.status(task_id)}, reported {self.reported(task_id)}, wanted {state.text}",
        )
        return self.reported(task_id)
