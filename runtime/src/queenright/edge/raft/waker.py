# SPDX-License-Identifier: Apache-2.0
"""Wakes the raft thread out of its sleep: a pipe, and a mark that spares a write while it is awake anyway."""

from __future__ import annotations

import os
import select
from contextlib import suppress


class Waker:
    """``wake`` may be called from any thread, ``wait`` only from the one that sleeps.

    Put work where the sleeper looks before calling ``wake``; the sleeper looks after ``wait``. Then no call is lost.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)
        self._woken = False
        self._closed = False

    def wake(self) -> None:
        """End the present ``wait``, or the next one at once."""
        if not self._woken and not self._closed:
            self._woken = True
            with suppress(BlockingIOError):
                os.write(self._write, b"x")

    def wait(self, timeout: float) -> None:
        """Sleep for at most ``timeout`` seconds."""
        if self._poll.poll(timeout * 1000):
            os.read(self._read, 4096)
            self._woken = False

    def close(self) -> None:
        """Give the pipe back; later calls of ``wake`` do nothing. Both threads must be done with it."""
        if not self._closed:
            self._closed = True
            os.close(self._read)
            os.close(self._write)
