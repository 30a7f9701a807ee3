# SPDX-License-Identifier: Apache-2.0
"""Renewal by time: never before half of the life, never after four fifths, and as the clock says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from queenright.decide import renewal_time

MINUTE = 60 * 10**9
LIVES = st.integers(33, 60 * 24 * 3650)  # minutes, from the shortest with its early beginning to ten years
DICE = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 10**8), LIVES, DICE)
def test_it_is_between_a_half_and_four_fifths_in_whole_minutes(begin: int, life: int, dice: float) -> None:
    not_before, not_after = begin * MINUTE, (begin + life) * MINUTE
    at = renewal_time.renew_at(not_before, not_after, dice)
    assert life // 2 <= (at - not_before) // MINUTE <= life * 4 // 5
    assert (at - not_before) % MINUTE == 0


def test_nodes_that_joined_together_come_one_after_the_other() -> None:
    times = [renewal_time.renew_at(0, 1000 * MINUTE, dice / 10) for dice in range(10)]
    assert times == sorted(set(times)) and (times[0], times[-1]) == (500 * MINUTE, 770 * MINUTE)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_clock_is_looked_at_often_however_far_it_is(now: int, due: int) -> None:
    look = renewal_time.next_look(now, due)
    assert 0 <= look <= renewal_time.LOOK_EVERY
    assert (look == 0) == (due <= now)


def test_tries_come_more_and_more_seldom_but_never_end() -> None:
    waits = [renewal_time.again(tries) for tries in range(200)]
    assert waits == sorted(waits) and waits[:3] == [5.0, 10.0, 20.0] and set(waits[10:]) == {3600.0}
