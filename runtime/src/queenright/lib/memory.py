# SPDX-License-Identifier: Apache-2.0
"""Keeps the garbage collector from holding the loop.

The collector stops every thread while it walks the objects it watches: with 100,000 tasks in memory a full round takes
a good part of a second. What is loaded stays, so it is taken out of the collector's sight (frozen); it is still freed
as usual when nothing refers to it any more. Only cycles among frozen objects would never be found.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_builders = 0
_was_enabled = False

YOUNG = 10_000
"""Objects made and not freed before the collector looks at the youngest. Python's 700 are what one batch of commands
keeps alive for a moment, so it would look again and again and find nothing."""


def tune() -> None:
    """Set up the collector for a daemon. Call it once, early."""
    gc.set_threshold(YOUNG, 10, 10)


def settle() -> None:
    """Take what is in memory now out of the collector's sight. Takes about a millisecond when it is called often: what
    is young is collected first, so that garbage does not stay for ever."""
    gc.collect(1)
    gc.freeze()


@contextmanager
def building() -> Iterator[None]:
    """For a thread that makes very many objects which stay: the collector rests meanwhile, and never sees them.

    May be nested, and used by several threads at once.
    """
    global _builders, _was_enabled
    with _lock:
        if _builders == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _builders += 1
    try:
        yield
    finally:
        gc.freeze()
        with _lock:
            _builders -= 1
            if _builders == 0 and _was_enabled:
                gc.enable()
