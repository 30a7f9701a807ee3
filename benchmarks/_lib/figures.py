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
        lines = [f"{'figure':26}{'side':12}{'median':>9}{'min':>9}{'max':>9}  values by round"]
        for (figure, side), values in self._values.items():
            each = " ".join(f"{value:.2f}" for value in values) if len(values) <= 12 else f"{len(values)} values"
            numbers = (statistics.median(values), min(values), max(values))
            lines.append(f"{figure:26}{side:12}" + "".join(f"{number:9.3f}" for number in numbers) + f"  {each}")
        return lines
