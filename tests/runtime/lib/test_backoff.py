# SPDX-License-Identifier: Apache-2.0
"""Delays grow to a bound, are spread by the dice, and begin anew after success."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.lib.backoff import Backoff


def test_the_limit_grows_by_the_rule_up_to_the_most() -> None:
    backoff = Backoff(lambda: 1.0, first=0.1, most=8.0)
    delays = [backoff.next() for _ in range(9)]
    assert delays == pytest.approx([0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 8.0, 8.0, 8.0])
    backoff.reset()
    assert backoff.next() == pytest.approx(0.1)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30), st.floats(0.01, 5), st.floats(5, 60))
def test_every_delay_lies_between_nothing_and_the_most(dice: list[float], first: float, most: float) -> None:
    numbers = iter(dice)
    backoff = Backoff(lambda: next(numbers), first=first, most=most)
    assert all(0 <= backoff.next() <= most for _ in dice)
