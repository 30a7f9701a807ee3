# SPDX-License-Identifier: Apache-2.0
"""How many tasks: the one option that is an object's key in the Engine's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from queenright.spec import fields
from queenright.spec.fields import SpecError
from queenright.spec.service import GLOBAL, GLOBAL_JOB, REPLICATED, REPLICATED_JOB, Mode, ServiceSpec


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
        ({"mode": "global-job"}, {"GlobalJob": {}}),
        ({"mode": "replicated-job"}, {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}),
        (
            {"mode": "replicated-job", "max_concurrent": 3},
            {"ReplicatedJob": {"MaxConcurrent": 3, "TotalCompletions": 3}},
        ),
        (
            {"mode": "replicated-job", "max_concurrent": 2, "total_completions": 10},
            {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 10}},
        ),
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
        ({"ReplicatedJob": {"MaxConcurrent": -1}}, "Mode.ReplicatedJob.MaxConcurrent", "not negative, got -1"),
        ({"ReplicatedJob": {"TotalCompletions": "3"}}, "Mode.ReplicatedJob.TotalCompletions", "got '3'"),
        ({"ReplicatedJob": 3}, "Mode.ReplicatedJob", "expected an object, got int"),
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


def test_a_job_that_says_little_is_one_task_at_a_time_and_as_many_completions() -> None:
    for body in (
        {"ReplicatedJob": {}},
        {"replicatedjob": {"maxconcurrent": None}},
        {"ReplicatedJob": {}, "Global": None},
    ):
        assert fields.decode(ServiceSpec, {"Mode": body}).mode == Mode(REPLICATED_JOB, None, 1, 1)
    assert Mode(REPLICATED_JOB, max_concurrent=4).total_completions == 4
    assert Mode(REPLICATED_JOB, total_completions=4).max_concurrent == 1
    assert Mode(REPLICATED_JOB, replicas=7).replicas is None
    assert Mode(GLOBAL_JOB, 7, 7, 7) == Mode(GLOBAL_JOB)


def test_jobs_are_told_from_services_that_run_on() -> None:
    assert [Mode(kind).is_job for kind in (REPLICATED, GLOBAL, REPLICATED_JOB, GLOBAL_JOB)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("options", "path", "says"),
    [
        ({"mode": "replicated-job", "replicas": 3}, "replicas", "the service is of mode replicated-job"),
        ({"max_concurrent": 3}, "max_concurrent", "max_concurrent belongs to mode replicated-job"),
        ({"mode": "global-job", "total_completions": 3}, "total_completions", "one task on each node"),
        ({"mode": "replicated-job", "total_completions": -1}, "total_completions", "must not be negative"),
    ],
)
def test_numbers_of_another_mode_are_refused(options: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as refused:
        mode_of(options)
    assert refused.value.path == path


def test_a_job_keeps_the_numbers_that_are_not_said_again() -> None:
    ten = fields.merge(ServiceSpec, None, {"mode": "replicated-job", "max_concurrent": 2, "total_completions": 10})
    assert mode_of({"max_concurrent": 5}, ten) == {"ReplicatedJob": {"MaxConcurrent": 5, "TotalCompletions": 10}}
    assert mode_of({"mode": "global-job"}, ten) == {"GlobalJob": {}}
