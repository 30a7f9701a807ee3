# SPDX-License-Identifier: Apache-2.0
"""Defaults, and what counts as the same revision."""

from __future__ import annotations

import dataclasses

import pytest
from laws.builders import SECOND, cluster, node, service, spec, task

from queenright.decide import defaults
from queenright.decide.revision import Drift, Revision, placement_fits
from queenright.model.changes import Batch, Create
from queenright.model.objects import UpdateStatus
from queenright.model.states import UpdateState
from queenright.spec.fields import encode
from queenright.store.store import Store


def test_a_silent_specification_means_the_documented_defaults() -> None:
    policy = defaults.restart(spec().task)
    assert (policy.condition, policy.delay, policy.max_attempts, policy.window) == ("any", 5 * SECOND, 0, 0)
    rollout = defaults.rollout(service())
    assert (rollout.parallelism, rollout.delay, rollout.monitor) == (1, 0, 5 * SECOND)
    assert (rollout.failure_action, rollout.max_failure_ratio, rollout.start_first) == ("pause", 0.0, False)
    assert defaults.stop_grace(spec().task) == 10 * SECOND
    assert defaults.stop_wait(spec().task) == 60 * SECOND
    assert (defaults.history_limit(None), defaults.history_limit(cluster())) == (5, 5)
    assert defaults.replicas(service().spec) == 1


def test_zero_is_a_value_and_not_silence() -> None:
    held = service("web", 0, UpdateConfig={"Parallelism": 0, "Monitor": 0}, task={"RestartPolicy": {"Delay": 0}})
    assert defaults.rollout(held).parallelism == 0
    assert defaults.rollout(held).monitor == 0
    assert defaults.restart(held.spec.task).delay == 0
    assert defaults.replicas(held.spec) == 0
    assert defaults.history_limit(cluster(Orchestration={"TaskHistoryRetentionLimit": 0})) == 0


def test_a_long_grace_lengthens_the_wait_for_the_old_task() -> None:
    long = spec(task={"ContainerSpec": {"StopGracePeriod": 90 * SECOND}})
    assert defaults.stop_wait(long.task) == 100 * SECOND


@pytest.mark.parametrize("state", [UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED])
def test_a_rollback_follows_the_rollback_configuration(state: UpdateState) -> None:
    held = service("web", 1, UpdateConfig={"Parallelism": 2}, RollbackConfig={"Parallelism": 3})
    assert defaults.rollout(held).parallelism == 2
    assert defaults.rollout(dataclasses.replace(held, update_status=UpdateStatus(state=state))).parallelism == 3


def test_filled_in_defaults_are_shown_in_the_engines_form() -> None:
    shown = encode(defaults.with_defaults(spec()))
    assert shown["TaskTemplate"]["RestartPolicy"]["Condition"] == "any"
    assert shown["TaskTemplate"]["RestartPolicy"]["Delay"] == 5 * SECOND
    assert shown["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"] == 10 * SECOND
    assert shown["UpdateConfig"]["FailureAction"] == shown["RollbackConfig"]["FailureAction"] == "pause"
    assert shown["UpdateConfig"]["Order"] == "stop-first"


def test_filling_in_defaults_twice_changes_nothing_more() -> None:
    once = defaults.with_defaults(spec(UpdateConfig={"Delay": 7}))
    assert defaults.with_defaults(once) == once
    assert once.update_config is not None and once.update_config.delay == 7


def revision(before: dict, after: dict) -> tuple[Revision, object]:
    old = service("web", 1, **before)
    new = dataclasses.replace(service("web", 1, **after), spec_version=2)
    view = Store()
    view.apply(1, Batch(1, (Create(node("h1")), Create(node("h2", labels={"ssd": "yes"})), Create(new))))
    return Revision(view, new), task(old, "t", node_id="h1")


SSD = {"task": {"Placement": {"Constraints": ["node.labels.ssd == yes"]}}}


@pytest.mark.parametrize(
    ("before", "after", "drift", "clean"),
    [
        ({}, {}, Drift.SAME, True),
        ({}, {"task": {"RestartPolicy": {"MaxAttempts": 0}}}, Drift.SAME, True),
        ({}, {"image": "app:2"}, Drift.OTHER, False),
        ({}, {"ports": [80]}, Drift.OTHER, False),
        ({}, {"task": {"ForceUpdate": 1}}, Drift.OTHER, False),
        ({}, SSD, Drift.PLACEMENT, False),
        (SSD, {}, Drift.PLACEMENT, True),
        (SSD, {"image": "app:2"}, Drift.OTHER, False),
    ],
)
def test_drift_is_judged_by_meaning(before: dict, after: dict, drift: Drift, clean: bool) -> None:
    judge, old = revision(before, after)
    assert judge.drift(old) is drift
    assert judge.clean(old) is clean


def test_a_task_without_a_node_is_not_clean_when_the_placement_changed() -> None:
    judge, old = revision(SSD, {})
    assert not judge.clean(dataclasses.replace(old, node_id=""))


def test_platforms_know_both_names_of_an_architecture() -> None:
    arm = spec(task={"Placement": {"Platforms": [{"Architecture": "arm64", "OS": "linux"}]}}).task
    intel = spec(task={"Placement": {"Platforms": [{"Architecture": "amd64"}]}}).task
    assert placement_fits(node("a", architecture="aarch64"), arm)
    assert not placement_fits(node("a", architecture="x86_64"), arm)
    assert placement_fits(node("a", architecture="x86_64"), intel)
