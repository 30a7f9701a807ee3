# SPDX-License-Identifier: Apache-2.0
"""Things that happen again and again, and are to be said once in a while only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable


class Repeats:
    """Counts what was held back. ``clock`` gives seconds that never jump back; at most ``most`` things are remembered,
    the longest unsaid is forgotten first.
    """

    def __init__(self, clock: Callable[[], float], seconds: float, *, most: int = 1024) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._said: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()  # when, how often held back since

    def held_back(self, key: Hashable) -> int | None:
        """How often it was held back since it was said last, if it is to be said now; None if it is held back."""
        now = self._clock()
        since, count = self._said.get(key, (None, 0))
        if since is not None and now - since < self._seconds:
            self._said[key] = since, count + 1
            return None
        self._said[key] = now, 0
        self._said.move_to_end(key)
        if len(self._said) > self._most:
            self._said.popitem(last=False)
        return count
