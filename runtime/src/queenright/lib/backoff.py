# SPDX-License-Identifier: Apache-2.0
"""Waiting longer after each failure, with jitter, so that many who fail together do not return together."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Delays in seconds: uniform in [0, limit), where the limit is ``first`` + 2 x the previous limit, at most
    ``most``.

    ``dice`` gives numbers in [0, 1).
    """

    def __init__(self, dice: Callable[[], float], *, first: float = 0.1, most: float = 8.0) -> None:
        self._dice = dice
        self._first = first
        self._most = most
        self._limit = 0.0

    def next(self) -> float:
        """The delay before the next try."""
        self._limit = min(self._most, self._first + 2 * self._limit)
        return self._dice() * self._limit

    def reset(self) -> None:
        """It worked: begin anew."""
        self._limit = 0.0
