# SPDX-License-Identifier: Apache-2.0
"""Time that passes only when the test says so."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pysyncobj.syncobj as library


class Clock:
    """Seconds since some moment long ago. Called, it tells them."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def virtual(clock: Clock, dice: random.Random) -> Iterator[None]:
    """While this lasts, the library lives by this clock and throws these dice."""
    saved = library.monotonicTime, library.random
    library.monotonicTime, library.random = clock, dice
    try:
        yield
    finally:
        library.monotonicTime, library.random = saved
