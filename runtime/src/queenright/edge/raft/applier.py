# SPDX-License-Identifier: Apache-2.0
"""Applies committed entries on the event loop, in slices of bounded length. What is applied here is the only truth.

An entry is acknowledged after the state machine took it, and the log is compacted only up to what the state machine
holds, whatever the raft core believes.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from .core import Committed
from .wal import NO_OP, REGULAR

SLICE = 0.010
"""Seconds for which entries are applied before other work on the loop has its turn."""


class StateMachine(Protocol):
    """What the log is for. Every method is called on the event loop's thread."""

    def apply(self, index: int, command: bytes) -> object:
        """Take one command; what it gives resolves the proposal. Raising stops the log for good."""
        ...

    def freeze(self) -> Callable[[], Iterator[bytes]]:
        """Copy the state shallowly, now; the result is called in a writer thread and yields the snapshot's records."""
        ...

    def restore(self, index: int, records: Iterator[bytes]) -> None:
        """Become what the snapshot of ``index`` says. Called at most once, before anything is applied."""
        ...


class Applier:
    """Feeds the state machine and keeps the applied index. Lives on the loop."""

    def __init__(
        self,
        machine: StateMachine,
        clock: Callable[[], float],
        *,
        resolve: Callable[[object, object], None],
        after_slice: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """``resolve(callback, result)`` is called for each proposal that waits for an applied entry, ``after_slice``
        whenever entries were applied, ``fail`` with the error of a state machine that raised."""
        self._machine = machine
        self._clock = clock
        self._resolve = resolve
        self._after_slice = after_slice
        self._fail = fail
        self._queue: deque[Committed] = deque()
        self._running = False
        self._halted = False
        self._waiters: list[tuple[int, int, asyncio.Future[int]]] = []
        self._waited = 0
        self.index = 0
        """Index of the last applied entry."""
        self.term = 0
        """Its term."""
        self.no_op_term = 0
        """The newest term whose leader's first entry was applied."""
        self.bytes_applied = 0
        """Sum of the lengths of all commands applied since the start."""

    def restored(self, index: int, term: int) -> None:
        """The state machine holds everything up to ``index``."""
        self.index, self.term = index, term

    def take(self, entries: tuple[Committed, ...]) -> None:
        """Apply ``entries``, soon and in order."""
        self._queue.extend(entries)
        if not self._running and not self._halted:
            self._slice()

    def halt(self) -> None:
        """Apply nothing any more."""
        self._halted = True
        self._queue.clear()

    def reached(self, index: int, future: asyncio.Future[int]) -> None:
        """Resolve ``future`` with the applied index when it is ``index`` or more."""
        self._waited += 1
        heapq.heappush(self._waiters, (index, self._waited, future))
        self._release()

    def waiting(self) -> list[asyncio.Future[int]]:
        """Give back, and forget, the futures that wait for an index."""
        futures = [future for _, _, future in self._waiters]
        self._waiters.clear()
        return futures

    def _slice(self) -> None:
        self._running = False
        end = self._clock() + SLICE
        while self._queue and not self._halted:
            self._apply(self._queue.popleft())
            if self._clock() >= end:
                break
        if self._halted:
            return
        if self._queue:
            self._running = True
            asyncio.get_running_loop().call_soon(self._slice)
        self._release()
        self._after_slice()

    def _apply(self, entry: Committed) -> None:
        result: object = None
        kind = entry.command[0]
        try:
            if kind == REGULAR:
                result = self._machine.apply(entry.index, entry.command[1:])
            elif kind != NO_OP:
                raise ValueError(f"log entry {entry.index} is of unknown type {kind}")
        except Exception as error:
            self.halt()
            self._fail(error)
            return
        self.index, self.term = entry.index, entry.term
        if kind == NO_OP:
            self.no_op_term = entry.term
        self.bytes_applied += len(entry.command)
        for callback in entry.callbacks:
            self._resolve(callback, result)

    def _release(self) -> None:
        while self._waiters and self._waiters[0][0] <= self.index:
            future = heapq.heappop(self._waiters)[2]
            if not future.done():
                future.set_result(self.index)
