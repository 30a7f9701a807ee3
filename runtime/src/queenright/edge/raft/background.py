# SPDX-License-Identifier: Apache-2.0
"""Runs one call in a thread of its own, which nobody has to wait for when the daemon ends; waits with a limit."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


async def in_thread(name: str, call: Callable[[], T]) -> T:
    """What ``call`` gives or raises. Raises OSError when the system has no thread to spare.

    When the caller is cancelled, the call goes on to its end and what it gives is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: Callable[[], None]) -> None:
        if not future.done():
            result()

    def main() -> None:
        try:
            value = call()
        except BaseException as error:
            outcome: Callable[[], None] = _raising(future, error)
        else:
            outcome = _giving(future, value)
        with suppress(RuntimeError):  # a closed loop has nobody left to tell
            loop.call_soon_threadsafe(settle, outcome)

    try:
        threading.Thread(target=main, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return await future


def _raising(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    return lambda: future.set_exception(error)


def _giving(future: asyncio.Future[T], value: T) -> Callable[[], None]:
    return lambda: future.set_result(value)


async def within(timeout: float, event: asyncio.Event) -> None:
    """Wait for ``event``, or for ``timeout`` seconds."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        logger.debug("waited %.1f s in vain", timeout)
