# SPDX-License-Identifier: Apache-2.0
"""Threads for calls to the engine, made when needed and not before.

Unlike those of ``concurrent.futures`` they do not keep the process from ending: a pull may take longer than a stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Job = Callable[[], None]


class ThreadPool:
    """At most ``size`` threads named ``docker-N``. :meth:`run` belongs to the event loop's thread."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0  # calls given and not yet settled
        self._closed = False

    async def run(self, function: Callable[[], T]) -> T:
        """Call the function on a thread. If the caller is cancelled the call goes on and its end is ignored."""
        if self._closed:
            raise RuntimeError("the pool of engine threads is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._busy += 1
        if self._busy > len(self._threads) and len(self._threads) < self._size:
            self._grow()
        self._jobs.put(lambda: self._call(function, future, loop))
        return await future

    def close(self) -> None:
        """End the threads that wait; those in a call end after it."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)

    def _grow(self) -> None:
        thread = threading.Thread(target=self._work, name=f"docker-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job()
            del job  # a future holds the answer; it must not live until the next call

    def _call(self, function: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = function()
        except BaseException as caught:  # handed to the caller, whatever it is
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(self._settle, future, result, error)

    def _settle(self, future: asyncio.Future[T], result: T | None, error: BaseException | None) -> None:
        self._busy -= 1
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]
