# SPDX-License-Identifier: Apache-2.0
"""Statuses of tasks on their way into the log.

Those that arrive while a batch is being written go into the next one, so that a storm costs few log entries; a call is
answered when its statuses are durable.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Mapping, Sequence

from queenright.manager import slices, texts
from queenright.manager.ports import Clock, Proposer
from queenright.model.changes import Change, Update
from queenright.model.errors import OutOfSequence, Unavailable
from queenright.model.objects import TaskStatus
from queenright.model.states import TaskState
from queenright.store.store import Store

log = logging.getLogger(__name__)

CONFLICT_TRIES = 20


class Statuses:
    """Collects statuses (:meth:`take`) while :meth:`write` runs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._queue: dict[str, TaskStatus] = {}
        self._queued = asyncio.Event()
        self._flushed: asyncio.Future[None] | None = None

    async def take(self, updates: Sequence[tuple[str, TaskStatus]]) -> None:
        """Returns when the statuses, (task id, status), are durable. Raises what the log says against it."""
        for task_id, status in updates:
            waiting = self._queue.get(task_id)
            if waiting is None or status.state >= waiting.state:
                self._queue[task_id] = status
        if self._flushed is None or self._flushed.done():
            self._flushed = asyncio.get_running_loop().create_future()
        flushed = self._flushed
        self._queued.set()
        await asyncio.shield(flushed)

    async def write(self, proposer: Proposer) -> None:
        """Write what comes, until cancelled."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            queue, self._queue = self._queue, {}
            flushed, self._flushed = self._flushed, None
            try:
                await self._flush(proposer, queue)
            except Exception as error:
                _fail(flushed, error)
                log.warning("statuses were not written: %s", error)
            except BaseException:
                _fail(flushed, Unavailable(texts.NOT_LEADER))
                raise
            else:
                if flushed is not None and not flushed.done():
                    flushed.set_result(None)

    def forget(self, reason: str) -> None:
        """What was not written will not be; those who wait are told so. For when :meth:`write` has ended."""
        _fail(self._flushed, Unavailable(reason))
        self._flushed = None
        self._queue = {}
        self._queued.clear()

    async def _flush(self, proposer: Proposer, queue: Mapping[str, TaskStatus]) -> None:
        for _ in range(CONFLICT_TRIES):
            now = self._clock.wall()
            changes: list[Change] = []
            for task_id, status in queue.items():
                task = self._store.tasks.get(task_id)
                if task is not None and (merged := merge_status(task.status, status, now)) is not None:
                    changes.append(Update(dataclasses.replace(task, status=merged)))
            try:
                await slices.write(proposer, changes)
                return
            except OutOfSequence:
                continue
        raise Unavailable("the tasks changed too often while their statuses were written")


def merge_status(held: TaskStatus, told: TaskStatus, now: int) -> TaskStatus | None:
    """The status to store after an agent's report, or None if it says nothing new. A state never goes back."""
    if told.state < held.state:
        return None
    since = held.running_since or (now if told.state == TaskState.RUNNING else 0)
    merged = dataclasses.replace(told, applied_at=held.applied_at, running_since=since)
    if merged == held:
        return None
    return dataclasses.replace(merged, applied_at=now)


def _fail(future: asyncio.Future[None] | None, error: Exception) -> None:
    """Tell those who wait; that nobody may is no fault."""
    if future is not None and not future.done():
        future.set_exception(error)
        future.exception()
