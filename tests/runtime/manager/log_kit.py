# SPDX-License-Identifier: Apache-2.0
"""A leader's log broker over a real store, and nodes that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections.abc import AsyncIterator, Callable

from queenright.manager.logs import LogBroker
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.errors import Refusal
from queenright.model.logs import LogLine, LogOptions, LogPublication, LogRead, LogReadRequest, LogSubscription
from queenright.model.objects import Node, NodeStatus, Service, Task, TaskStatus
from queenright.model.states import NodeState, TaskState
from queenright.spec.container import ContainerSpec
from queenright.spec.service import ServiceSpec, TaskSpec
from queenright.store.store import Store
from queenright.wire.logs import pack_lines, unpack_lines

PATIENCE = 60.0
START = 1_700_000_000_000_000_000


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for a condition, with a deadline that a slow machine keeps."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


def line(text: str, at: int = START, stream: int = 1) -> LogLine:
    return LogLine(at, stream, "", text.encode() + b"\n")


def packed(*texts: str) -> bytes:
    return pack_lines([line(text) for text in texts])


class Clock:
    def __init__(self) -> None:
        self.at = START

    def wall(self) -> int:
        return self.at

    def mono(self) -> float:
        return self.at / 1e9


class Swarm:
    """A service ``web``, its tasks on nodes, and a manager that leads."""

    def __init__(self) -> None:
        self.store, self.clock = Store(), Clock()
        counter = itertools.count()
        self.broker = LogBroker(self.store, self.clock, lambda: f"sub{next(counter)}")
        self.write(Create(Service(id="web", spec=ServiceSpec(name="web"))))
        self.broker.start()

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(1, changes)) is None

    def add_node(self, node_id: str, state: NodeState = NodeState.READY) -> None:
        self.write(Create(Node(id=node_id, role="worker", status=NodeStatus(state=state))))

    def set_node(self, node_id: str, state: NodeState) -> None:
        node = self.store.nodes.get(node_id)
        assert node is not None
        self.write(Update(dataclasses.replace(node, status=NodeStatus(state=state))))

    def add_task(
        self, task_id: str, node_id: str = "n1", state: TaskState = TaskState.RUNNING, service_id: str = "web"
    ) -> None:
        status = TaskStatus(state=state, container_id=f"c-{task_id}" if state >= TaskState.STARTING else "")
        spec = TaskSpec(container=ContainerSpec(image="app"))
        self.write(Create(Task(id=task_id, service_id=service_id, node_id=node_id, spec=spec, status=status)))

    def set_task(self, task_id: str, state: TaskState) -> None:
        task = self.store.tasks.get(task_id)
        assert task is not None
        status = TaskStatus(state=state, container_id=f"c-{task_id}")
        self.write(Update(dataclasses.replace(task, status=status)))

    def remove(self, kind: str, key: str) -> None:
        self.write(Delete(kind, key))

    def read(self, *, services: tuple[str, ...] = ("web",), tasks: tuple[str, ...] = (), **options: object) -> Reader:
        request = LogReadRequest(
            service_ids=services if not tasks else (),
            task_ids=tasks,
            options=LogOptions(**options),  # type: ignore[arg-type]
        )
        return Reader(self.broker, request)


class Reader:
    """Reads as fast as it can, unless it is ``held``, and notes what it gets."""

    def __init__(self, broker: LogBroker, request: LogReadRequest) -> None:
        self.parts: list[LogRead] = []
        self.error: BaseException | None = None
        self.ended = False
        self.go = asyncio.Event()
        self.go.set()
        self._task = asyncio.create_task(self._run(broker, request))

    async def _run(self, broker: LogBroker, request: LogReadRequest) -> None:
        try:
            async with contextlib.aclosing(broker.read(request)) as parts:
                async for part in parts:
                    self.parts.append(part)
                    await self.go.wait()
        except Refusal as error:
            self.error = error
        finally:
            self.ended = True

    @property
    def texts(self) -> list[str]:
        return [
            line.text.decode().rstrip("\n") for part in self.parts if part.lines for line in unpack_lines(part.lines)
        ]

    @property
    def missing(self) -> list[str]:
        return [part.missing for part in self.parts if part.missing]

    @property
    def again(self) -> bool:
        return any(part.again for part in self.parts)

    async def end(self) -> Reader:
        async with asyncio.timeout(PATIENCE):
            await self._task
        return self

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class FakeNode:
    """An agent: gives ``logs`` (texts by task) of what is wanted, then says that it is done, unless it ``holds``."""

    def __init__(self, swarm: Swarm, node_id: str = "n1", session_id: str = "session") -> None:
        self.broker, self.node_id, self.session_id = swarm.broker, node_id, session_id
        self.logs: dict[str, list[str]] = {}
        self.errors: dict[str, str] = {}
        self.holds = False
        self.told: list[LogSubscription] = []
        self.refused: list[BaseException] = []
        self.publishing = 0
        self._pipes: dict[str, asyncio.Queue[LogPublication | None]] = {}
        self._tasks = [asyncio.create_task(self._listen())]

    @property
    def over(self) -> list[str]:
        return [told.id for told in self.told if told.over]

    @property
    def wanted(self) -> list[str]:
        return [item.task_id for told in self.told for item in told.wanted]

    async def _listen(self) -> None:
        try:
            async with contextlib.aclosing(self.broker.listen(self.node_id, self.session_id)) as told:
                async for subscription in told:
                    self.told.append(subscription)
                    self._take(subscription)
        except Refusal as error:
            self.refused.append(error)

    def _take(self, told: LogSubscription) -> None:
        if told.over:
            self._pipes.pop(told.id, asyncio.Queue()).put_nowait(None)
            return
        if told.id not in self._pipes:
            self._pipes[told.id] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._publish(told.id, self._pipes[told.id])))
        for item in told.wanted:
            for text in self.logs.get(item.task_id, []):
                self.give(told.id, item.task_id, text)
            if not self.holds:
                self.done(told.id, item.task_id)

    def give(self, subscription_id: str, task_id: str, text: str) -> None:
        self._pipes[subscription_id].put_nowait(LogPublication(task_id=task_id, lines=packed(text)))

    def done(self, subscription_id: str, task_id: str) -> None:
        error = self.errors.get(task_id, "")
        self._pipes[subscription_id].put_nowait(LogPublication(task_id=task_id, done=True, error=error))

    def hang_up(self, subscription_id: str) -> None:
        """The stream breaks."""
        self._pipes[subscription_id].put_nowait(None)

    async def _publish(self, subscription_id: str, queue: asyncio.Queue[LogPublication | None]) -> None:
        async def given() -> AsyncIterator[LogPublication]:
            while (item := await queue.get()) is not None:
                yield item

        self.publishing += 1
        try:
            await self.broker.publish(self.node_id, self.session_id, subscription_id, given())
        except Refusal as error:
            self.refused.append(error)
        finally:
            self.publishing -= 1

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
