# SPDX-License-Identifier: GPL-3.0-or-later
"""Long lists in slices: by a clock that the steps move, so that no machine is too slow for these tests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from queenright.edge.http.slicing import SLICE_BYTES, SLICE_SECONDS, slices

STEP = 0.0001  # seconds that each step takes


class Steps:
    """Items, of which one in ``every`` belongs to the list; each step moves the clock."""

    def __init__(self, count: int, every: int = 1, size: int = 1) -> None:
        self.taken = 0
        self._count, self._every, self._size = count, every, size

    def clock(self) -> float:
        return self.taken * STEP

    def __iter__(self) -> Iterator[bytes | None]:
        for number in range(self._count):
            self.taken += 1
            yield b"1" * self._size if number % self._every == 0 else None


@pytest.mark.parametrize("every", [1, 7, 99_999])
def test_no_slice_takes_longer_than_its_time_however_little_a_filter_lets_through(every: int) -> None:
    steps = Steps(100_000, every)
    seen, most, text = 0, 0, b""
    for part, _ in slices(steps, steps.clock):
        most, seen, text = max(most, steps.taken - seen), steps.taken, text + part
    assert most <= SLICE_SECONDS / STEP + 1
    assert json.loads(text) == [1] * (99_999 // every + 1)


def test_only_the_last_slice_is_the_last_one() -> None:
    steps = Steps(1000)
    ends = [last for _, last in slices(steps, steps.clock)]
    assert ends[-1]
    assert len(ends) > 10
    assert not any(ends[:-1])


def test_a_slice_is_not_much_larger_than_what_is_sent_at_once() -> None:
    steps = Steps(2000, size=1000)
    assert max(len(part) for part, _ in slices(steps, lambda: 0.0)) < SLICE_BYTES + 1001


def test_a_list_that_is_short_in_time_and_bytes_is_one_slice() -> None:
    assert list(slices([], lambda: 0.0)) == [(b"[]\n", True)]
    assert list(slices([None, b"1", None, b"2"], lambda: 0.0)) == [(b"[1,2]\n", True)]
