# SPDX-License-Identifier: Apache-2.0
"""Fresh reads under way: who waits until a majority has confirmed that this member leads. Lives on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from .replica import ReadResult


class Barriers:
    """Each has a ticket, by which the raft thread speaks of it, and a future of an applied index."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._tickets = 0

    def begin(self) -> tuple[int, asyncio.Future[int]]:
        """Another one."""
        self._tickets += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[self._tickets] = future
        return self._tickets, future

    def settle(
        self, results: Iterable[ReadResult], reached: Callable[[int, asyncio.Future[int]], None], refusal: Exception
    ) -> None:
        """What the raft thread says of some: ``reached`` is told the index up to which one has to be applied, or the
        one fails with ``refusal``."""
        for result in results:
            future = self._waiting.pop(result.ticket, None)
            if future is None or future.done():
                continue
            if result.index is None:
                future.set_exception(refusal)
            else:
                reached(result.index, future)

    def take_all(self) -> list[asyncio.Future[int]]:
        """Whoever waits, and forget them."""
        taken = list(self._waiting.values())
        self._waiting.clear()
        return taken


def fail_all(futures: Iterable[asyncio.Future[int]], error: Exception) -> None:
    """Those who wait in vain hear why."""
    for future in futures:
        if not future.done():
            future.set_exception(error)
