# SPDX-License-Identifier: Apache-2.0
"""Which manager to speak to: the one that leads, as far as known; else those that worked are preferred, those that
failed are tried later, none is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

WEIGHT = 10.0
MOST = 256.0
FLOOR = 0.001


class Remotes:
    """Managers (node id -> address) with a weight each, smoothed over what was seen of them.

    ``dice`` gives numbers in [0, 1).
    """

    def __init__(self, managers: Iterable[tuple[str, str]], dice: Callable[[], float]) -> None:
        self._addresses = dict(managers)
        self._weights = dict.fromkeys(self._addresses, WEIGHT)
        self._dice = dice
        self._leader = ""

    def __len__(self) -> int:
        return len(self._addresses)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(sorted(self._addresses.items()))

    def replace(self, managers: Iterable[tuple[str, str]]) -> bool:
        """The list as a manager tells it; an empty one is not believed. Whether it changed."""
        told = dict(managers)
        if not told or told == self._addresses:
            return False
        self._weights = {node_id: self._weights.get(node_id, WEIGHT) for node_id in told}
        self._addresses = told
        return True

    def observe(self, node_id: str, good: bool) -> None:
        """What came of speaking to it."""
        if not good and node_id == self._leader:
            self._leader = ""
        if node_id in self._weights:
            seen = WEIGHT if good else -WEIGHT
            self._weights[node_id] = max(-MOST, min(MOST, 0.5 * seen + 0.5 * self._weights[node_id]))

    def prefer(self, node_id: str) -> None:
        """It leads: it is the one to speak to until it fails. "": none does, as far as known."""
        self._leader = node_id

    def select(self) -> tuple[str, str]:
        """The leader, or one of them, at random by weight. Raises LookupError where there is none."""
        if not self._addresses:
            raise LookupError("no manager is known")
        if self._leader in self._addresses:
            return self._leader, self._addresses[self._leader]
        shares = [(node_id, max(weight, 0.0) + FLOOR) for node_id, weight in sorted(self._weights.items())]
        point = self._dice() * sum(share for _, share in shares)
        for node_id, share in shares:
            point -= share
            if point < 0:
                return node_id, self._addresses[node_id]
        return shares[-1][0], self._addresses[shares[-1][0]]
