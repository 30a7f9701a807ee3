# SPDX-License-Identifier: Apache-2.0
"""Laws of whole objects, tried on any mixture of what can be said of them."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.spec.options import CHOICES, CONTAINER, EXAMPLES, FREE, Example, leaves, put

from queenright.spec import fields
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec

Body = dict[str, Any]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
LISTS = ("publish", "mounts", "networks", "placement.preferences", "placement.platforms", "ulimits", "secrets")
LISTS += ("configs", "reservations.generic_resources", "ipam_config")
DEFAULTS = {("UpdateConfig", "Parallelism"): 1, ("RollbackConfig", "Parallelism"): 1}
"""What may be left out when it is all that was said."""


def values(example: Example) -> st.SearchStrategy[Any]:
    """Engine values of an option: other ones of the same kind; lists of records are cut and doubled."""
    if example.option in CHOICES:
        return st.sampled_from(CHOICES[example.option])
    if example.option in LISTS:
        return st.lists(st.sampled_from(example.value), min_size=1, max_size=4)
    kinds: dict[type, st.SearchStrategy[Any]] = {
        str: TEXTS,
        bool: st.booleans(),
        int: st.integers(0, 1 << 53),
        float: st.floats(0, 1),
        list: st.lists(TEXTS, min_size=1, max_size=3),
        dict: st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=3),
    }
    return kinds[type(example.value)]


@st.composite
def bodies(draw: st.DrawFn, record: type = ServiceSpec) -> Body:
    """Engine JSON in which some options are said; a service has an image."""
    chosen = draw(st.lists(st.sampled_from([each for each in EXAMPLES if each.record is record]), max_size=8))
    body: Body = put({}, CONTAINER + "Image", "app") if record is ServiceSpec else {}
    for example in chosen:
        body = put(body, example.path, draw(values(example)))
    if record is ServiceSpec and draw(st.booleans()):
        body["Name"] = draw(TEXTS)
    if record is ServiceSpec and draw(st.integers(0, 4)) == 0:
        body["Mode"] = {"Global": {}}
    return body


any_body = st.one_of(
    *(
        st.tuples(st.just(record), bodies(record))
        for record in (ServiceSpec, ServiceSpec, SwarmSpec, NodeSpec, NetworkSpec)
    )
)


@given(any_body)
def test_what_was_decoded_and_shown_decodes_to_the_same(drawn: tuple[type, Body]) -> None:
    record, body = drawn
    decoded: Any = fields.decode(record, body)
    assert fields.decode(record, fields.encode(decoded)) == decoded
    through_wire = json.loads(json.dumps(fields.encode(decoded)))
    assert through_wire == fields.encode(decoded), "it is JSON"


@given(any_body)
def test_nothing_that_was_said_is_lost_or_altered(drawn: tuple[type, Body]) -> None:
    record, body = drawn
    shown: Any = fields.encode(fields.decode(record, body))
    for path, value in leaves(body):
        if path:  # something was said at all
            at = shown
            for key in path:
                at = at.get(key, {})
            assert at == value or (at == {} and DEFAULTS.get(path) == value), path


@given(any_body, st.randoms(use_true_random=False))
def test_noise_of_other_clients_does_not_matter(drawn: tuple[type, Body], random: Any) -> None:
    record, body = drawn
    assert fields.decode(record, _noisy(body, random)) == fields.decode(record, body)


def _noisy(value: Any, random: Any, free: bool = False) -> Any:
    """The same with unknown keys, nulls, another order and another case of the keys that are not a user's own."""
    if isinstance(value, list):
        return [_noisy(item, random) for item in value]
    if not isinstance(value, dict) or free:
        return value
    out = [
        (
            random.choice((key, key.lower(), key.upper())),
            _noisy(item, random, key in ("Labels", "Options", "DriverOpts")),
        )
        if key != "Sysctls"
        else (key, item)
        for key, item in value.items()
    ]
    if "Global" not in value and "Replicated" not in value:
        out += [("XNonsense", random.choice((1, "x", [], {})))]
    random.shuffle(out)
    return dict(out)


@given(any_body)
def test_an_object_is_made_again_by_its_options(drawn: tuple[type, Body]) -> None:
    record, body = drawn
    decoded: Any = fields.decode(record, body)
    named = record(name=decoded.name)
    options = fields.options_of(decoded)
    assert fields.merge(record, named, options) == decoded
    assert fields.merge(record, decoded, options) == decoded, "nothing to do"
    assert fields.merge(record, named, json.loads(json.dumps(options))) == decoded, "as it comes through Ansible"


@given(any_body)
def test_options_that_are_not_mentioned_leave_everything_as_it_is(drawn: tuple[type, Body]) -> None:
    record, body = drawn
    decoded: Any = fields.decode(record, body)
    assert fields.merge(record, decoded, {}) == decoded


@given(bodies(), bodies(), st.randoms(use_true_random=False))
def test_mentioned_options_are_as_said_and_all_others_as_before(one: Body, other: Body, random: Any) -> None:
    before, wanted = fields.decode(ServiceSpec, one), fields.decode(ServiceSpec, other)
    held, options = _of_one_key(before), _of_one_key(wanted)
    said = {key: options[key] for key in sorted(options) if random.random() < 0.5}
    after = _of_one_key(fields.merge(ServiceSpec, before, said))
    assert after.keys() == held.keys() | said.keys()
    for key, value in after.items():
        if key not in said:
            assert value == held[key], key
        elif isinstance(value, dict) and key not in FREE:
            assert value == _deep(held.get(key, {}), said[key]), key
        else:
            assert value == said[key], key


def _of_one_key(spec: ServiceSpec) -> Body:
    """A service's options but for mode and replicas, which depend on each other (see test_modes)."""
    return {key: value for key, value in fields.options_of(spec).items() if key not in ("mode", "replicas")}


def _deep(below: Body, above: Body) -> Body:
    """Suboptions laid over suboptions."""
    out = copy.deepcopy(below)
    for key, item in above.items():
        nested = isinstance(item, dict) and isinstance(out.get(key), dict) and key not in FREE
        out[key] = _deep(out[key], item) if nested else item
    return out


@given(bodies(), st.sampled_from([each for each in EXAMPLES if each.record is ServiceSpec]))
def test_null_clears_one_option_and_keeps_its_neighbours(body: Body, example: Example) -> None:
    if example.option == "replicas":
        return
    before = fields.decode(ServiceSpec, body)
    cleared = fields.encode(fields.merge(ServiceSpec, before, put({}, example.option, None)))
    expected = fields.encode(fields.decode(ServiceSpec, put(fields.encode(before), example.path, None)))
    assert cleared == expected


def test_nothing_can_be_written_into_what_was_decoded() -> None:
    for example in EXAMPLES:
        decoded: Any = fields.decode(example.record, example.body)
        for part in [decoded, *_records_in(decoded)]:
            for field in dataclasses.fields(part):
                with pytest.raises(dataclasses.FrozenInstanceError):
                    setattr(part, field.name, None)


def _records_in(record: Any) -> Iterator[Any]:
    for field in dataclasses.fields(record):
        held = getattr(record, field.name)
        for item in held if isinstance(held, tuple) else (held,):
            if dataclasses.is_dataclass(item):
                yield item
                yield from _records_in(item)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ABC"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("ABC"), json_values, max_size=3)


@given(objects, objects)
def test_a_difference_names_all_that_differs_and_nothing_else(before: Body, after: Body) -> None:
    found = fields.difference(before, after)
    patched = _without_nulls(before)
    for path, change in found.items():
        assert change["before"] != change["after"], path
        patched = put(patched, path, change["after"])
    assert _without_nulls(patched) == _without_nulls(after)
    turned = fields.difference(after, before)
    assert turned == {path: {"before": c["after"], "after": c["before"]} for path, c in found.items()}


def _without_nulls(value: Any) -> Any:
    """Objects without keys of null: absent and null are one to a difference."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


@given(json_values)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert fields.difference(value, copy.deepcopy(value)) == {}


@given(bodies(), bodies())
def test_two_services_differ_in_their_json_exactly_when_they_are_not_equal(one: Body, other: Body) -> None:
    first, second = fields.decode(ServiceSpec, one), fields.decode(ServiceSpec, other)
    assert (fields.difference(fields.encode(first), fields.encode(second)) == {}) == (first == second)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a.b": (1, 2)}),
        ({"a": {"b": 1}}, {"a": None}, {"a": ({"b": 1}, None)}),
        ({"a": {"b": 1}}, {}, {"a": ({"b": 1}, None)}),
        ({}, {"a": {"b": 1}}, {"a": (None, {"b": 1})}),
        ({"l": [1, 2]}, {"l": [1, 3]}, {"l": ([1, 2], [1, 3])}),
        ({"a": {}}, {"a": {"b": 0}}, {"a.b": (None, 0)}),
        ({"b": 1, "a": 1}, {"a": 2, "b": 2}, {"a": (1, 2), "b": (1, 2)}),
        (1, 2, {"": (1, 2)}),
    ],
)
def test_a_difference_goes_down_to_the_leaf(before: Any, after: Any, found: dict[str, tuple[Any, Any]]) -> None:
    assert fields.difference(before, after) == {
        path: {"before": was, "after": now} for path, (was, now) in found.items()
    }
    assert list(fields.difference(before, after)) == sorted(found), "in the order of the alphabet"
