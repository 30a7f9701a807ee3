# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_service, swarm_node, swarm_ca and the modules that only look, each on one host."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _authority, _resource
from ansible_collections.queenright.swarm.plugins.modules import (
    swarm_ca,
    swarm_node,
    swarm_node_info,
    swarm_service,
    swarm_service_info,
)
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import RefusalError

NOWHERE = "/run/queenright-of-no-host/e.sock"


# -- swarm_service


def test_a_service_is_created_changed_and_removed_once(manager, triple) -> None:
    where = {"socket": manager.socket, "name": "web"}
    done, _again = triple(swarm_service, image="nginx:1", env={"A": 1}, limits={"memory": "64M", "cpus": 0.5}, **where)
    assert done["diff"]["before"] == {}
    done, _again = triple(swarm_service, replicas=3, **where)
    assert list(done["changes"]) == ["Mode.Replicated.Replicas"]
    container = done["service"]["TaskTemplate"]["ContainerSpec"]
    assert (container["Image"], container["Env"]) == ("nginx:1", ["A=1"])
    done, _again = triple(swarm_service, limits={"memory": None}, **where)
    assert done["service"]["TaskTemplate"]["Resources"]["Limits"] == {"NanoCPUs": 500000000}
    done, again = triple(swarm_service, state="absent", **where)
    assert (done["service"], again["actions"]) == ({}, [])


def test_a_service_is_waited_for_even_if_nothing_changed(manager, run_module) -> None:
    options = {"socket": manager.socket, "name": "web", "image": "nginx"}
    assert run_module(swarm_service, **options)["progress"]["converged"]
    manager.waits = [{"converged": False, "state": "timeout", "reasons": ["task web.1: no such image"]}]
    again = run_module(swarm_service, wait_timeout=1, **options)
    assert again["failed"]
    assert again["msg"] == "service web: not there after 1 s: task web.1: no such image"
    assert again["reasons"] == ["task web.1: no such image"]
    quick = run_module(swarm_service, wait=False, **options)
    assert not quick["changed"]
    assert "progress" not in quick


def test_nothing_is_waited_for_in_check_mode(manager, run_module) -> None:
    result = run_module(swarm_service, check=True, socket=manager.socket, name="web", image="nginx")
    assert result["changed"]
    assert not [call for call in manager.calls if call[1] == "/queenright/v1/wait"]


def test_check_and_diff_mode_say_what_becomes_of_tasks(manager, run_module) -> None:
    one = {"name": "web", "created": 2, "stopped": 0, "batches": [], "unplaced": []}
    manager.forecast = {
        "complete": True,
        "services": [dict(one, serving={"before": 0, "fewest": 0, "after": 2})],
    }
    options = {"socket": manager.socket, "name": "web", "image": "nginx", "wait": False}
    foreseen = run_module(swarm_service, check=True, diff=False, **options)
    assert foreseen["forecast"] == manager.forecast
    assert "prepared" not in foreseen["diff"]
    foreseen = run_module(swarm_service, check=True, **options)
    assert foreseen["diff"]["prepared"] == "service web: 2 tasks made; 0 serve now, 2 at the end\n"
    done = run_module(swarm_service, **options)
    assert done["diff"] == foreseen["diff"]
    again = run_module(swarm_service, check=True, **options)
    assert not again["changed"]
    assert "forecast" not in again
    assert "prepared" not in again["diff"]


def test_a_paused_update_fails_the_task_with_its_reasons(manager, run_module) -> None:
    reasons = ["task web.2 on node h2: exited with 1"]
    manager.waits = [{"converged": False, "state": "paused", "running": 1, "desired": 2, "reasons": reasons}]
    result = run_module(swarm_service, socket=manager.socket, name="web", image="bad")
    assert result["failed"]
    assert result["msg"] == "service web: the update is paused (1 of 2 running): task web.2 on node h2: exited with 1"


@pytest.mark.parametrize(("running", "fails"), [(2, False), (1, True)])
def test_a_service_rolled_back_before_is_as_declared_if_it_runs(manager, run_module, running, fails) -> None:
    options = {"socket": manager.socket, "name": "web", "image": "good"}
    run_module(swarm_service, **options)
    manager.waits = [{"converged": False, "state": "rolled_back", "running": running, "desired": 2}]
    assert bool(run_module(swarm_service, **options).get("failed")) == fails


def test_a_rollback_of_this_very_change_fails_the_task(manager, run_module) -> None:
    manager.waits = [{"converged": False, "state": "rolled_back", "running": 2, "desired": 2}]
    result = run_module(swarm_service, socket=manager.socket, name="web", image="bad")
    assert result["failed"]
    assert "was rolled back" in result["msg"]


def test_credentials_travel_in_the_form_of_the_engine_and_are_not_shown(manager, run_module) -> None:
    registry = {"username": "bob", "password": "s3cr3t-word", "server": "r.example.com"}
    result = run_module(swarm_service, socket=manager.socket, name="web", image="r.example.com/a", registry=registry)
    auth = manager.called("/queenright/v1/apply")[0]["context"]["registry_auth"]
    assert json.loads(base64.urlsafe_b64decode(auth)) == {
        "username": "bob",
        "password": "s3cr3t-word",
        "serveraddress": "r.example.com",
    }
    assert "s3cr3t-word" not in str(result)
    again = run_module(swarm_service, socket=manager.socket, name="web", registry=registry)
    assert not again["changed"]
    run_module(swarm_service, socket=manager.socket, name="web", replicas=2)
    assert "registry_auth" not in manager.called("/queenright/v1/apply")[-1]["context"]
    run_module(swarm_service, socket=manager.socket, name="web", registry=None)
    assert manager.called("/queenright/v1/apply")[-1]["context"]["registry_auth"] is None


def test_when_a_tag_is_made_into_a_digest_is_said_to_the_runtime(manager, run_module) -> None:
    run_module(swarm_service, socket=manager.socket, name="web", image="app:1")
    run_module(swarm_service, socket=manager.socket, name="web", image="app:1", resolve_image="always")
    said = [call["context"]["resolve_image"] for call in manager.called("/queenright/v1/apply")]
    assert said == ["changed", "always"]


def test_a_service_is_foreseen_where_there_is_no_swarm(new_runtime, runtime, run_module) -> None:
    for socket in (NOWHERE, runtime.socket):
        result = run_module(swarm_service, check=True, socket=socket, name="web", image="nginx", replicas=2)
        assert (result["changed"], result["foreseen"], result["needs_manager"]) == (True, True, True)
        assert result["service"]["Name"] == "web"
        assert result["diff"]["after"]["Mode"] == {"Replicated": {"Replicas": 2}}
        gone = run_module(swarm_service, check=True, socket=socket, name="web", state="absent")
        assert not gone["changed"]


@pytest.mark.parametrize("fixture", ["runtime", "worker"])
def test_who_is_no_manager_says_what_to_do(fixture, request, run_module) -> None:
    result = run_module(swarm_service, socket=request.getfixturevalue(fixture).socket, name="web", image="nginx")
    assert result["failed"]
    assert result["needs_manager"]
    assert "Run this task on a manager" in result["msg"]


def test_a_value_that_cannot_be_is_named_with_its_path(manager, run_module) -> None:
    result = run_module(swarm_service, socket=manager.socket, name="web", limits={"memory": "much"})
    assert result["failed"]
    assert result["msg"].startswith("limits.memory: 'much' is no size")


def test_a_manager_that_is_just_starting_is_given_a_moment(manager, run_module, monkeypatch) -> None:
    monkeypatch.setattr(_resource, "PAUSE", 0.01)
    starting = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
    for _ in range(3):
        manager.refuse("/queenright/v1/apply", 503, starting)
    assert run_module(swarm_service, socket=manager.socket, name="web", image="a")["changed"]
    monkeypatch.setattr(_resource, "PATIENCE", 0.0)
    manager.refuse("/queenright/v1/apply", 503, starting)
    result = run_module(swarm_service, socket=manager.socket, name="web", image="b")
    assert result["failed"]
    assert result["needs_manager"]


# -- swarm_node


def test_a_node_is_changed_once(manager, worker, triple) -> None:
    done, _again = triple(swarm_node, socket=manager.socket, name="h2", labels={"zone": "a"})
    assert done["changes"] == {"Labels.zone": {"before": None, "after": "a"}}
    done, _again = triple(swarm_node, socket=manager.socket, name="h2", labels={"disk": "ssd"}, availability="drain")
    assert done["node"]["Labels"] == {"zone": "a", "disk": "ssd"}
    done, _again = triple(swarm_node, socket=manager.socket, name="nodeh2", labels={"zone": None})
    assert done["node"]["Labels"] == {"disk": "ssd"}


def test_a_manager_means_its_own_node(manager, run_module) -> None:
    assert run_module(swarm_node, socket=manager.socket, labels={"a": "b"})["id"] == "nodeh1"


def test_a_worker_hands_its_node_id_on(worker, run_module) -> None:
    result = run_module(swarm_node, socket=worker.socket, labels={"a": "b"})
    assert (result["failed"], result["needs_manager"], result["node_id"]) == (True, True, "nodeh2")


def test_a_drained_node_is_waited_for_until_it_runs_nothing(manager, run_module) -> None:
    run_module(swarm_node, socket=manager.socket, availability="drain")
    assert manager.calls[-1][2]["drained"] == "1"
    run_module(swarm_node, socket=manager.socket, availability="active")
    assert "drained" not in manager.calls[-1][2]


def test_a_node_that_is_not_down_is_removed_only_by_force(manager, worker, run_module, triple) -> None:
    result = run_module(swarm_node, socket=manager.socket, name="h2", state="absent")
    assert result["failed"]
    assert "is not down. Take the host out with queenright.swarm.swarm_leave first, or set force" in result["msg"]
    triple(swarm_node, socket=manager.socket, name="h2", state="absent", force=True)


def test_a_node_that_does_not_exist_is_an_error_unless_it_shall_be_absent(manager, run_module) -> None:
    result = run_module(swarm_node, socket=manager.socket, name="h9", labels={"a": "b"})
    assert result["failed"]
    assert "node h9 not found: a node is named by its id or its host name" in result["msg"]
    assert not run_module(swarm_node, socket=manager.socket, name="h9", state="absent")["changed"]


def test_the_node_of_a_host_in_no_swarm_is_foreseen_or_refused(new_runtime, run_module) -> None:
    result = run_module(swarm_node, check=True, socket=NOWHERE, labels={"a": "b"})
    assert (result["changed"], result["foreseen"], result["needs_manager"]) == (True, True, False)
    assert run_module(swarm_node, check=True, socket=NOWHERE, name="h2", labels={"a": "b"})["needs_manager"]
    real = run_module(swarm_node, socket=new_runtime("h5").socket, labels={"a": "b"})
    assert real["failed"]
    assert "join it with queenright.swarm.swarm_join first" in real["msg"]


# -- swarm_ca


def test_the_ca_shows_the_root_and_no_token(manager, run_module) -> None:
    result = run_module(swarm_ca, socket=manager.socket)
    assert result["root_certificate"].startswith("-----BEGIN")
    assert result["root_digest"].startswith("sha256:")
    assert not result["changed"]
    assert "SWMTKN" not in str(result)


def test_one_token_is_rotated_and_the_other_stays(manager, run_module) -> None:
    before = dict(manager.swarm.tokens)
    foreseen = run_module(swarm_ca, check=True, socket=manager.socket, rotate_worker_token=True)
    assert manager.swarm.tokens == before
    done = run_module(swarm_ca, socket=manager.socket, rotate_worker_token=True, return_join_tokens=True)
    assert foreseen["actions"] == done["actions"] == ["rotate the join token of workers"]
    assert foreseen["changed"]
    assert done["changed"]
    assert done["join_tokens"] == {"worker": "SWMTKN-1-root-workersecret1", "manager": before["Manager"]}


def test_a_rotation_is_tried_again_when_somebody_else_wrote(manager, run_module) -> None:
    manager.refusals["/swarm/update"] = [
        RefusalError(500, "rpc error: code = Unknown desc = update out of sequence")
    ] * 2
    assert run_module(swarm_ca, socket=manager.socket, rotate_manager_token=True)["changed"]
    assert manager.swarm.tokens["Manager"].endswith("1")
    manager.refusals["/swarm/update"] = [RefusalError(500, "the log is full")]
    assert run_module(swarm_ca, socket=manager.socket, rotate_manager_token=True)["msg"] == "the log is full"


def test_the_validity_of_certificates_is_set_once(manager, triple) -> None:
    done, _again = triple(swarm_ca, socket=manager.socket, node_cert_expiry="24h")
    assert done["changes"] == {"CAConfig.NodeCertExpiry": {"before": None, "after": 86400 * 10**9}}
    triple(swarm_ca, socket=manager.socket, node_cert_expiry=None)


def test_the_root_is_replaced_and_waited_for(manager, run_module, monkeypatch) -> None:
    monkeypatch.setattr(_authority, "LOOK_EVERY", 0.01)
    before = manager.swarm.root
    foreseen = run_module(swarm_ca, check=True, socket=manager.socket, rotate=True)
    assert (foreseen["changed"], manager.swarm.root) == (True, before)
    done = run_module(swarm_ca, socket=manager.socket, rotate=True)
    assert foreseen["actions"] == done["actions"] == ["rotate the root certificate"]
    assert done["root_certificate"] == manager.swarm.root != before
    assert done["rotation"] == {} and not manager.swarm.rotations


def test_a_root_is_brought_along_once_and_its_key_is_never_shown(manager, run_module) -> None:
    root = {"ca_cert": "-----BEGIN MINE-----", "ca_key": "hush-hush"}
    done = run_module(swarm_ca, socket=manager.socket, wait=False, **root)
    again = run_module(swarm_ca, socket=manager.socket, wait=False, **root)
    assert (done["changed"], again["changed"]) == (True, False)
    assert "hush-hush" not in str(done)


def test_who_has_not_turned_in_time_is_named(manager, run_module, monkeypatch) -> None:
    monkeypatch.setattr(_authority, "LOOK_EVERY", 0.01)
    manager.swarm.looks = 10_000
    failed = run_module(swarm_ca, socket=manager.socket, rotate=True, wait_timeout=0)
    assert failed["failed"] and "1 of 2 nodes have turned" in failed["msg"]
    assert failed["reasons"] == ["node h2 (ready) has yet to turn"]


def test_a_certificate_is_revoked_once(manager, run_module) -> None:
    foreseen = run_module(swarm_ca, check=True, socket=manager.socket, revoke="5f3a01c2")
    assert foreseen["changed"] and not manager.swarm.revoked
    done = run_module(swarm_ca, socket=manager.socket, revoke="5f3a01c2")
    assert done["actions"] == foreseen["actions"] == ["revoke certificate 5f3a01c2 of node nodeh1"]
    assert not run_module(swarm_ca, socket=manager.socket, revoke="5f3a01c2")["changed"]
    assert "no certificate with the serial" in run_module(swarm_ca, socket=manager.socket, revoke="6a")["msg"]


def test_what_is_said_of_the_root_reaches_the_manager_as_it_was_said(manager, run_module) -> None:
    cas = [{"url": "https://ca/sign"}]
    run_module(swarm_ca, socket=manager.socket, external_cas=cas)
    assert manager.called("/queenright/v1/ca")[-1] is None  # the last call only looks
    sent = [body for body in manager.called("/queenright/v1/ca") if body]
    assert sent == [{"external_cas": cas}]


# -- those that only look


def test_services_are_shown_with_their_tasks(manager, run_module) -> None:
    for name in ("web", "db"):
        run_module(swarm_service, socket=manager.socket, name=name, image="a")
    result = run_module(swarm_service_info, socket=manager.socket)
    assert [one["Spec"]["Name"] for one in result["services"]] == ["db", "web"]
    result = run_module(swarm_service_info, check=True, socket=manager.socket, name=["web", "nope"])
    assert [one["ID"] for one in result["services"]] == ["id-web"]
    assert [one["ServiceID"] for one in result["tasks"]] == ["id-web"]
    assert run_module(swarm_service_info, socket=manager.socket, tasks=False)["tasks"] == []
    assert run_module(swarm_service_info, socket=manager.socket, name=[])["services"] == []


def test_services_are_shown_with_where_their_ports_answer(manager, run_module) -> None:
    run_module(swarm_service, socket=manager.socket, name="plain", image="a")
    assert run_module(swarm_service_info, socket=manager.socket)["ports"] == []
    assert "/queenright/v1/mesh" not in [path for _, path, _, _ in manager.calls]
    for name, mode in (("web", "ingress"), ("host", "host")):
        port = {"published_port": 80, "target_port": 80, "mode": mode}
        run_module(swarm_service, socket=manager.socket, name=name, image="a", publish=[port])
    result = run_module(swarm_service_info, socket=manager.socket)
    assert result["ports"] == [{"service": "web", "service_id": "id-web", "ready": True}]
    assert run_module(swarm_service_info, socket=manager.socket, name=["host"])["ports"] == []
    manager.refusals["/queenright/v1/mesh"] = [RefusalError(503, "there is no leader")]
    result = run_module(swarm_service_info, socket=manager.socket)
    assert (len(result["services"]), result["ports"]) == (3, [])


def test_nodes_are_shown(manager, worker, run_module) -> None:
    assert len(run_module(swarm_node_info, socket=manager.socket)["nodes"]) == 2
    result = run_module(swarm_node_info, socket=manager.socket, name=["h2", "h9"])
    assert [one["ID"] for one in result["nodes"]] == ["nodeh2"]


def test_looking_is_possible_in_check_mode_before_there_is_a_swarm(new_runtime, run_module) -> None:
    assert run_module(swarm_service_info, check=True, socket=NOWHERE)["services"] == []
    assert run_module(swarm_node_info, check=True, socket=NOWHERE)["nodes"] == []
    assert run_module(swarm_ca, check=True, socket=NOWHERE)["root_certificate"] == ""
    assert run_module(swarm_node_info, socket=NOWHERE)["failed"]
