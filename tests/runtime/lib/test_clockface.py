# SPDX-License-Identifier: Apache-2.0
"""Times as people read them."""

from __future__ import annotations

import pytest

from queenright.lib.clockface import SECOND, of_day, span


@pytest.mark.parametrize(
    ("wall", "text"),
    [(0, "00:00:00"), (1_700_000_000 * SECOND, "22:13:20"), (1_700_000_000 * SECOND + 999_999_999, "22:13:20")],
)
def test_a_time_of_day_is_that_of_utc_and_never_ahead(wall: int, text: str) -> None:
    assert of_day(wall) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (5 * SECOND, "5s"),
        (SECOND * 3 // 2, "1.5s"),
        (60 * SECOND, "1m"),
        (90 * SECOND, "1m30s"),
        (3600 * SECOND, "1h"),
        (3661 * SECOND, "1h1m1s"),
        (3601 * SECOND, "1h1s"),
    ],
)
def test_a_span_is_told_in_the_largest_units_that_are_exact(nanoseconds: int, text: str) -> None:
    assert span(nanoseconds) == text
