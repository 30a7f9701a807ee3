# SPDX-License-Identifier: Apache-2.0
"""Tells managers what became of tasks: the latest status of each, in batches, until one has taken it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from queenright.lib.backoff import Backoff
from queenright.model.objects import TaskStatus

log = logging.getLogger(__name__)

FLUSH_AFTER = 0.1  # seconds between the first status of a batch and its sending
BATCH = 1000  # statuses in one call
SEND_TIMEOUT = 5.0

StatusUpdate = tuple[str, TaskStatus]
Send = Callable[[Sequence[StatusUpdate]], Awaitable[None]]


class Reporter:
    """Statuses wait here while there is no session. ``dice`` gives numbers in [0, 1)."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self._waiting: dict[str, TaskStatus] = {}
        self._send: Send | None = None
        self._some = asyncio.Event()
        self._backoff = Backoff(dice)

    def report(self, task_id: str, status: TaskStatus) -> None:
        """Take a status over; an older state than the one that waits is dropped."""
        waiting = self._waiting.get(task_id)
        if waiting is None or status.state >= waiting.state:
            self._waiting[task_id] = status
            self._wake()

    def forget(self, task_id: str) -> None:
        """Nobody asks for this task any more."""
        self._waiting.pop(task_id, None)

    def connected(self, send: Send, known: Iterable[StatusUpdate]) -> None:
        """A session is open: ``known`` are all statuses, since a new manager may lack any of them."""
        self._send = send
        self._backoff.reset()
        for task_id, status in known:
            self.report(task_id, status)
        self._wake()

    def disconnected(self) -> None:
        self._send = None
        self._some.clear()

    @property
    def waiting(self) -> int:
        """Number of statuses that no manager has taken yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(FLUSH_AFTER)
            send = self._send
            if send is not None:
                await self._flush(send)

    def _wake(self) -> None:
        if self._send is not None and self._waiting:
            self._some.set()

    async def _flush(self, send: Send) -> None:
        batch = list(self._waiting.items())[:BATCH]
        try:
            if batch:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await send(batch)
        except Exception as error:  # whatever it was, the statuses stay and are sent again
            log.warning("task statuses were not taken, trying again: %s", str(error) or type(error).__name__)
            await asyncio.sleep(self._backoff.next())
            return
        self._backoff.reset()
        for task_id, status in batch:
            if self._waiting.get(task_id) is status:
                del self._waiting[task_id]
        if not self._waiting:
            self._some.clear()
