# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_init, swarm_join, swarm_leave, swarm_info and swarm_ticket as modules, each on one host."""

from __future__ import annotations

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _membership, _standing
from ansible_collections.queenright.swarm.plugins.modules import (
    swarm_info,
    swarm_init,
    swarm_join,
    swarm_leave,
    swarm_ticket,
)
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeRuntime, FakeSwarm

NOWHERE = "/run/queenright-of-no-host/e.sock"


# -- swarm_init


def test_a_swarm_is_founded_once(runtime, triple) -> None:
    done, again = triple(swarm_init, socket=runtime.socket, task_history_retention_limit=9, node_cert_expiry="24h")
    assert done["cluster_id"] == again["cluster_id"] == "swarm-of-h1"
    assert done["role"] == "manager"
    assert again["swarm"]["Orchestration"] == {"TaskHistoryRetentionLimit": 9}
    assert again["swarm"]["CAConfig"] == {"NodeCertExpiry": 86400 * 10**9}


def test_founding_sends_what_was_given_and_nothing_else(runtime, run_module) -> None:
    run_module(
        swarm_init,
        socket=runtime.socket,
        advertise_addr="192.0.2.1",
        default_addr_pool=["10.9.0.0/16"],
        subnet_size=26,
        availability="drain",
        labels={"a": "b"},
    )
    [body] = runtime.called("/swarm/init")
    spec = body.pop("Spec")
    assert body == {
        "AdvertiseAddr": "192.0.2.1",
        "DefaultAddrPool": ["10.9.0.0/16"],
        "SubnetSize": 26,
        "Availability": "drain",
    }
    assert spec["Labels"] == {"a": "b"}


def test_a_live_swarm_is_changed_where_the_task_says_so(manager, triple, run_module) -> None:
    run_module(swarm_init, socket=manager.socket, snapshot_interval=500)
    done, _again = triple(swarm_init, socket=manager.socket, dispatcher_heartbeat_period="7s")
    assert done["changes"] == {"Dispatcher.HeartbeatPeriod": {"before": None, "after": 7 * 10**9}}
    assert done["swarm"]["Raft"] == {"SnapshotInterval": 500}
    done, _again = triple(swarm_init, socket=manager.socket, dispatcher_heartbeat_period=None)
    assert done["swarm"]["Dispatcher"] == {}


def test_what_is_settled_at_the_founding_cannot_be_changed(manager, run_module) -> None:
    same = run_module(swarm_init, socket=manager.socket, subnet_size=24, default_addr_pool=["10.0.0.0/8"])
    assert not same["changed"]
    other = run_module(swarm_init, socket=manager.socket, subnet_size=25)
    assert other["failed"]
    assert "cannot be changed on a live swarm: subnet_size" in other["msg"]


FIRST = {"key": "-----BEGIN KEY-----\nc2VjcmV0\n", "certificate": "own", "root_certificate": "root"}
AUTHORITY = {"url": "https://ca.example/sign", "ca_cert": "root"}


def test_a_swarm_is_founded_below_an_external_ca(runtime, triple) -> None:
    done, _again = triple(swarm_init, socket=runtime.socket, external_cas=[AUTHORITY], first_manager=FIRST)
    [body] = runtime.called("/swarm/init")
    assert body["FirstManager"] == {"Key": FIRST["key"], "Certificate": "own", "RootCertificate": "root"}
    assert body["Spec"]["CAConfig"] == {"ExternalCAs": [{"URL": AUTHORITY["url"], "CACert": "root"}]}
    assert "c2VjcmV0" not in str(done)
    assert done["diff"]["after"] == {"Spec": body["Spec"]}


def test_external_cas_of_a_live_swarm_become_what_is_declared(manager, triple) -> None:
    done, _again = triple(swarm_init, socket=manager.socket, external_cas=[AUTHORITY], first_manager=FIRST)
    assert done["actions"] == ["change the external CAs"]
    assert done["changes"] == {"CAConfig.ExternalCAs": {"before": [], "after": [AUTHORITY]}}
    assert not manager.called("/swarm/init")
    done, _again = triple(swarm_init, socket=manager.socket, external_cas=None)
    assert done["changes"] == {"CAConfig.ExternalCAs": {"before": [AUTHORITY], "after": []}}
    assert {"external_cas": []} in manager.called("/queenright/v1/ca")


def test_half_an_identity_is_refused(runtime, run_module) -> None:
    half = {"certificate": "own", "root_certificate": "root"}
    result = run_module(swarm_init, socket=runtime.socket, external_cas=[AUTHORITY], first_manager=half)
    assert result["failed"] and "missing required arguments: key found in first_manager" in result["msg"]
    assert not runtime.called("/swarm/init")


def test_a_worker_founds_no_swarm(worker, run_module) -> None:
    result = run_module(swarm_init, socket=worker.socket)
    assert result["failed"]
    assert "worker of swarm swarm1: promote it with queenright.swarm.swarm_node" in result["msg"]


def test_founding_is_foreseen_without_a_runtime(new_runtime, run_module) -> None:
    result = run_module(swarm_init, check=True, socket=NOWHERE, advertise_addr="192.0.2.1")
    assert (result["changed"], result["foreseen"], result["state"]) == (True, True, "absent")
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["AdvertiseAddr"] == "192.0.2.1"
    real = run_module(swarm_init, socket=NOWHERE)
    assert real["failed"]
    assert "swarm_runtime" in real["msg"]


def test_a_stopped_runtime_of_a_member_is_not_an_absent_one(new_runtime, run_module, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_standing, "STATE_DIR", str(tmp_path))
    (tmp_path / "state.json").write_text("{}")
    for module in (swarm_init, swarm_join, swarm_info, swarm_leave):
        for check in (True, False):
            result = run_module(module, check=check, socket=NOWHERE)
            assert result["failed"], module
            assert "start the service queenright" in result["msg"]


def test_a_duration_that_is_none_is_named(runtime, run_module) -> None:
    result = run_module(swarm_init, socket=runtime.socket, node_cert_expiry="long")
    assert result["failed"]
    assert result["msg"].startswith("node_cert_expiry: 'long' is no duration")
    assert runtime.swarm is None


# -- swarm_join


def test_a_host_joins_with_a_token_once(new_runtime, manager, triple) -> None:
    FakeRuntime.known["swarm1"] = manager.swarm
    joiner = new_runtime("h2")
    token = manager.swarm.tokens["Worker"]
    done, again = triple(swarm_join, socket=joiner.socket, join_token=token, remote_addrs=["h1:2377"])
    assert done["cluster_id"] == "swarm1"
    assert again["role"] == "worker"
    assert token not in str(done)


def test_a_host_without_a_ticket_names_its_key(runtime, run_module) -> None:
    result = run_module(swarm_join, socket=runtime.socket)
    assert (result["changed"], result["key_digest"]) == (False, "sha256:h1")
    assert runtime.called("/swarm/join") == []


def test_checking_makes_no_key(runtime, run_module) -> None:
    result = run_module(swarm_join, check=True, socket=runtime.socket)
    assert (result["changed"], result["foreseen"], result["actions"]) == (True, True, ["join a swarm as worker"])
    assert runtime.called("/queenright/v1/join/key") == []


@pytest.mark.parametrize(
    ("fixture", "role", "verb"), [("worker", "manager", "promote"), ("manager", "worker", "demote")]
)
def test_another_role_is_no_way_to_join_again(fixture, role, verb, request, run_module) -> None:
    result = run_module(swarm_join, socket=request.getfixturevalue(fixture).socket, role=role)
    assert result["failed"]
    assert f"{verb} it with queenright.swarm.swarm_node (role: {role})" in result["msg"]


def test_a_token_of_the_other_role_is_noticed(new_runtime, manager, run_module) -> None:
    FakeRuntime.known["swarm1"] = manager.swarm
    joiner = new_runtime("h2")
    token = manager.swarm.tokens["Manager"]
    result = run_module(swarm_join, socket=joiner.socket, join_token=token, remote_addrs=["h1"])
    assert result["failed"]
    assert "the join token was one for managers" in result["msg"]
    assert token not in str(result)


def test_a_membership_that_cannot_go_on_is_named(manager, run_module) -> None:
    manager.error = "the certificate expired"
    result = run_module(swarm_join, socket=manager.socket)
    assert result["failed"]
    assert "the certificate expired" in result["msg"]
    assert "swarm_leave" in result["msg"]


@pytest.fixture
def joiner(manager, new_runtime, monkeypatch):
    """A host whose join nobody can sign yet."""
    FakeRuntime.known[manager.swarm.cluster_id] = manager.swarm
    monkeypatch.setattr(_membership, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(_standing, "PAUSE", 0.01)
    monkeypatch.setattr(_standing, "PATIENCE", 0.0)
    made = new_runtime("h2")
    made.unsigned = 5
    return made


def _join(run_module, manager, joiner, **more):
    token = manager.swarm.tokens["Worker"]
    return run_module(swarm_join, socket=joiner.socket, join_token=token, remote_addrs=["h1:2377"], **more)


def test_a_host_that_nobody_can_sign_for_is_waited_for(manager, joiner, run_module) -> None:
    done = _join(run_module, manager, joiner)
    assert (done["changed"], done["state"], done["actions"]) == (True, "active", ["join a swarm as worker"])
    again = _join(run_module, manager, joiner)
    assert (again["changed"], again["state"]) == (False, "active")
    assert len(joiner.called("/swarm/join")) == 1


def test_it_is_waited_for_as_long_as_the_task_says_and_goes_on(manager, joiner, run_module) -> None:
    joiner.unsigned = 1000
    late = _join(run_module, manager, joiner, wait_timeout=0)
    assert late["failed"] and "goes on trying: no external CA has signed" in late["msg"]
    assert late["reasons"] == ["no external CA has signed"]
    joiner.pending = 3
    again = _join(run_module, manager, joiner)
    assert (again["changed"], again["state"], len(joiner.called("/swarm/join"))) == (False, "active", 1)


def test_a_task_that_does_not_wait_says_that_the_host_is_pending(manager, joiner, run_module) -> None:
    joiner.unsigned = 3
    done = _join(run_module, manager, joiner, wait=False)
    assert (done["changed"], done["state"]) == (True, "pending")


def test_a_join_that_comes_to_nothing_says_why(manager, joiner, run_module) -> None:
    joiner.refused_in_the_end = True
    result = _join(run_module, manager, joiner)
    assert result["failed"] and "this host could not join: no external CA has signed" in result["msg"]


def test_a_membership_that_is_being_resumed_is_given_a_moment(manager, run_module, monkeypatch) -> None:
    monkeypatch.setattr(_standing, "PAUSE", 0.01)
    manager.pending = 3
    assert not run_module(swarm_init, socket=manager.socket)["changed"]
    monkeypatch.setattr(_standing, "PATIENCE", 0.0)
    manager.pending = 3
    result = run_module(swarm_init, socket=manager.socket)
    assert result["failed"]
    assert "on its way into a swarm" in result["msg"]


# -- swarm_leave


def test_a_worker_leaves_once(worker, triple) -> None:
    done, again = triple(swarm_leave, socket=worker.socket)
    assert done["actions"] == ["leave swarm swarm1"]
    assert again["state"] == "inactive"
    assert worker.called("/queenright/v1/leave") == [{}]


def test_a_manager_leaves_only_by_force(manager, run_module, triple) -> None:
    for check in (True, False):
        result = run_module(swarm_leave, check=check, socket=manager.socket)
        assert result["failed"]
        assert "all state of the swarm is gone" in result["msg"]
    triple(swarm_leave, socket=manager.socket, force=True)


def test_only_the_swarm_that_is_meant_is_left(worker, run_module) -> None:
    result = run_module(swarm_leave, socket=worker.socket, cluster_id="swarm2")
    assert result["failed"]
    assert "in swarm swarm1, not in swarm2" in result["msg"]
    assert run_module(swarm_leave, socket=worker.socket, cluster_id="swarm1")["changed"]


def test_a_broken_membership_is_left_by_force(manager, run_module) -> None:
    manager.error = "the log is damaged"
    manager.role = ""
    assert run_module(swarm_leave, socket=manager.socket, force=True)["changed"]


def test_a_host_without_a_runtime_has_left(new_runtime, run_module) -> None:
    result = run_module(swarm_leave, socket=NOWHERE)
    assert (result["changed"], result["state"]) == (False, "absent")


# -- swarm_info, swarm_ticket


def test_every_host_says_where_it_stands(new_runtime, manager, worker, run_module) -> None:
    hosts = {"absent": NOWHERE, "inactive": new_runtime("h3").socket}
    for state, socket in hosts.items():
        result = run_module(swarm_info, socket=socket)
        assert (result["state"], result["role"], result["swarm"]) == (state, "", {})
        assert result["runtime"]["installed"] == (state == "inactive")
    worker.clock_skew = -1.5
    result = run_module(swarm_info, socket=worker.socket)
    assert (result["role"], result["cluster_id"], result["swarm"]) == ("worker", "swarm1", {})
    assert result["clock_skew"] == -1.5
    result = run_module(swarm_info, socket=manager.socket)
    assert result["swarm"]["ID"] == "swarm1"
    assert "SWMTKN" not in str(result)


def test_a_ticket_is_for_one_key(manager, run_module) -> None:
    result = run_module(
        swarm_ticket, socket=manager.socket, key_digest="sha256:h2", availability="pause", labels={"zone": "a"}
    )
    assert result["ticket"] == "QRTICKET-1-root-secretofh2"
    assert (result["managers"], result["cluster_id"]) == (["h1:2377"], "swarm1")
    [body] = manager.called("/queenright/v1/tickets")
    assert body == {"role": "worker", "key_digest": "sha256:h2", "availability": "pause", "labels": {"zone": "a"}}


def test_checking_makes_no_ticket(manager, run_module) -> None:
    assert run_module(swarm_ticket, check=True, socket=manager.socket, key_digest="sha256:h2")["ticket"] == ""
    assert manager.swarm.tickets == {}


@pytest.mark.parametrize("check", [True, False])
def test_a_worker_gives_no_ticket(worker, run_module, check) -> None:
    result = run_module(swarm_ticket, check=check, socket=worker.socket, key_digest="sha256:h3")
    assert result["failed"]
    assert result["needs_manager"]


def test_swarms_are_told_apart_by_their_id(new_runtime, run_module) -> None:
    host = new_runtime("h7").become(FakeSwarm("other"), "manager")
    assert run_module(swarm_info, socket=host.socket)["cluster_id"] == "other"
