# SPDX-License-Identifier: Apache-2.0
"""The node's tasks: takes assignments, keeps a runner for each, remembers them, adopts containers after a restart."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from queenright.agent.data import NodeData
from queenright.agent.database import TaskDatabase
from queenright.agent.log_ports import LogPlace
from queenright.agent.ports import Clock, Executor, ExecutorError, Found, Mesh
from queenright.agent.reporter import Reporter, Send
from queenright.agent.task import RECONNECT_FIRST, RECONNECT_MOST, TaskRunner
from queenright.decide.task_step import RETRY_AFTER, Phase, Seen
from queenright.lib.tasks import Background
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState
from queenright.wire.messages import AssignmentSet

log = logging.getLogger(__name__)

AT_ONCE = 20  # tasks taken over before others get their turn on the loop
STRAY_GRACE = 10.0  # seconds for a container whose task is gone


class Worker:
    """Runs the tasks of one node. Belongs to the event loop's thread.

    Until the engine has said which containers there are, tasks are taken and remembered but not begun: whether one
    runs already is not known.
    """

    def __init__(
        self,
        executor: Executor,
        database: TaskDatabase,
        reporter: Reporter,
        clock: Clock,
        data: NodeData,
    ) -> None:
        self._executor = executor
        self._data = data
        self._database = database
        self._reporter = reporter
        self._clock = clock
        self.mesh: Mesh | None = None  # set before it starts, if there is one
        self._background = Background()
        self._runners: dict[str, TaskRunner] = {}
        self._strays: set[str] = set()  # container ids on their way out
        self._found: dict[str, Found] | None = None
        self._told = False  # whether a manager has said which tasks there are
        self._gone = asyncio.Event()
        self.engine_error = ""  # why containers cannot be looked at, while that is so

    async def start(self) -> None:
        """Load what is remembered and go on with it. Raises DatabaseError; a silent engine is waited for."""
        records = await self._database.open()
        if self.mesh is not None:
            try:
                await self.mesh.start()
            except BaseException:
                await self._database.close()
                raise
        for record in records:
            self._add(record.task, record.status)
        self._background.start(self._reporter.run(), "task-reporter")
        self._background.start(self._adopt(), "task-adoption")

    async def stop(self) -> None:
        """Let go of everything; the containers go on running."""
        await self._background.stop()
        if self.mesh is not None:
            await self.mesh.stop()
        self._runners.clear()
        await self._database.close()

    def take_data(self, assigned: AssignmentSet) -> None:
        """Secrets, configs and credentials of the tasks that are about to be applied."""
        self._data.take(assigned)

    async def apply_complete(self, tasks: Sequence[Task]) -> None:
        """These are all tasks of the node: any other one is ended and removed, and so are strays of this cluster."""
        await self._assign(tasks)
        for task_id in self._runners.keys() - {task.id for task in tasks}:
            self._remove(task_id)
        self._told = True
        for runner in self._runners.values():
            runner.heard()
        self._remove_strays()

    async def apply_incremental(self, updates: Sequence[Task], removes: Sequence[str]) -> None:
        """New and changed tasks, and the ids of those that are no longer the node's."""
        await self._assign(updates)
        for task_id in removes:
            self._remove(task_id)

    def connected(self, send: Send) -> None:
        """Statuses can be sent; all are, since the manager may lack any."""
        self._reporter.connected(send, self.statuses())

    def disconnected(self) -> None:
        """Statuses wait for the next session; tasks go on as they were assigned."""
        self._reporter.disconnected()

    def statuses(self) -> list[tuple[str, TaskStatus]]:
        """(task id, status) of every task that this node has accepted."""
        return [
            (task_id, runner.status)
            for task_id, runner in self._runners.items()
            if runner.status.state >= TaskState.ACCEPTED and not runner.removing
        ]

    @property
    def adopted(self) -> bool:
        """Whether the engine has said which containers there are, so that tasks are led."""
        return self._found is not None

    def counts(self) -> tuple[int, int]:
        """(tasks running, tasks that have not ended)."""
        states = [runner.status.state for runner in self._runners.values() if not runner.removing]
        return states.count(TaskState.RUNNING), sum(not state.terminal for state in states)

    def explain(self, task_id: str) -> dict[str, Any] | None:
        """What this node knows of a task of its own, for ``queenright why``."""
        runner = self._runners.get(task_id)
        if runner is None:
            return None
        return {
            "state": runner.status.state.text,
            "desired_state": runner.task.desired_state.text,
            "message": runner.status.message,
            "err": runner.status.err,
            "container": {
                "id": runner.seen.container_id or runner.status.container_id,
                "seen": runner.seen.phase.name.lower(),
                "health": runner.seen.health.value,
            },
            "trouble": runner.trouble.text if runner.trouble else self.engine_error,
            "removing": runner.removing,
        }

    def uses(self, network_id: str) -> bool:
        """Whether a container that is not known to have ended is in the network."""
        return any(
            one.network_id == network_id
            for runner in self._runners.values()
            if not (runner.status.state.terminal and runner.seen.phase in (Phase.ABSENT, Phase.EXITED))
            for one in runner.task.attachments
        )

    def nameservers(self, task_id: str) -> Sequence[str]:
        """The resolvers that a task names itself."""
        runner = self._runners.get(task_id)
        return tuple(runner.task.spec.container.dns.nameservers or ()) if runner is not None else ()

    def log_place(self, task_id: str) -> LogPlace | None:
        """Where the log of a task is; None: there is no such task, or it has no container."""
        runner = self._runners.get(task_id)
        container_id = (runner.seen.container_id or runner.status.container_id) if runner is not None else ""
        if runner is None or not container_id:
            return None
        ended = runner.removing or runner.status.state.terminal
        return LogPlace(container_id, bool(runner.task.spec.container.tty), ended)

    async def remove_all(self, seconds: float) -> list[str]:
        """Leave nothing behind: end and remove every container of this cluster. Gives the ids of tasks whose
        containers are still there after that time.
        """
        self._told = True
        for task_id in list(self._runners):
            self._remove(task_id)
        self._remove_strays()
        try:
            async with asyncio.timeout(seconds):
                while self._runners or self._strays or self._found is None:
                    self._gone.clear()
                    await self._gone.wait()
        except TimeoutError:
            pass
        self._data.forget()
        return sorted(self._runners)

    # -- assignments

    async def _assign(self, tasks: Sequence[Task]) -> None:
        for number, task in enumerate(tasks, 1):
            runner = self._runners.get(task.id)
            if runner is None:
                self._database.put(task, task.status)
                self._begin(self._add(task, task.status))
            elif not _same(runner.task, task):
                runner.update(task)
                self._database.put(runner.task, runner.status)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _add(self, task: Task, status: TaskStatus) -> TaskRunner:
        runner = TaskRunner(
            task,
            status,
            Seen(),
            self._executor,
            self._clock,
            self._report,
            self._removed,
            lambda: self._data.told,
            self.mesh,
        )
        self._runners[task.id] = runner
        return runner

    def _begin(self, runner: TaskRunner) -> None:
        if self._found is None:
            return  # adoption will begin it
        found = self._found.pop(runner.task.id, None)
        runner.seen = Seen(container_id=found.container_id) if found else Seen(phase=Phase.ABSENT)
        self._background.start(runner.run(), f"task-{runner.task.id}")

    def _remove(self, task_id: str) -> None:
        runner = self._runners.get(task_id)
        if runner is not None and not runner.removing:
            runner.remove()
            self._reporter.forget(task_id)
            # remembered, so that a restart in the middle does not start it again
            self._database.put(dataclasses.replace(runner.task, desired_state=TaskState.REMOVE), runner.status)

    def _report(self, task_id: str, status: TaskStatus) -> None:
        self._database.put_status(task_id, status)
        self._reporter.report(task_id, status)
        runner = self._runners.get(task_id)
        if runner is None or runner.status.state != status.state or status.err:
            log.info("task %s", status.state.text, extra={"task": task_id, "err": status.err})

    def _removed(self, task_id: str) -> None:
        self._runners.pop(task_id, None)
        self._database.forget(task_id)
        self._gone.set()

    # -- containers found

    async def _adopt(self) -> None:
        """Ask which containers there are, until the engine answers; then begin what was remembered."""
        delay = RECONNECT_FIRST
        while True:
            try:
                found = await self._executor.found()
                break
            except ExecutorError as error:
                if not self.engine_error:
                    log.warning("the engine cannot be asked for its containers, waiting for it: %s", error)
                self.engine_error = str(error)
            await asyncio.sleep(delay)
            delay = min(RECONNECT_MOST, 2 * delay)
        self.engine_error = ""
        await self._sweep(found)
        self._found = {item.task_id: item for item in found}
        for runner in list(self._runners.values()):
            self._begin(runner)
        self._gone.set()
        if self._told:
            self._remove_strays()

    async def _sweep(self, found: Sequence[Found]) -> None:
        """Take away what a crash left of the secrets and configs of tasks that are gone."""
        try:
            await self._executor.sweep({*self._runners, *(item.task_id for item in found)})
        except ExecutorError as error:
            log.warning("secrets and configs of former tasks may still be in memory: %s", error)

    def _remove_strays(self) -> None:
        """Containers of this cluster without a task: left over from a crash, or from a former membership."""
        if self._found:
            for item in self._found.values():
                log.info("removing a container whose task is gone", extra={"task": item.task_id})
                self._strays.add(item.container_id)
                self._background.start(self._remove_stray(item), f"stray-{item.task_id}")
            self._found = {}

    async def _remove_stray(self, item: Found) -> None:
        while True:
            try:
                if item.running:
                    await self._executor.stop(item.container_id, "", STRAY_GRACE)
                await self._executor.remove(item.container_id, item.task_id)
                break
            except ExecutorError as error:
                log.warning("a container whose task is gone cannot be removed, trying again: %s", error)
                await asyncio.sleep(RETRY_AFTER)
        self._strays.discard(item.container_id)
        self._gone.set()


def _same(held: Task, given: Task) -> bool:
    """Whether an assignment says nothing new; its status and version are the managers' affair."""
    neutral = dataclasses.replace(given, status=held.status, version=held.version, updated_at=held.updated_at)
    return neutral == held
