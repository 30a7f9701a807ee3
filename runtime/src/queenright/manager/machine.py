# SPDX-License-Identifier: Apache-2.0
"""The state machine behind the log: entries and snapshots become the store's content, and the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from queenright.lib import memory
from queenright.model.changes import Conflict
from queenright.store.store import Remains, Store
from queenright.wire import codec

SETTLE_EVERY = 2_000
"""Changes after which what they made is taken out of the collector's sight. Its full rounds come when the objects it
sees have grown by a quarter, and would take a second at 100,000 tasks."""
SETTLE_FROM = 4_000
"""Objects in the store from which on that is done. A full round of a small swarm is short, and finds cycles that would
stay for ever out of sight."""
_FREED_AT_ONCE = 1_000
"""Entries of tables that are freed in one step of the loop: about a millisecond."""


class StoreMachine:
    """Applies log entries to the store (see ``ports.StateMachine``). A snapshot record is one object."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unsettled = 0

    def apply(self, index: int, command: bytes) -> Conflict | None:
        batch = codec.decode_batch(command)
        conflict = self._store.apply(index, batch)
        self._unsettled += len(batch.changes)
        if self._unsettled >= SETTLE_EVERY:
            self._settle()
        return conflict

    def freeze(self) -> Callable[[], Iterator[bytes]]:
        self._settle()
        objects = self._store.freeze()
        return lambda: (codec.encode_object(value) for value in objects())

    def prepare(self, index: int, records: Iterator[bytes]) -> Callable[[], None]:
        """Decode a snapshot and build its tables, in a thread of its own; the result makes them the store's, on the
        loop. What the store held before is freed in steps afterwards."""
        with memory.building():
            prepared = self._store.prepare_restore(index, (codec.decode_object(record) for record in records))

        def swap() -> None:
            _free_soon(self._store.adopt(prepared))

        return swap

    def _settle(self) -> None:
        self._unsettled = 0
        if self._store.size >= SETTLE_FROM:
            memory.settle()


def _free_soon(remains: Remains) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        while remains.free(_FREED_AT_ONCE):
            pass
    else:
        loop.call_soon(_free, loop, remains)


def _free(loop: asyncio.AbstractEventLoop, remains: Remains) -> None:
    if remains.free(_FREED_AT_ONCE):
        loop.call_soon(_free, loop, remains)
