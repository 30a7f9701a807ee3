# SPDX-License-Identifier: Apache-2.0
"""One coroutine per task: asks ``decide.task_step``, performs the step, notes what came of it, until the end.

What takes long (pulling, watching, waiting) is given up as soon as the task shall end; what is short is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from queenright.agent.ports import (
    Clock,
    EngineLostError,
    Executor,
    ExecutorError,
    Mesh,
    Report,
    TaskError,
    TemporaryError,
)
from queenright.decide.task_step import RETRY_AFTER, Action, Kind, Phase, Seen, Step, Trouble, next_step
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState

log = logging.getLogger(__name__)

T = TypeVar("T")
SECOND = 1_000_000_000
STOP_GRACE = 10 * SECOND
RECONNECT_FIRST = 0.1  # seconds; doubled after each failure
RECONNECT_MOST = 4.0
UNTOLD_MOST = 60.0  # seconds between tries of a pull for which credentials may yet come
PULLS = 4  # tries in a row, 1, 2 and 4 seconds apart; then the task fails and may be placed where its registry answers


class TaskRunner:
    """Leads one task. ``report`` is called with each new status, ``removed`` once nothing is left of the container.
    ``told`` says whether a manager has been heard, so that credentials which are not there do not exist.
    """

    def __init__(
        self,
        task: Task,
        status: TaskStatus,
        seen: Seen,
        executor: Executor,
        clock: Clock,
        report: Report,
        removed: Callable[[str], None],
        told: Callable[[], bool],
        mesh: Mesh | None = None,
    ) -> None:
        self.task = task
        self.status = status
        self.seen = seen
        self.trouble: Trouble | None = None
        self.removing = False
        self._executor = executor
        self._clock = clock
        self._report = report
        self._removed = removed
        self._told = told
        self._mesh = mesh
        self._attached = mesh is None  # its networks were there when they were last asked for
        self._let_go = mesh is None
        self._ending = asyncio.Event()
        self._changed = asyncio.Event()
        self._delay = RECONNECT_FIRST
        self._lost = False  # the engine, when it was last asked
        self._pulls = 0  # that failed in a row
        self._untold = 0  # the same, of those made before a manager was heard
        self.update(task)

    def update(self, task: Task) -> None:
        """The assignment as it now is. A desired state never goes back."""
        if task.desired_state >= self.task.desired_state:
            self.task = task
        if self.removing or self.task.desired_state >= TaskState.SHUTDOWN:
            self._ending.set()
        self._changed.set()

    def heard(self) -> None:
        """A manager has been heard: whoever waits for that goes on."""
        self._changed.set()

    def remove(self) -> None:
        """End the task, remove its container and report nothing more."""
        self.removing = True
        self._ending.set()
        self._changed.set()

    async def run(self) -> None:
        """Until the task is removed; it may be cancelled at any time and be run anew by a new runner."""
        while True:
            self._changed.clear()
            step = next_step(
                self._desired,
                self.status,
                self.seen,
                self.trouble,
                self._clock.wall(),
                drained=self._drained,
                job=bool(self.task.job_iteration),
            )
            if step.action != Action.DONE:
                await self._perform(step)
            elif not self.removing:
                await self._release()
                await self._changed.wait()
            elif await self._try(self._remove()):
                self._removed(self.task.id)
                return

    @property
    def _desired(self) -> TaskState:
        return TaskState.REMOVE if self.removing else self.task.desired_state

    @property
    def _drained(self) -> bool:
        """Whether it may be stopped. Who is in no network, or never served, waits for nobody."""
        served = self.status.state == TaskState.RUNNING and bool(self.task.attachments)
        return self._let_go or self.removing or not served

    async def _perform(self, step: Step) -> None:
        match step.action:
            case Action.REPORT if step.status is not None:
                self._take(step.status)
            case Action.AWAIT:
                await self._changed.wait()
            case Action.WATCH:
                await self._until_ending(self._executor.changed(self.seen.container_id, self.seen))
            case Action.PULL:
                await self._until_ending(self._pull())
            case Action.RETRY:
                await self._wait_to_retry()
            case Action.RECONNECT:
                await self._wait(self._delay)
                self._delay = min(RECONNECT_MOST, 2 * self._delay)
                self.seen = Seen(container_id=self.seen.container_id)
            case Action.LOOK:
                await self._try(self._executor.look(self.task, self.seen.container_id or self.status.container_id))
            case Action.CREATE | Action.START if not self._attached and self.task.attachments:
                await self._until_ending(self._attach())
            case Action.CREATE:
                await self._try(self._executor.create(self.task))
            case Action.START:
                await self._try(self._executor.start(self.task, self.seen.container_id))
                self._attached = self._mesh is None
            case Action.DRAIN:
                await self._drain()
            case Action.STOP:
                await self._try(self._stop())
            case _:
                raise AssertionError(f"no way to perform {step}")

    def _take(self, status: TaskStatus) -> None:
        if self.trouble is not None and self.trouble.kind == Kind.FATAL:
            self.trouble = None
        if not self.removing:
            self._report(self.task.id, status)
        self.status = status

    async def _pull(self) -> Seen:
        told = self._told()
        try:
            await self._executor.pull(self.task, self._pulling)
        except (TaskError, TemporaryError) as error:
            if not told:  # perhaps refused for want of credentials only
                self._untold += 1
                raise TemporaryError(f"{error}; waiting for a manager, which may have credentials for it") from error
            self._untold = 0
            if isinstance(error, TaskError):
                raise
            self._pulls += 1
            if self._pulls >= PULLS:
                raise TaskError(f"{error}; tried {PULLS} times") from error
            raise
        self._pulls = self._untold = 0
        return Seen(phase=Phase.IMAGE)

    def _pulling(self, text: str) -> None:
        """How far the pull is. Late words on a pull that is over, or that nobody waits for any more, do not count."""
        if self.status.state == TaskState.PREPARING and self.seen.phase < Phase.IMAGE and not self._ending.is_set():
            self._take(dataclasses.replace(self.status, message=text, err="", at=self._clock.wall()))

    async def _attach(self) -> Seen:
        """Wait for the networks that it is in."""
        if self._mesh is not None:
            await self._mesh.ready(self.task)
        self._attached = True
        return self.seen

    async def _drain(self) -> None:
        """Wait until no node sends it connections any more. One that ends meanwhile has nothing to wait for."""
        if self._mesh is None:
            return
        letting_go = asyncio.ensure_future(self._mesh.let_go(self.task))
        try:
            while not (letting_go.done() or self.removing) and self.seen.phase == Phase.RUNNING and not self.trouble:
                self._changed.clear()
                work = self._try(self._executor.changed(self.seen.container_id, self.seen))
                others = asyncio.ensure_future(work), asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait((letting_go, *others), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for other in others:
                        other.cancel()
                    await asyncio.gather(*others, return_exceptions=True)
            self._let_go = letting_go.done()
        finally:
            letting_go.cancel()
            await asyncio.gather(letting_go, return_exceptions=True)

    async def _release(self) -> None:
        """The task has ended: its secrets and configs go, though its container may stay as history."""
        try:
            await self._executor.release(self.task.id)
        except ExecutorError as error:  # they go with the container, or at the next start of the daemon
            log.warning("secrets and configs of an ended task are still there: %s", error, extra={"task": self.task.id})

    async def _stop(self) -> Seen:
        container = self.task.spec.container
        grace = STOP_GRACE if container.stop_grace_period is None else container.stop_grace_period
        stopped = await self._executor.stop(self.seen.container_id, container.stop_signal or "", grace / SECOND)
        return dataclasses.replace(stopped, health=self.seen.health)

    async def _remove(self) -> Seen:
        container_id = self.seen.container_id or self.status.container_id
        if container_id:
            await self._executor.remove(container_id, self.task.id)
        else:
            await self._executor.release(self.task.id)
        return Seen(phase=Phase.ABSENT)

    async def _wait_to_retry(self) -> None:
        """A pull made before any manager was heard is made again as soon as one is."""
        if not self._untold:
            await self._wait(RETRY_AFTER * 2 ** max(0, self._pulls - 1))
            return
        if not self._told() and not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(UNTOLD_MOST, RETRY_AFTER * 2 ** min(self._untold, 10))):
                    await self._changed.wait()
        self.trouble = None

    async def _wait(self, seconds: float) -> None:
        """Wait out a trouble; that the task shall end is no reason to ask a silent engine more often."""
        text = self.trouble.text if self.trouble else ""
        log.debug("task waits", extra={"task": self.task.id, "seconds": seconds, "reason": text})
        await asyncio.sleep(seconds)
        self.trouble = None

    async def _try(self, work: Coroutine[Any, Any, Seen]) -> bool:
        """Perform a call; what it saw, or what went wrong, is noted. Whether it succeeded."""
        try:
            self.seen = await work
        except TaskError as error:
            self.trouble = Trouble(Kind.FATAL, str(error))
        except TemporaryError as error:
            self.trouble = Trouble(Kind.TEMPORARY, str(error))
        except EngineLostError as error:
            self.trouble = Trouble(Kind.LOST, str(error))
            self._lost = True
        except Exception as error:  # a fault of ours must not leave a container without a keeper
            log.exception("task step broke", extra={"task": self.task.id})
            self.trouble = Trouble(Kind.TEMPORARY, f"unexpected {type(error).__name__}: {error}")
        else:
            if self._lost and self._mesh is not None:
                self._mesh.engine_back()
            self._lost = False
            self.trouble = None
            self._delay = RECONNECT_FIRST
            return True
        log.info("task step failed", extra={"task": self.task.id, "reason": self.trouble.text})
        return False

    async def _until_ending(self, work: Coroutine[Any, Any, Seen]) -> None:
        """Perform a call that is given up once the task shall end. (Already ending: it gets no chance at all.)"""
        call = asyncio.ensure_future(self._try(work))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait((call, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in (call, ending):
                future.cancel()
            await asyncio.gather(call, ending, return_exceptions=True)
