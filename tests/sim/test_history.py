# SPDX-License-Identifier: Apache-2.0
"""The judge of histories is right: it agrees with trying every order."""

from __future__ import annotations

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.history import History, Operation, contradiction


def write(value: int, began: float, ended: float) -> Operation:
    return Operation("write", "k", value, began, ended)


def read(value: int, began: float, ended: float) -> Operation:
    return Operation("read", "k", value, began, ended)


def possible(operations: list[Operation]) -> bool:
    """Try every order, with and without the writes that nobody confirmed."""
    sure = [one for one in operations if one.ended < math.inf]
    open_ones = [one for one in operations if one.ended == math.inf]
    for count in range(len(open_ones) + 1):
        for chosen in itertools.combinations(open_ones, count):
            if any(_holds(order) for order in itertools.permutations([*sure, *chosen])):
                return True
    return False


def _holds(order: tuple[Operation, ...]) -> bool:
    value = 0
    for place, one in enumerate(order):
        if any(later.ended < one.began for later in order[place + 1 :]):
            return False
        if one.kind == "write":
            value = one.value
        elif one.value != value:
            return False
    return True


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to five operations at distinct moments; each write has a value of its own."""
    count = draw(st.integers(1, 5))
    moments = draw(st.permutations(range(2 * count)))
    operations, writes = [], 0
    kinds = draw(st.lists(st.sampled_from(["write", "read"]), min_size=count, max_size=count))
    for number, kind in enumerate(kinds):
        began, ended = sorted(moments[2 * number : 2 * number + 2])
        if kind == "write":
            writes += 1
            open_end = draw(st.booleans())
            operations.append(write(writes, began, math.inf if open_end else ended))
        else:
            operations.append(read(draw(st.integers(0, max(1, kinds.count("write")))), began, ended))
    return operations


@settings(max_examples=400)
@given(histories())
def test_the_judge_agrees_with_trying_every_order(operations: list[Operation]) -> None:
    assert (contradiction(operations) is None) == possible(operations)


def test_a_stale_read_is_found() -> None:
    assert contradiction([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)])


def test_a_value_that_comes_back_is_found() -> None:
    assert contradiction([write(1, 0, 1), write(2, 2, 9), read(2, 3, 4), read(1, 5, 6)])


def test_a_write_that_nobody_confirmed_may_happen_late_or_never() -> None:
    assert contradiction([write(1, 0, 1), write(2, 2, math.inf), read(1, 3, 4), read(2, 5, 6)]) is None
    assert contradiction([write(1, 0, 1), write(2, 2, math.inf), read(1, 3, 4)]) is None
    assert contradiction([write(1, 0, 1), write(2, 2, math.inf), read(2, 3, 4), read(1, 5, 6)])


def test_each_register_has_a_history_of_its_own() -> None:
    history = History()
    history.write("a", 1, 0, 1)
    history.read("b", 0, 2, 3)
    assert history.contradiction() is None
    history.read("a", 0, 2, 3)
    assert history.contradiction()
