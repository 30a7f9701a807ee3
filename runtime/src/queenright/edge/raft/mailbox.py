# SPDX-License-Identifier: Apache-2.0
"""What the raft and snapshot threads have to say to the event loop, in order; one waking of the loop serves many."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Mailbox:
    """``post`` may be called from any thread, once ``open`` was."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._posted: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._woken = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Everything is run on ``loop``."""
        self._loop = loop

    def post(self, function: Callable[..., None], *arguments: object) -> None:
        """Run ``function`` on the loop. A loop that is closed has nobody left to tell."""
        assert self._loop is not None
        self._posted.append((function, arguments))
        if self._woken:
            return
        self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            logger.debug("the event loop is closed; %s is not told", function)

    def _deliver(self) -> None:
        """Run what is there by now; what comes meanwhile wakes the loop again, so that others have their turn."""
        self._woken = False  # before the look at what is there: what is posted after it is not forgotten
        for _ in range(len(self._posted)):
            function, arguments = self._posted.popleft()
            try:
                function(*arguments)
            except Exception as error:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"a report to the event loop failed: {function}", "exception": error}
                )
