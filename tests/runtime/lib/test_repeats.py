# SPDX-License-Identifier: Apache-2.0
"""What happens again and again is said once in a while, with how often it happened."""

from __future__ import annotations

from queenright.lib.repeats import Repeats


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_said_at_once_then_held_back_and_counted() -> None:
    clock = Clock()
    repeats = Repeats(clock, 60.0)
    assert [repeats.held_back("a") for _ in range(4)] == [0, None, None, None]
    assert repeats.held_back("b") == 0
    clock.now += 59.0
    assert repeats.held_back("a") is None
    clock.now += 1.0
    assert repeats.held_back("a") == 4
    assert repeats.held_back("a") is None


def test_only_so_many_things_are_remembered() -> None:
    clock = Clock()
    repeats = Repeats(clock, 60.0, most=2)
    for key in "abc":
        assert repeats.held_back(key) == 0
    assert repeats.held_back("c") is None
    assert repeats.held_back("a") == 0  # was forgotten
