# SPDX-License-Identifier: Apache-2.0
"""Waiting until this manager's store has what the leader wrote: one look at the store for all who wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from queenright.manager.control import Control

CATCH_UP_SECONDS = 5.0
LOOK = 0.02  # seconds; not every entry of the log is an event of the store


class Progress:
    """Of one running manager. ``ended``: it runs no more, so that its store stands still."""

    def __init__(self, control: Control, ended: Callable[[], bool]) -> None:
        self.control = control
        self._ended = ended
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._looking: asyncio.Task[None] | None = None

    async def reach(self, index: int) -> bool:
        """Wait until the store has the log's entry ``index``; False if it takes too long, or will not happen."""
        store = self.control.store
        if store.index >= index:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = index
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="reading one's own writes")
        try:
            await asyncio.wait({future}, timeout=CATCH_UP_SECONDS)
        finally:
            self._waiting.pop(future, None)
            future.cancel()
        return store.index >= index

    async def _look(self) -> None:
        """Wake those whose entry has come, as long as anybody waits."""
        store = self.control.store
        try:
            with store.watch() as news:
                while self._waiting:
                    ended = self._ended()
                    for future in [each for each, index in self._waiting.items() if ended or index <= store.index]:
                        del self._waiting[future]
                        future.set_result(None)
                    if self._waiting:
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(LOOK):
                                await news.next()
                        news.drain()
        finally:
            self._looking = None
