# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures as they are collected, round by round, and what is made of them."""

from __future__ import annotations

import statistics


class Figures:
    """Values by (figure, side), in the order in which they were measured."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}

    def add(self, figure: str, side: str, *values: float) -> None:
        self._values.setdefault((figure, side), []).extend(values)

    def values(self, figure: str, side: str) -> list[float]:
        """As they were measured; none if it was not."""
        return self._values.get((figure, side), [])

    def medians(self, side: str) -> dict[str, float]:
        """The median of each figure of one side."""
        return {figure: statistics.median(values) for (figure, whose), values in self._values.items() if whose == side}

    def table(self) -> list[str]:
        """A line for each figure and side: median, spread and, where they are few, all values."""
        wide = max([26, *(len(figure) + 1 for figure, _ in self._values)])
        side_wide = max([12, *(len(side) + 1 for _, side in self._values)])
        lines = [f"{'figure':{wide}}{'side':{side_wide}}{'median':>9}{'min':>9}{'max':>9}  values by round"]
        for (figure, side), values in self._values.items():
            each = " ".join(f"{value:.2f}" for value in values) if len(values) <= 12 else f"{len(values)} values"
            numbers = (statistics.median(values), min(values), max(values))
            figured = "".join(f"{number:9.3f}" if number < 1000 else f"{number:9.0f}" for number in numbers)
            lines.append(f"{figure:{wide}}{side:{side_wide}}{figured}  {each}")
        return lines
