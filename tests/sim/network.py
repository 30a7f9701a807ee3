# SPDX-License-Identifier: Apache-2.0
"""A network that loses, delays, duplicates and reorders messages, and falls apart.

Within one connection messages keep their order, as over a stream; what was sent over an earlier connection may still
arrive after it. ``Weather`` says how bad it is, also whether it is worse than any stream.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Weather:
    """Probabilities for each message, and seconds. ``jumble``: order is not kept within a connection either."""

    least: float = 0.001
    most: float = 0.02
    loss: float = 0.0
    duplication: float = 0.0
    breaks: float = 0.0
    slow: float = 0.0
    jumble: bool = False


FAIR = Weather()
STORM = Weather(most=0.15, loss=0.08, duplication=0.08, breaks=0.02, slow=0.02, jumble=True)
GUSTS = Weather(most=0.05, loss=0.02, breaks=0.02, slow=0.01)
SLOW = 3.0
"""Seconds that a slow message takes at most."""


@dataclass(frozen=True)
class Parcel:
    """Something under way."""

    source: str
    target: str
    content: Any


class Network:
    """All that is under way between members, by virtual time."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.weather = FAIR
        self._queue: list[tuple[float, int, Parcel]] = []
        self._sent = 0
        self._last: dict[tuple[str, str], float] = {}
        self._cut: set[tuple[str, str]] = set()

    def send(self, now: float, source: str, target: str, content: Any) -> None:
        """Put it on its way, or lose it."""
        weather, dice, pair = self.weather, self._dice, (source, target)
        if pair in self._cut or dice.random() < weather.loss:
            return
        if dice.random() < weather.breaks:
            self._last.pop(pair, None)  # a new connection: nothing waits for what is still under way on the old one
        copies = 2 if dice.random() < weather.duplication else 1
        for _ in range(copies):
            arrival = now + dice.uniform(weather.least, weather.most)
            if dice.random() < weather.slow:
                arrival += dice.uniform(0, SLOW)
            if not weather.jumble:
                arrival = max(arrival, self._last.get(pair, 0.0))
                self._last[pair] = arrival
            self._sent += 1
            heapq.heappush(self._queue, (arrival, self._sent, Parcel(source, target, content)))

    def next_arrival(self) -> float | None:
        """When the next one arrives."""
        return self._queue[0][0] if self._queue else None

    def arrived(self, now: float) -> list[Parcel]:
        """What has arrived by now, in order. What has to cross a cut never does."""
        here = []
        while self._queue and self._queue[0][0] <= now:
            parcel = heapq.heappop(self._queue)[2]
            if (parcel.source, parcel.target) not in self._cut:
                here.append(parcel)
        return here

    def cut(self, source: str, target: str) -> None:
        """Nothing gets from one to the other any more (the other way it may)."""
        self._cut.add((source, target))

    def split(self, *sides: set[str]) -> None:
        """Nothing crosses from one side to another."""
        for side in sides:
            for other in sides:
                if side is not other:
                    self._cut.update((one, two) for one in side for two in other)

    def heal(self) -> None:
        """Everybody reaches everybody again."""
        self._cut.clear()

    def reaches(self, source: str, target: str) -> bool:
        return (source, target) not in self._cut

    def forget(self) -> None:
        """Lose all that is under way."""
        self._queue.clear()
        self._last.clear()
