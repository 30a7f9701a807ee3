# SPDX-License-Identifier: Apache-2.0
"""A short queue between the nodes that give lines and the one reader who takes them."""

from __future__ import annotations

import asyncio
from collections import deque

from queenright.model.logs import LogRead

MOST_BYTES = 256 * 1024


class FeedClosedError(Exception):
    """Nobody takes anything more."""


class Feed:
    """Holds ``most`` bytes of lines: whoever brings more waits, in turn, until the reader has taken some."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._parts: deque[LogRead] = deque()
        self._held = 0
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        self._over = False
        self._error: Exception | None = None

    @property
    def over(self) -> bool:
        return self._over

    async def put(self, part: LogRead) -> None:
        """Returns once there is room for it. Raises FeedClosedError."""
        async with self._turn:
            while self._held >= self._most and not self._over:
                self._room.clear()
                await self._room.wait()
            if self._over:
                raise FeedClosedError
            self.note(part)

    def note(self, part: LogRead) -> None:
        """Take something short, without waiting."""
        if not self._over:
            self._parts.append(part)
            self._held += len(part.lines)
            self._news.set()

    async def get(self) -> LogRead | None:
        """The next part; None at the end. Raises what it was ended with, at once."""
        while True:
            if self._error is not None:
                raise self._error
            if self._parts:
                part = self._parts.popleft()
                self._held -= len(part.lines)
                self._room.set()
                return part
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; what is here can still be taken, unless there is an ``error``."""
        if not self._over:
            self._over = True
            self._error = error
            self._room.set()
            self._news.set()

    def drop(self) -> None:
        """The reader went away."""
        self.end()
        self._parts.clear()
        self._held = 0
