# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Null and absent, and waiting."""

from __future__ import annotations

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _resource
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine
from ansible_collections.queenright.swarm.plugins.module_utils._resource import WaitError, _pruned, wait
from ansible_collections.queenright.swarm.plugins.modules import swarm_service


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"image": "a"}, {"image": "a"}),
        ({"image": None}, {"image": None}),
        ({"replicas": "3"}, {"replicas": 3}),
        ({"replicas": 0}, {"replicas": 0}),
        ({"tty": "yes"}, {"tty": True}),
        ({"labels": {}}, {"labels": {}}),
        ({"labels": {"a": None}}, {"labels": {"a": None}}),
        ({"limits": {"memory": None}}, {"limits": {"memory": None}}),
        ({"limits": {"memory": "64M"}}, {"limits": {"memory": "64M"}}),
        ({"limits": {}}, {"limits": {}}),
        ({"limits": None}, {"limits": None}),
        ({"healthcheck": {"test": ["NONE"]}}, {"healthcheck": {"test": ["NONE"]}}),
        ({"publish": [{"target_port": "80", "mode": "host"}]}, {"publish": [{"target_port": 80, "mode": "host"}]}),
        ({"publish": []}, {"publish": []}),
        (
            {"mounts": [{"target": "/d", "volume": {"no_copy": True, "labels": None}}]},
            {"mounts": [{"target": "/d", "volume": {"no_copy": True, "labels": None}}]},
        ),
        ({"args": ["a", 1]}, {"args": ["a", "1"]}),
        ({"env": {"A": 1}}, {"env": {"A": 1}}),
        ({"env": ["A=1"]}, {"env": ["A=1"]}),
    ],
)
def test_what_the_task_mentions_is_sent_and_nothing_else(manager, run_module, given, sent) -> None:
    run_module(swarm_service, check=True, socket=manager.socket, name="web", **given)
    [body] = manager.called("/queenright/v1/apply")
    assert body["options"] == sent


def test_a_dictionary_given_as_text_has_no_nulls_of_its_own() -> None:
    assert _pruned({"cpus": 0.5, "memory": None}, "cpus=0.5") == {"cpus": 0.5}


def _waits(manager, *answers):
    manager.waits = list(answers)
    return Engine(manager.socket)


def test_waiting_ends_when_it_has_converged(manager) -> None:
    engine = _waits(manager, {"converged": False, "state": "timeout"}, {"converged": True, "state": "converged"})
    assert wait(engine, "service", "web", 60)["converged"]
    assert [call[2]["timeout"] for call in manager.calls] == ["30", "30"]


def test_the_last_slice_of_waiting_is_what_is_left(manager, monkeypatch) -> None:
    monkeypatch.setattr(_resource, "WAIT_SLICE", 4.0)
    engine = _waits(manager, *[{"converged": False, "state": "timeout"}] * 3)
    with pytest.raises(WaitError):
        wait(engine, "service", "web", 10)
    assert [call[2]["timeout"] for call in manager.calls] == ["4", "4", "2"]


def test_what_is_gone_is_not_waited_for(manager) -> None:
    assert wait(_waits(manager, {"converged": False, "state": "absent"}), "service", "web", 60)["state"] == "absent"


@pytest.mark.parametrize(
    ("state", "words"), [("paused", "service web: the update is paused"), ("rolled_back", "was rolled back")]
)
def test_an_update_that_failed_is_not_waited_for(manager, state, words) -> None:
    last = {
        "converged": False,
        "state": state,
        "running": 1,
        "desired": 3,
        "update": {"state": state, "message": "update paused due to failure"},
        "reasons": [f"task web.{slot}: no such image" for slot in range(1, 8)],
    }
    with pytest.raises(WaitError) as caught:
        wait(_waits(manager, last), "service", "web", 600)
    assert len(manager.calls) == 1
    text = str(caught.value)
    assert words in text
    assert "update paused due to failure (1 of 3 running): task web.1: no such image; task web.2" in text
    assert "(and 2 more)" in text
    assert caught.value.reasons == last["reasons"]


def test_a_job_that_will_not_complete_is_not_waited_for(manager) -> None:
    reason = "task job.1 on node h1: failed: task: non-zero exit (3); not restarted: the restart condition is none"
    last = {"converged": False, "state": "failed", "running": 1, "desired": 3, "reasons": [reason]}
    with pytest.raises(WaitError) as caught:
        wait(_waits(manager, last), "service", "job", 600)
    assert len(manager.calls) == 1
    assert str(caught.value) == "service job: the job will not complete (1 of 3 completed): " + reason


def test_the_reasons_are_told_when_the_time_is_over(manager) -> None:
    last = {"converged": False, "state": "timeout", "reasons": ["task web.1: no suitable node (host port in use)"]}
    with pytest.raises(WaitError, match=r"not there after 1 s: task web.1: no suitable node \(host port in use\)"):
        wait(_waits(manager, last), "service", "web", 1)
