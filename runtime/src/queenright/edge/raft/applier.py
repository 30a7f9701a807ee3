# SPDX-License-Identifier: Apache-2.0
"""Applies committed entries and snapshots of other members on the event loop, in slices of bounded length.

What is applied here is the only truth.

An entry is acknowledged after the state machine took it, and the log is compacted only up to what the state machine
holds, whatever the raft core believes.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from .background import in_thread
from .core import Committed
from .members import Config, parse_config
from .snapshot import Snapshot
from .wal import MEMBERS_ENTRY, NO_OP, REGULAR

SLICE = 0.010
"""Seconds for which entries are applied before other work on the loop has its turn."""


class StateMachine(Protocol):
    """What the log is for. Every method but ``prepare`` is called on the event loop's thread."""

    def apply(self, index: int, command: bytes) -> object:
        """Take one command; what it gives resolves the proposal. Raising stops the log for good."""
        ...

    def freeze(self) -> Callable[[], Iterator[bytes]]:
        """Copy the state shallowly, now; the result is called in a writer thread and yields the snapshot's records."""
        ...

    def prepare(self, index: int, records: Iterator[bytes]) -> Callable[[], None]:
        """Read the snapshot of ``index``, in a thread of its own and without touching the state. The result is called
        on the loop and puts what was read in the place of the state, in one short step."""
        ...


async def restored_aside(machine: StateMachine, snapshot: Snapshot) -> Callable[[], None]:
    """Have the machine prepare what the snapshot holds, in a thread; gives the step that makes it the machine's state.

    Raises what the machine or the file raises. When cancelled, what is being prepared is dropped.
    """
    return await in_thread("raft-restore", lambda: machine.prepare(snapshot.index, snapshot.records()))


class Applier:
    """Feeds the state machine and keeps the applied index. Lives on the loop."""

    def __init__(
        self,
        machine: StateMachine,
        clock: Callable[[], float],
        *,
        resolve: Callable[[object, object], None],
        dropped: Callable[[object], None],
        after_slice: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """``resolve(callback, result)`` is called for each proposal that waits for an applied entry, ``after_slice``
        whenever entries were applied, ``fail`` with the error of a state machine that raised.

        ``dropped(callback)`` is called for a proposal whose entry a snapshot overtook: the entry is committed, but what
        the state machine made of it is not known here.
        """
        self._machine = machine
        self._clock = clock
        self._resolve = resolve
        self._dropped = dropped
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
        self.config = Config()
        """The members as of it; the log itself may know newer ones."""
        self.no_op_term = 0
        """The newest term whose leader's first entry was applied."""
        self.bytes_applied = 0
        """Sum of the lengths of all commands applied since the start."""

    def restored(self, index: int, term: int, config: Config) -> None:
        """The state machine holds everything up to ``index``, as of which the members are ``config``."""
        self.index, self.term, self.config = index, term, config

    def install(self, index: int, term: int, config: Config, swap: Callable[[], None]) -> None:
        """Take a snapshot in the place of all entries up to ``index``, in order with those that were handed over.

        ``swap`` puts its content in the place of the state. Entries that it overtakes are dropped; who waits for one of
        those indexes waits no more. A snapshot of what is applied already changes nothing.
        """
        if self._halted or index <= self.index:
            return
        overtaken = []
        while self._queue and self._queue[0].index <= index:
            overtaken.append(self._queue.popleft())
        try:
            swap()
        except Exception as error:
            self.halt()
            self._fail(error)
            return
        self.restored(index, term, config)
        for entry in overtaken:
            for callback in entry.callbacks:
                self._dropped(callback)
        self._release()
        self._after_slice()

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
            elif kind == MEMBERS_ENTRY:
                self.config = parse_config(entry.command[1:])
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
