# SPDX-License-Identifier: Apache-2.0
"""Which manager is asked: by weight and dice, never nobody as long as one is known."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from queenright.agent.remotes import MOST, Remotes

TWO = (("a", "h1:2377"), ("b", "h2:2377"))


def chosen(remotes: Remotes, count: int = 2000) -> Counter[str]:
    return Counter(remotes.select()[0] for _ in range(count))


def test_all_are_asked_alike_at_first() -> None:
    found = chosen(Remotes(TWO, random.Random(1).random))
    assert abs(found["a"] - found["b"]) < 300


def test_one_that_fails_is_asked_rarely_and_comes_back_when_it_works() -> None:
    remotes = Remotes(TWO, random.Random(1).random)
    for _ in range(5):
        remotes.observe("a", good=False)
    assert chosen(remotes)["a"] < 10
    for _ in range(5):
        remotes.observe("a", good=True)
    assert chosen(remotes)["a"] > 500


def test_when_all_fail_all_are_still_tried() -> None:
    remotes = Remotes(TWO, random.Random(1).random)
    for _ in range(100):
        remotes.observe("a", good=False)
        remotes.observe("b", good=False)
    assert min(chosen(remotes).values()) > 500


def test_weights_are_bounded() -> None:
    remotes = Remotes(TWO, lambda: 0.5)
    for _ in range(1000):
        remotes.observe("a", good=True)
        remotes.observe("b", good=False)
    assert all(abs(weight) <= MOST for weight in remotes._weights.values())


def test_the_list_follows_what_a_manager_says_but_is_never_emptied() -> None:
    remotes = Remotes(TWO, lambda: 0.0)
    assert not remotes.replace(())
    assert not remotes.replace(TWO)
    assert list(remotes) == list(TWO)
    assert remotes.replace((("b", "h9:2377"), ("c", "h3:2377")))
    assert list(remotes) == [("b", "h9:2377"), ("c", "h3:2377")]
    remotes.observe("a", good=True)  # it is gone
    assert len(remotes) == 2


def test_a_manager_that_stays_keeps_its_weight_at_its_new_address() -> None:
    remotes = Remotes(TWO, random.Random(1).random)
    for _ in range(5):
        remotes.observe("a", good=False)
    remotes.replace((("a", "new:2377"), ("c", "h3:2377")))
    assert chosen(remotes)["a"] < 10


def test_the_one_that_leads_is_asked_until_it_fails() -> None:
    remotes = Remotes(TWO, random.Random(1).random)
    remotes.prefer("b")
    assert chosen(remotes) == {"b": 2000}
    remotes.observe("a", good=False)
    assert chosen(remotes) == {"b": 2000}
    remotes.observe("b", good=False)
    assert len(chosen(remotes)) == 2


def test_a_leader_that_is_not_on_the_list_is_not_asked() -> None:
    remotes = Remotes(TWO, random.Random(1).random)
    remotes.prefer("c")
    assert set(chosen(remotes)) == {"a", "b"}
    remotes.replace((*TWO, ("c", "h3:2377")))
    assert set(chosen(remotes)) == {"c"}


def test_dice_at_their_end_still_choose_somebody() -> None:
    assert Remotes(TWO, lambda: 1.0).select() == TWO[1]


def test_without_managers_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="no manager is known"):
        Remotes((), lambda: 0.5).select()
