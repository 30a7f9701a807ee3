# SPDX-License-Identifier: Apache-2.0
"""The grammar of constraints, and which nodes meet them."""

from __future__ import annotations

import pytest
from laws.builders import node

from queenright.model import constraints
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Node, NodeStatus

HERE = node(
    "Alpha",
    role="manager",
    labels={"zone": "East", "Disk": "ssd", "empty": ""},
    engine_labels={"os": "debian"},
)


def met(expression: str, on: Node = HERE) -> bool:
    return constraints.parse(expression).met_by(on)


@pytest.mark.parametrize(
    "expression",
    [
        "node.id == Alpha",
        "node.id==alpha",
        "NODE.HOSTNAME == ALPHA",
        "node.hostname != beta",
        "node.role == manager",
        "node.role != worker",
        "node.platform.os == Linux",
        "node.platform.arch == x86_64",
        "node.platform.arch == amd64",
        "Node.Platform.Arch == amd64",
        "NODE.IP == 10.0.0.1",
        "node.labels.zone == east",
        "node.labels.missing != east",
        "node.labels.missing != anything",
        "engine.labels.os == debian",
        "Node.Labels.zone == east",
        "node.ip == 10.0.0.1",
        "node.ip == 10.0.0.0/8",
        "node.ip != 192.168.0.0/16",
        "node.ip != 10.0.0.2",
    ],
)
def test_a_node_meets_what_is_true_of_it(expression: str) -> None:
    assert met(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "node.id == other",
        "node.hostname != alpha",
        "node.role == worker",
        "node.labels.Zone == east",
        "node.labels.disk == ssd",
        "node.labels.zone == e.st",
        "node.labels.zone != EAST",
        "engine.labels.os != debian",
        "node.ip == 10.0.0.2",
        "node.ip == 192.168.0.0/16",
        "node.ip != 10.0.0.0/8",
        "node.ip == localhost",
        "node.ip != localhost",
        "node.platform.arch == arm64",
    ],
)
def test_a_node_does_not_meet_what_is_not(expression: str) -> None:
    assert not met(expression)


@pytest.mark.parametrize(
    "expression", ["node.colour == red", "node.colour != red", "zone == east", "node.labels. == x"]
)
def test_an_unknown_key_is_met_by_no_node(expression: str) -> None:
    assert not met(expression)


def test_an_address_of_the_other_family_is_outside() -> None:
    v6 = Node(id="six", status=NodeStatus(addr="2001:db8::2"))
    assert met("node.ip == 2001:db8::/32", v6)
    assert met("node.ip == 2001:DB8::2", v6)
    assert not met("node.ip == 10.0.0.0/8", v6)
    assert met("node.ip != 10.0.0.0/8", v6)


def test_a_node_without_an_address_is_in_no_network() -> None:
    bare = Node(id="bare")
    assert not met("node.ip == 10.0.0.0/8", bare)
    assert met("node.ip != 10.0.0.0/8", bare)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("node.role", "constraint expected one operator from ==, !="),
        ("node.role = manager", "constraint expected one operator from ==, !="),
        ("", "constraint expected one operator from ==, !="),
        ("== manager", "key '' is invalid"),
        ("1node == x", "key '1node' is invalid"),
        ("n == x", "key 'n' is invalid"),
        ("node role == x", "key 'node role' is invalid"),
        ("node.role ==", "value '' is invalid"),
        ("node.role == a;b", "value 'a;b' is invalid"),
        ("node.labels.zone == >5", "value '>5' is invalid"),
        ("node.role === manager", "value '= manager' is invalid"),
    ],
)
def test_what_is_no_constraint_is_refused_in_words_clients_know(expression: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        constraints.parse(expression)
    assert str(refused.value) == said


@pytest.mark.parametrize("value", ["a b", "10.0.0.0/8", "a.b-c_d", "x:y", "(a|b)*[c]+\\d^$?"])
def test_values_may_hold_what_later_operators_could_need(value: str) -> None:
    assert constraints.parse(f"node.labels.x == {value}").value == value


def test_all_constraints_have_to_be_met_and_the_first_that_is_not_is_named() -> None:
    assert constraints.unmet(HERE, ["node.role==manager", "node.labels.zone == east"]) is None
    assert constraints.unmet(HERE, ["node.role==manager", "node.id==x", "node.id==y"]) == "node.id == x"
    assert constraints.unmet(HERE, []) is None


def test_a_stored_text_that_is_no_constraint_is_met_by_no_node() -> None:
    assert constraints.unmet(HERE, ["node.role==manager", "nonsense"]) == "nonsense"
