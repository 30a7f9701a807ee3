# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several managers, one module at a time: joining, promoting, demoting, leaving, removing, going on alone."""

from __future__ import annotations

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _managers, _resource
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine
from ansible_collections.queenright.swarm.plugins.modules import (
    swarm_info,
    swarm_init,
    swarm_join,
    swarm_leave,
    swarm_node,
    swarm_node_info,
    swarm_service,
    swarm_service_info,
)
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import NO_LEADER, FakeRuntime, FakeSwarm


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(_managers, "PAUSE", 0.01)
    monkeypatch.setattr(_managers, "QUORUM_PATIENCE", 0.05)
    monkeypatch.setattr(_resource, "PAUSE", 0.01)
    monkeypatch.setattr(_resource, "ELECTION", 0.05)


@pytest.fixture
def three(new_runtime) -> list[FakeRuntime]:
    """Three managers of one swarm; the first leads."""
    swarm = FakeSwarm("swarm1")
    FakeRuntime.known["swarm1"] = swarm
    return [new_runtime(name).become(swarm, "manager") for name in ("h1", "h2", "h3")]


# -- joining


def test_a_host_that_joins_as_a_manager_waits_until_it_is_a_voter(new_runtime, three, run_module) -> None:
    joiner = new_runtime("h4")
    joiner.learning = 4
    options = {"join_token": three[0].swarm.tokens["Manager"], "remote_addrs": ["h1"], "role": "manager"}
    done = run_module(swarm_join, socket=joiner.socket, **options)
    assert (done["changed"], done["role"], joiner.learning) == (True, "manager", 0)


def test_a_host_that_does_not_become_a_voter_says_why(new_runtime, three, run_module) -> None:
    joiner = new_runtime("h4")
    joiner.learning = 10**6
    options = {"join_token": three[0].swarm.tokens["Manager"], "remote_addrs": ["h1"], "role": "manager"}
    done = run_module(swarm_join, socket=joiner.socket, wait_timeout=1, **options)
    assert done["failed"]
    assert done["msg"] == "this host is no manager after 1 s: the leader has not taken it among the voters yet"
    assert run_module(swarm_join, socket=joiner.socket, role="manager", wait=False)["changed"] is False


# -- promoting and demoting


def test_a_node_is_promoted_and_demoted_once(three, worker_of, triple) -> None:
    worker = worker_of(three[0])
    promoted, _again = triple(swarm_node, socket=three[0].socket, name="h9", role="manager")
    assert promoted["changes"] == {"Role": {"before": "worker", "after": "manager"}}
    assert worker.role == "manager"
    triple(swarm_node, socket=three[1].socket, name="h9", role="worker")
    assert worker.role == "worker"


@pytest.fixture
def worker_of(new_runtime):
    return lambda manager: new_runtime("h9").become(manager.swarm, "worker")


def test_a_promotion_is_waited_for_until_the_node_is_a_voter(three, worker_of, run_module) -> None:
    worker_of(three[0])
    three[0].learners = {"nodeh9"}
    result = run_module(swarm_node, socket=three[0].socket, name="h9", role="manager", wait_timeout=1)
    assert result["failed"]
    assert "node nodeh9 is no manager after 1 s: it is not among the voters yet" in result["msg"]
    quick = run_module(swarm_node, socket=three[0].socket, name="h9", role="manager", wait=False)
    assert "progress" not in quick
    three[0].learners = set()
    assert run_module(swarm_node, socket=three[0].socket, name="h9", role="manager")["progress"]["converged"]


def test_a_manager_demotes_itself_and_ends_as_a_worker(three, run_module) -> None:
    result = run_module(swarm_node, socket=three[1].socket, role="worker")
    assert (result["changed"], three[1].role) == (True, "worker")
    assert result["progress"] == {"converged": True, "state": "converged"}
    again = run_module(swarm_node, socket=three[1].socket, role="worker")
    assert (again["needs_manager"], again["node_id"]) == (True, "nodeh2"), "another manager is asked from now on"


@pytest.mark.parametrize("check", [True, False])
def test_the_last_manager_stays_one_in_check_mode_too(manager, run_module, check) -> None:
    result = run_module(swarm_node, check=check, socket=manager.socket, role="worker")
    assert result["failed"]
    assert "attempting to demote the last manager of the swarm. Promote another node first" in result["msg"]
    assert manager.role == "manager"


@pytest.mark.parametrize("check", [True, False])
def test_a_demotion_that_loses_the_quorum_is_refused_in_check_mode_too(three, run_module, check) -> None:
    three[0].swarm.silent.add("nodeh3")
    result = run_module(swarm_node, check=check, socket=three[0].socket, name="h2", role="worker")
    assert result["failed"]
    assert "without a quorum" in result["msg"]
    assert not run_module(swarm_node, socket=three[0].socket, name="h3", role="worker", wait=False).get("failed")


# -- removing


def test_a_lost_manager_is_demoted_and_removed_in_one_step(three, run_module, triple) -> None:
    swarm, key = three[0].swarm, three[2].node_id
    three[2].lose_state()
    for check in (True, False):
        result = run_module(swarm_node, check=check, socket=three[0].socket, name=key, state="absent")
        assert result["failed"]
        assert "must be demoted" in result["msg"]
        assert "Set demote to have that done first" in result["msg"]
    done, _again = triple(swarm_node, socket=three[0].socket, name=key, state="absent", demote=True)
    assert done["actions"] == ["demote node h3", "remove node h3"]
    assert key not in swarm.nodes


def test_a_manager_that_is_not_down_is_not_even_demoted(three, run_module) -> None:
    for check in (True, False):
        result = run_module(swarm_node, check=check, socket=three[0].socket, name="h2", state="absent", demote=True)
        assert result["failed"]
        assert "is not down" in result["msg"]
    assert three[1].role == "manager"
    forced = run_module(swarm_node, socket=three[0].socket, name="h2", state="absent", demote=True, force=True)
    assert forced["changed"]


def test_a_manager_does_not_remove_itself(three, run_module) -> None:
    result = run_module(swarm_node, socket=three[0].socket, name="h1", state="absent", demote=True, force=True)
    assert "let it leave with queenright.swarm.swarm_leave" in result["msg"]
    assert three[0].role == "manager"


def test_a_worker_and_a_stranger_are_removed_as_ever(three, worker_of, run_module) -> None:
    worker_of(three[0]).lose_state()
    done = run_module(swarm_node, socket=three[0].socket, name="h9", state="absent", demote=True)
    assert done["actions"] == ["remove node h9"]
    assert not run_module(swarm_node, socket=three[0].socket, name="h9", state="absent", demote=True)["changed"]


# -- leaving


def test_a_manager_hands_over_before_it_leaves(three, triple) -> None:
    swarm = three[2].swarm
    done, _again = triple(swarm_leave, socket=three[2].socket)
    assert done["actions"] == ["demote this host", "leave swarm swarm1"]
    assert swarm.voters == ["nodeh1", "nodeh2"]
    assert "nodeh3" in swarm.down


def test_managers_leave_one_after_another_but_the_last_one_by_force_alone(three, run_module) -> None:
    for host in three[:2]:
        assert run_module(swarm_leave, socket=host.socket)["changed"]
    for check in (True, False):
        result = run_module(swarm_leave, check=check, socket=three[2].socket)
        assert result["failed"]
        assert "the last manager of swarm swarm1: when it leaves, all state of the swarm is gone" in result["msg"]
    assert run_module(swarm_leave, socket=three[2].socket, force=True)["changed"]


def test_a_manager_without_a_quorum_leaves_by_force_alone(three, run_module) -> None:
    three[0].cut = True
    result = run_module(swarm_leave, socket=three[0].socket)
    assert result["failed"]
    assert "cannot hand over, so it stays in swarm swarm1" in result["msg"]
    assert three[0].swarm is not None
    assert run_module(swarm_leave, socket=three[0].socket, force=True)["state"] == "inactive"


# -- going on alone


def test_a_survivor_goes_on_alone_once(three, run_module, triple) -> None:
    three[0].cut = True
    done, again = triple(swarm_init, socket=three[0].socket, force_new_cluster=True)
    assert done["actions"] == ["go on with this manager alone"]
    assert (again["changed"], three[0].swarm.voters) == (False, ["nodeh1"])
    assert len([body for body in three[0].called("/swarm/init") if body.get("ForceNewCluster")]) == 1


def test_what_else_is_declared_is_done_after_going_on_alone(three, run_module) -> None:
    three[0].cut = True
    done = run_module(swarm_init, socket=three[0].socket, force_new_cluster=True, task_history_retention_limit=3)
    assert done["actions"] == ["go on with this manager alone", "update the swarm"]
    assert done["swarm"]["Orchestration"] == {"TaskHistoryRetentionLimit": 3}
    [body] = three[0].called("/swarm/init")
    assert body == {"ForceNewCluster": True}


def test_a_swarm_with_a_quorum_is_not_forced(three, run_module) -> None:
    result = run_module(swarm_init, socket=three[0].socket, force_new_cluster=True)
    assert not result["changed"]
    assert three[0].called("/swarm/init") == []


@pytest.mark.parametrize("fixture", ["runtime", "worker"])
def test_there_must_be_something_to_go_on_with(fixture, request, run_module) -> None:
    result = run_module(swarm_init, socket=request.getfixturevalue(fixture).socket, force_new_cluster=True)
    assert result["failed"]
    assert result["msg"].startswith("force_new_cluster: this host is")


# -- looking, and managers that are cut off


def test_a_manager_shows_how_the_managers_agree(three, run_module) -> None:
    three[0].swarm.silent.add("nodeh3")
    for module in (swarm_info, swarm_node_info):
        result = run_module(module, socket=three[1].socket)
        assert result["leader"] == {"node_id": "nodeh1", "addr": "h1:2377"}
        assert (result["has_quorum"], result["stale"]) == (True, False)
        silent = [one["addr"] for one in result["raft"]["members"] if not one["reachable"]]
        assert silent == ["h3:2377"]
    three[1].cut = True
    for module in (swarm_info, swarm_node_info):
        result = run_module(module, socket=three[1].socket)
        assert (result["leader"], result["has_quorum"], result["stale"]) == ({}, False, True)
    assert run_module(swarm_service_info, socket=three[1].socket)["stale"]


def test_outside_of_the_managers_there_is_no_agreement(new_runtime, worker, run_module) -> None:
    for host in (worker, new_runtime("h5")):
        result = run_module(swarm_info, socket=host.socket)
        assert (result["leader"], result["has_quorum"], result["stale"], result["raft"]) == ({}, False, False, {})


def test_an_election_is_waited_for(three, run_module, monkeypatch) -> None:
    monkeypatch.setattr(_resource, "ELECTION", 60.0)
    for _ in range(3):
        three[0].refuse("/queenright/v1/apply", 503, NO_LEADER)
    assert run_module(swarm_service, socket=three[0].socket, name="web", image="a")["changed"]


def test_a_change_keeps_its_name_though_a_leader_is_elected_while_it_is_waited_for(three, run_module) -> None:
    three[0].refuse("/queenright/v1/wait", 503, NO_LEADER)
    result = run_module(swarm_service, socket=three[0].socket, name="web", image="a")
    assert (result["changed"], result["progress"]["converged"]) == (True, True)
    assert len(three[0].called("/queenright/v1/apply")) == 1


def test_a_change_of_unknown_outcome_is_not_repeated_but_told(three, run_module) -> None:
    three[0].unknown = True
    three[0].refuse("/queenright/v1/apply", 503, NO_LEADER)
    result = run_module(swarm_service, socket=three[0].socket, name="web", image="a")
    assert result["failed"]
    assert not result["needs_manager"]
    assert len(three[0].called("/queenright/v1/apply")) == 1


def test_where_no_leader_comes_another_manager_may_know_one(three, run_module) -> None:
    three[0].cut = True
    result = run_module(swarm_service, socket=three[0].socket, name="web", image="a")
    assert result["failed"]
    assert result["needs_manager"]
    assert "does not have a leader" in result["msg"]


def test_an_engine_remembers_that_an_answer_was_stale(three) -> None:
    engine = Engine(three[0].socket)
    engine.get("/nodes")
    assert not engine.stale
    three[0].cut = True
    engine.get("/nodes")
    assert engine.stale
