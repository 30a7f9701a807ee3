# SPDX-License-Identifier: Apache-2.0
"""How many tasks: the one option that is an object's key in the Engine's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from queenright.spec import fields
from queenright.spec.fields import SpecError
from queenright.spec.service import GLOBAL, REPLICATED, Mode, ServiceSpec


def mode_of(options: dict[str, Any], before: ServiceSpec | None = None) -> Any:
    return fields.encode(fields.merge(ServiceSpec, before, options))["Mode"]


@pytest.mark.parametrize(
    ("options", "api"),
    [
        ({}, {"Replicated": {"Replicas": 1}}),
        ({"mode": "replicated"}, {"Replicated": {"Replicas": 1}}),
        ({"mode": "replicated", "replicas": 3}, {"Replicated": {"Replicas": 3}}),
        ({"replicas": 0}, {"Replicated": {"Replicas": 0}}),
        ({"replicas": None}, {"Replicated": {"Replicas": 1}}),
        ({"mode": None}, {"Replicated": {"Replicas": 1}}),
        ({"mode": "global"}, {"Global": {}}),
        ({"mode": "global", "replicas": None}, {"Global": {}}),
    ],
)
def test_what_a_playbook_says_of_the_mode(options: dict[str, Any], api: dict[str, Any]) -> None:
    assert mode_of(options) == api
    assert fields.encode(fields.decode(ServiceSpec, {"Mode": api}))["Mode"] == api


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"Replicated": {}},
        {"Replicated": {"Replicas": None}},
        {"replicated": {"replicas": 1}},
        {"Replicated": {"Replicas": 1}, "Global": None},
        {"Global": None},
        {"Unheard": None},
    ],
)
def test_one_replica_can_be_said_in_many_ways_that_are_equal(body: Any) -> None:
    assert fields.decode(ServiceSpec, {"Mode": body}) == ServiceSpec()


def test_a_global_service_has_no_replicas_whoever_made_it() -> None:
    assert Mode(kind=GLOBAL, replicas=5) == Mode(kind=GLOBAL)
    assert Mode(kind=GLOBAL).replicas is None
    assert Mode() == Mode(kind=REPLICATED, replicas=1)


def test_a_mode_turned_round_by_a_playbook_starts_from_one_replica() -> None:
    three = fields.merge(ServiceSpec, None, {"replicas": 3})
    turned = fields.merge(ServiceSpec, three, {"mode": "global"})
    assert fields.encode(turned)["Mode"] == {"Global": {}}
    assert mode_of({"mode": "replicated"}, turned) == {"Replicated": {"Replicas": 1}}


def test_replicas_of_a_service_that_is_global_are_refused() -> None:
    everywhere = fields.merge(ServiceSpec, None, {"mode": "global"})
    with pytest.raises(SpecError) as refused:
        fields.merge(ServiceSpec, everywhere, {"replicas": 3})
    assert refused.value.path == "replicas"
    assert mode_of({"labels": {"a": "b"}}, everywhere) == {"Global": {}}


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ({"Replicated": {"Replicas": -1}}, "Mode.Replicated.Replicas", "not negative, got -1"),
        ({"Replicated": {"Replicas": "3"}}, "Mode.Replicated.Replicas", "got '3'"),
        ({"Replicated": {"Replicas": True}}, "Mode.Replicated.Replicas", "got True"),
        ({"Replicated": {"Replicas": 1.0}}, "Mode.Replicated.Replicas", "got 1.0"),
        ({"Replicated": 3}, "Mode.Replicated", "expected an object, got int"),
        ({"Replicated": []}, "Mode.Replicated", "expected an object, got list"),
        ([], "Mode", "expected an object, got list"),
        ({"ReplicatedJob": {"MaxConcurrent": 1}}, "Mode", "jobs are not supported"),
        ({"GlobalJob": {}}, "Mode", "jobs are not supported"),
    ],
)
def test_a_mode_that_is_none_is_refused_where_it_is_wrong(body: Any, path: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as refused:
        fields.decode(ServiceSpec, {"Mode": body})
    assert refused.value.path == path


def test_two_modes_at_once_are_refused_in_dockers_words() -> None:
    with pytest.raises(SpecError) as refused:
        fields.decode(ServiceSpec, {"Mode": {"Replicated": {"Replicas": 1}, "Global": {}}})
    assert str(refused.value) == "must specify only one service mode"
