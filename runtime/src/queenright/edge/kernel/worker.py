# SPDX-License-Identifier: Apache-2.0
"""Threads that talk to the kernel: one in the host's namespace, and one in each sandbox, where it stays all its life.

A thread that has entered a namespace never comes back: it ends there. So no call can ever run in the wrong one.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Worker:
    """One thread and a queue of calls. ``enter`` is the first thing it does; if that fails, so does every call.

    :meth:`run` belongs to the event loop's thread.
    """

    def __init__(self, name: str, enter: Callable[[], None] | None = None) -> None:
        self._enter = enter
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._entered: BaseException | None = None
        self._last: Callable[[], None] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether the thread could not enter, so that all it says is why."""
        return self._entered is not None

    async def run(self, function: Callable[[], T]) -> T:
        """Call the function on the thread, after all calls before. A caller that is cancelled waits for its end: what
        is done to the kernel is never half known.
        """
        if self._closed:
            raise RuntimeError(f"thread {self._thread.name} has ended")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(lambda: self._call(function, future, loop))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.done():
                with contextlib.suppress(Exception):
                    await future
            raise

    def close(self, last: Callable[[], None] | None = None) -> None:
        """End the thread after the calls that are waiting, and after ``last``. Does not wait."""
        if not self._closed:
            self._closed = True
            self._last = last
            self._jobs.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the end of a thread that was closed, ``timeout`` seconds at most."""
        self._thread.join(timeout)

    def _work(self) -> None:
        try:
            if self._enter is not None:
                self._enter()
        except BaseException as error:  # handed to every caller, whatever it is
            self._entered = error
        while True:
            job = self._jobs.get()
            if job is None:
                break
            job()
            del job  # a future holds the answer; it must not live until the next call
        if self._last is not None:
            with contextlib.suppress(Exception):
                self._last()

    def _call(self, function: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
        result: T | None = None
        error = self._entered
        if error is None:
            try:
                result = function()
            except BaseException as caught:  # handed to the caller, whatever it is
                error = caught
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[T], result: T | None, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]
