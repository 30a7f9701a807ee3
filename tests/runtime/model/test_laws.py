# SPDX-License-Identifier: Apache-2.0
"""Laws of the two small languages: constraints and placeholders, tried on whatever people may write."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from laws.builders import node

from queenright.model import constraints, templates
from queenright.model.constraints import Constraint
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Node, NodeDescription, NodeStatus, Task
from queenright.model.templates import TemplateError
from queenright.spec.container import ContainerSpec
from queenright.spec.service import TaskSpec

WORDS = st.text("abcXYZ019-_.", min_size=2, max_size=10)
KEYS = st.sampled_from(
    [
        "node.id",
        "node.hostname",
        "node.role",
        "node.platform.os",
        "node.platform.arch",
        "node.labels.zone",
        "engine.labels.disk",
    ]
)
VALUES = st.sampled_from(["alpha", "Alpha", "worker", "manager", "linux", "x86_64", "amd64", "east", "ssd", "other"])
NODES = st.builds(
    lambda name, role, zone, disk: node(
        name,
        role=role,
        labels={"zone": zone} if zone else {},
        engine_labels={"disk": disk} if disk else {},
    ),
    st.sampled_from(["alpha", "beta"]),
    st.sampled_from(["worker", "manager"]),
    st.sampled_from(["", "east", "WEST"]),
    st.sampled_from(["", "ssd"]),
)


@given(KEYS, st.booleans(), VALUES, st.sampled_from(["", " ", "\t "]))
def test_a_constraint_is_shown_as_it_is_read(key: str, equal: bool, value: str, space: str) -> None:
    parsed = constraints.parse(f"{space}{key}{space}{'==' if equal else '!='}{space}{value}{space}")
    assert parsed == Constraint(key, equal, value)
    assert constraints.parse(str(parsed)) == parsed


@given(NODES, KEYS, VALUES)
def test_of_two_opposite_constraints_a_node_meets_exactly_one(one: Node, key: str, value: str) -> None:
    assert Constraint(key, True, value).met_by(one) != Constraint(key, False, value).met_by(one)


@given(NODES, KEYS, VALUES, st.booleans())
def test_the_case_of_values_and_of_fixed_keys_does_not_count(one: Node, key: str, value: str, equal: bool) -> None:
    head = key if ".labels." not in key else key[: key.rindex(".") + 1]
    shouted = head.upper() + key[len(head) :]
    expected = Constraint(key, equal, value).met_by(one)
    assert Constraint(shouted, equal, value.swapcase()).met_by(one) == expected


@given(NODES, st.lists(st.tuples(KEYS, st.booleans(), VALUES), max_size=4))
def test_what_is_named_as_unmet_is_the_first_that_the_node_does_not_meet(
    one: Node, drawn: list[tuple[str, bool, str]]
) -> None:
    all_of_them = [Constraint(*each) for each in drawn]
    failing = [str(each) for each in all_of_them if not each.met_by(one)]
    assert constraints.unmet(one, map(str, all_of_them)) == (failing[0] if failing else None)


@given(st.ip_addresses(), st.ip_addresses(v=4), st.integers(0, 32))
def test_an_address_is_in_a_network_as_the_rest_of_the_world_has_it(address: object, base: object, bits: int) -> None:
    network = ipaddress.ip_network(f"{base}/{bits}", strict=False)
    here = Node(id="n", status=NodeStatus(addr=str(address)))
    assert Constraint("node.ip", True, f"{base}/{bits}").met_by(here) == (address in network)
    assert Constraint("node.ip", False, f"{base}/{bits}").met_by(here) == (address not in network)
    assert Constraint("node.ip", True, str(address)).met_by(here)


@given(st.text(max_size=30))
def test_whatever_is_written_as_a_constraint_is_read_or_refused(text: str) -> None:
    try:
        parsed = constraints.parse(text)
    except InvalidArgument as refused:
        assert str(refused).startswith(("key '", "value '", "constraint expected one operator"))
        assert constraints.unmet(node("n"), [text]) == text, "nobody meets it"
    else:
        assert parsed.key and parsed.value
        assert isinstance(parsed.met_by(node("n")), bool)


@pytest.mark.parametrize(("name", "same"), [("x86_64", "AMD64"), ("aarch64", "arm64"), ("riscv64", "RISCV64")])
def test_an_architecture_has_one_name(name: str, same: str) -> None:
    assert constraints.architecture(name) == constraints.architecture(same)
    assert constraints.architecture(constraints.architecture(name)) == constraints.architecture(name)


def test_a_missing_label_is_empty_and_what_is_no_label_is_none() -> None:
    here = node("n", labels={"zone": "East"}, engine_labels={"disk": "ssd"})
    assert constraints.label_value(here, "node.labels.zone") == "East"
    assert constraints.label_value(here, "ENGINE.labels.disk") == "ssd"
    assert constraints.label_value(here, "node.labels.Zone") == ""
    assert constraints.label_value(here, "node.labels.disk") == "", "an engine's label is not a node's"
    for other in ("node.labels.", "node.labels", "node.id", "zone"):
        assert constraints.label_value(here, other) is None


LABELS = st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=5), max_size=3)
PLAIN = st.text(st.characters(exclude_characters="{}"), max_size=10)


def context(labels: dict[str, str], slot: int = 2) -> templates.Context:
    made = Task(
        id="t", service_id="s", service_name="web", service_labels=labels, slot=slot, node_id="n", spec=TaskSpec()
    )
    return templates.context_of(made, NodeDescription(hostname="h", architecture="amd64", os="linux"))


def braces(inside: str) -> str:
    return "{{" + inside + "}}"


@given(st.text(max_size=40).filter(lambda text: "{{" not in text))
def test_a_text_without_placeholders_is_left_to_the_letter(text: str) -> None:
    assert templates.expand(text, context({})) == text


@given(PLAIN, PLAIN, st.integers(1, 10**6))
def test_a_placeholder_is_replaced_and_its_surroundings_are_not(before: str, after: str, slot: int) -> None:
    filled = templates.expand(before + "{{.Task.Slot}}" + after, context({}, slot))
    assert filled == f"{before}{slot}{after}"


@given(LABELS, st.from_regex(r"[a-z]{1,5}", fullmatch=True))
def test_a_label_is_its_value_by_both_spellings(labels: dict[str, str], key: str) -> None:
    filled = templates.expand(braces(f'index .Service.Labels "{key}"'), context(labels))
    assert filled == labels.get(key, "")
    dotted = braces(f".Service.Labels.{key}")
    if key in labels:
        assert templates.expand(dotted, context(labels)) == labels[key]
    else:
        with pytest.raises(TemplateError, match=f"no label '{key}'"):
            templates.expand(dotted, context(labels))


@given(LABELS)
def test_what_a_placeholder_stands_for_is_never_expanded_itself(labels: dict[str, str]) -> None:
    assume(labels)
    key = min(labels)
    filled = templates.expand(braces(f".Service.Labels.{key}"), context({**labels, key: "{{.Task.Slot}}"}))
    assert filled == "{{.Task.Slot}}"


@given(st.lists(PLAIN.filter(lambda text: "`" not in text), max_size=4), PLAIN.filter(lambda text: "`" not in text))
def test_join_puts_its_separator_between(parts: list[str], separator: str) -> None:
    written = " ".join(f"`{part}`" for part in (separator, *parts))
    assert templates.expand(braces(f"join {written}"), context({})) == separator.join(parts)


@given(st.text('{}.-"`ATaskSlotjoin \\', max_size=30))
def test_whatever_is_written_as_a_placeholder_is_filled_or_refused(text: str) -> None:
    try:
        filled = templates.expand(text, context({}))
    except TemplateError as refused:
        assert str(refused)
    else:
        assert "{{" in text or filled == text


@given(PLAIN, PLAIN)
def test_only_the_value_of_a_variable_is_expanded(name: str, value: str) -> None:
    assume("=" not in name)
    spec = ContainerSpec(env=(f"{name}={{{{.Task.Slot}}}}{value}", "{{.Task.Slot}}"))
    assert templates.expand_container(spec, context({})).env == (f"{name}=2{value}", "{{.Task.Slot}}")
