# SPDX-License-Identifier: Apache-2.0
"""A change of the root: a few nodes at a time, nobody who is there is left, and nobody who is gone holds it up."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from laws.builders import cluster, node

from queenright.decide.base import SECOND, Now
from queenright.decide.trust import AT_ONCE, Turning, has_turned, tls_status, turning
from queenright.model.objects import Cluster, Node, NodeStatus, RootRotation
from queenright.model.states import NodeState
from queenright.spec.cluster import CAConfig, SwarmSpec

BEGAN = 1_000_000 * SECOND
OLD, NEW = ("old", "old key"), ("new", "new key")
ROTATION = RootRotation(certificate="NEW", issuer_subject=NEW[0], issuer_public_key=NEW[1], started_at=BEGAN)
CHANGING = dataclasses.replace(cluster(), root_certificate="OLD", root_rotation=ROTATION)


def at(seconds: float) -> Now:
    return Now(BEGAN + int(seconds * SECOND), 500.0 + seconds)


def one(
    name: str,
    issuer: tuple[str, str] = OLD,
    *,
    state: NodeState = NodeState.READY,
    gone: float = 0,
    asked: bool = False,
) -> Node:
    """``gone``: how long before the change it was last heard of, in seconds."""
    made = node(name, issuer_subject=issuer[0], issuer_public_key=issuer[1])
    silent = BEGAN - int(gone * SECOND) if state != NodeState.READY else 0
    status = NodeStatus(state=state, since=silent, silent_since=silent)
    return dataclasses.replace(made, status=status, renew_for=NEW[1] if asked else "", created_at=BEGAN - 10**15)


def look(*nodes: Node, seconds: float = 1, swarm: Cluster = CHANGING) -> Turning:
    found = turning(swarm, nodes, at(seconds))
    assert found is not None
    return found


def test_without_a_change_there_is_nothing_to_do() -> None:
    assert turning(cluster(), [one("a")], at(0)) is None


def test_nodes_are_asked_and_when_the_last_has_turned_it_is_done() -> None:
    first = look(one("a"), one("b"))
    assert (first.ask, first.waiting, first.done) == (("a", "b"), ("a", "b"), False)
    second = look(one("a", NEW), one("b", asked=True))
    assert (second.turned, second.ask, second.done) == (("a",), (), False)
    last = look(one("a", NEW), one("b", NEW))
    assert last.done and (last.turned, last.left, last.total) == (("a", "b"), (), 2)


def test_a_certificate_of_the_same_name_and_another_key_does_not_count() -> None:
    assert not has_turned(one("a", ("new", "old key")), ROTATION)
    assert not has_turned(one("a", ("old", "new key")), ROTATION)
    assert has_turned(one("a", NEW), ROTATION)


def test_only_a_few_are_asked_at_once_and_those_that_never_manage_do_not_hold_up_the_rest() -> None:
    many = [one(f"n{number:03d}") for number in range(AT_ONCE + 10)]
    assert len(look(*many).ask) == AT_ONCE
    asked = [dataclasses.replace(each, renew_for=NEW[1]) for each in many[:AT_ONCE]]
    assert look(*asked, *many[AT_ONCE:]).ask == (many[AT_ONCE].id,)


def test_a_node_that_is_down_is_waited_for_and_then_left_behind() -> None:
    down = one("b", state=NodeState.DOWN)
    early = look(one("a", NEW), down, seconds=59)
    assert not early.done and early.waiting == ("b",) and early.ask == ()
    assert early.wake_at == 560.0
    late = look(one("a", NEW), down, seconds=60)
    assert late.done and late.left == ("b",) and late.wake_at is None


def test_a_node_that_was_down_for_long_is_not_waited_for_at_all() -> None:
    found = look(one("a", NEW), one("b", state=NodeState.DOWN, gone=61), seconds=0)
    assert found.done and found.left == ("b",)
    assert not look(one("a", NEW), one("b", state=NodeState.DOWN, gone=59), seconds=0).done


def test_a_node_that_only_fell_silent_is_waited_for_too() -> None:
    silent = dataclasses.replace(
        one("b"), status=NodeStatus(state=NodeState.READY, since=BEGAN, silent_since=BEGAN + SECOND)
    )
    assert look(silent).waiting == ("b",)
    assert look(silent).ask == ()


def test_a_node_that_comes_back_in_time_is_asked() -> None:
    assert look(one("b"), seconds=3600).ask == ("b",)


def test_the_swarm_says_how_long_it_waits() -> None:
    patient = dataclasses.replace(CHANGING, spec=SwarmSpec(ca=CAConfig(rotation_grace=600 * SECOND)))
    down = one("b", state=NodeState.DOWN)
    assert not look(down, seconds=599, swarm=patient).done
    assert look(down, seconds=600, swarm=patient).done
    hasty = dataclasses.replace(CHANGING, spec=SwarmSpec(ca=CAConfig(rotation_grace=0)))
    assert look(down, seconds=0, swarm=hasty).done


STATES = st.tuples(
    st.sampled_from(list(NodeState)),
    st.sampled_from([OLD, NEW, ("", "")]),
    st.booleans(),
    st.floats(0, 200),
)


@given(st.lists(STATES, max_size=50), st.floats(0, 300))
def test_every_node_is_in_one_place_and_with_time_it_ends_without_those_that_are_gone(
    states: list[tuple[NodeState, tuple[str, str], bool, float]], seconds: float
) -> None:
    nodes = [
        one(f"n{number:02d}", issuer, state=state, gone=gone, asked=asked)
        for number, (state, issuer, asked, gone) in enumerate(states)
    ]
    found = look(*nodes, seconds=seconds)
    assert sorted(found.turned + found.waiting + found.left) == [each.id for each in nodes]
    assert set(found.ask) <= set(found.waiting)
    there = {each.id for each in nodes if each.status.state == NodeState.READY and not has_turned(each, ROTATION)}
    assert there <= set(found.waiting)
    assert set(look(*nodes, seconds=1000).waiting) == there
    if found.wake_at is not None:
        assert len(look(*nodes, seconds=found.wake_at - 500.0 + 1e-6).left) > len(found.left)
    assert look(*nodes, seconds=seconds) == found


def test_the_word_for_a_node_follows_the_root_that_is_to_be() -> None:
    still = dataclasses.replace(CHANGING, root_rotation=None)
    assert tls_status(one("a"), still, OLD) == "Ready"
    assert tls_status(one("a"), CHANGING, OLD) == "Needs Rotation"
    assert tls_status(one("a", NEW), CHANGING, OLD) == "Ready"
    assert tls_status(one("a"), still, NEW) == "Needs Rotation"
    assert tls_status(one("a", ("", "")), still, OLD) == "Unknown"
