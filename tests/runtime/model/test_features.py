# SPDX-License-Identifier: Apache-2.0
"""Feature levels: what changes need, and what all managers have in common."""

from __future__ import annotations

from queenright.model import features
from queenright.model.changes import Create, Delete
from queenright.model.objects import CLASSES, Cluster, Node


def test_every_kind_of_object_has_its_level_and_this_release_reads_them_all() -> None:
    assert set(features.NEEDS) == set(CLASSES)
    assert max(features.NEEDS.values()) <= features.LEVEL


def test_changes_need_what_the_newest_of_them_needs() -> None:
    assert features.needed([]) == 1
    assert features.needed([Create(Node(id="n")), Delete("task", "t")]) == 1
    assert features.needed([Create(Node(id="n")), Delete("unheard-of", "x")]) > features.LEVEL


def test_a_swarm_of_the_first_release_is_at_level_one_and_a_new_one_at_its_founder_s() -> None:
    assert features.level_of(Cluster(id="c")) == 1
    assert features.level_of(Cluster(id="c", feature_level=3)) == 3
    assert features.level_of(None) == features.LEVEL


def test_the_common_level_is_the_least_and_unknown_while_one_is() -> None:
    assert features.common({"a": 3, "b": 2, "x": 1}, ["a", "b"]) == 2
    assert features.common({"a": 3}, ["a", "b"]) is None
    assert features.common({"a": 3, "b": 0}, ["a", "b"]) is None
    assert features.common({}, []) is None
