# SPDX-License-Identifier: Apache-2.0
"""Into a swarm and out of it, on three machines: tokens, tickets, refusals, leaving, removal, coming back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon.kit import ApiError, Daemon, Machine, Swarm, container_of, until

WRONG = "ah37tw5ldzs0m33y97dh6x7ja"


@pytest.fixture
def outsider(swarm: Swarm) -> Iterator[Machine]:
    """The third machine, out of the swarm; it is a member again afterwards."""
    machine = swarm.machines[2]
    drop(swarm, machine)
    machine.fresh().start()
    yield machine
    if machine.daemon.status()["state"] == "inactive":
        swarm.join(machine)
    machine.daemon.becomes(state="active", ready=True)


def drop(swarm: Swarm, machine: Machine) -> None:
    """Out of the swarm, with its node."""
    node_id = machine.daemon.status()["node_id"]
    if node_id:
        swarm.manager.api("DELETE", f"/nodes/{node_id}?force=1")
        machine.daemon.post("/swarm/leave?force=1")
    machine.daemon.stop()
    machine.clean()


def refusal(daemon: Daemon, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        daemon.post(path, body)
    return caught.value.status, caught.value.message


def join(daemon: Daemon, token: str, remote: str = "10.99.0.1") -> tuple[int, str]:
    """A join that is refused, after which the host is as it was."""
    answer = refusal(daemon, "/swarm/join", {"RemoteAddrs": [remote], "JoinToken": token})
    assert (daemon.status()["state"], daemon.status()["error"]) == ("inactive", "")
    assert not (daemon.state_dir / "state.json").exists()
    return answer


def test_three_members_see_each_other(swarm: Swarm) -> None:
    nodes = swarm.manager.nodes()
    assert len(nodes) == 3
    for machine in swarm.machines:
        status = machine.daemon.status()
        node = nodes[status["node_id"]]
        assert (node["Status"]["State"], node["Status"]["Addr"]) == ("ready", machine.address)
        assert node["Spec"]["Role"] == status["role"]
        assert status["node_addr"] == machine.address
        assert status["managers"] == [{"node_id": swarm.manager.status()["node_id"], "addr": "10.99.0.1:2377"}]
        assert status["cluster_id"] == swarm.manager.get("/swarm")["ID"]
        info = machine.daemon.get("/info")["Swarm"]
        assert (info["LocalNodeState"], info["NodeID"]) == ("active", status["node_id"])
        assert info["ControlAvailable"] is (status["role"] == "manager")
        shown = machine.daemon.run("status")
        assert shown.returncode == 0 and f"{status['role']} {status['node_id']} at {machine.address}" in shown.stdout


def test_a_worker_says_whom_to_ask(swarm: Swarm) -> None:
    worker = swarm.daemons[1]
    for path in ("/nodes", "/services", "/swarm"):
        status, _, body = worker.exchange("GET", path)
        assert (status, b"Worker nodes can't be used to view or modify cluster state" in body) == (503, True)


def test_who_is_in_a_swarm_cannot_found_or_join_one(swarm: Swarm) -> None:
    for daemon in swarm.daemons[:2]:
        before = daemon.status()
        for path, body in (
            ("/swarm/init", {"ListenAddr": "0.0.0.0:3377"}),
            ("/swarm/join", {"RemoteAddrs": ["10.99.0.1"], "JoinToken": swarm.manager.token()}),
            ("/queenright/v1/join/key", {}),
        ):
            status, message = refusal(daemon, path, body)
            assert (status, "already part of a swarm" in message) == (503, True)
        assert daemon.status() == before


def test_a_manager_leaves_only_with_force(swarm: Swarm) -> None:
    status, message = refusal(swarm.manager, "/swarm/leave")
    assert (
        status,
        "You are attempting to leave the swarm on a node that is participating as a manager" in message,
    ) == (
        503,
        True,
    )
    assert swarm.manager.status()["state"] == "active"


def test_wrong_secrets_are_refused_and_leave_nothing(swarm: Swarm, outsider: Machine) -> None:
    daemon, token = outsider.daemon, swarm.manager.token()
    before = swarm.manager.nodes()
    prefix, version, digest, _secret = token.split("-")
    status, message = join(daemon, f"{prefix}-{version}-{digest}-{WRONG}")
    assert (status, "A valid join token is necessary to join this cluster" in message) == (400, True)
    other_digest = ("0" if digest[-1] != "0" else "1") + digest[1:] if digest[0] != "0" else digest[:-1] + "z"
    status, message = join(daemon, f"{prefix}-{version}-{other_digest}-{_secret}")
    assert status == 400 and "fingerprint" in message, message
    status, message = join(daemon, "SWMTKN-1-short-secret")
    assert status == 400 and "short" not in message
    status, message = join(daemon, token, "10.99.0.1:2999")
    assert status == 503 and "2999" in message and "3000" in message, message
    assert swarm.manager.nodes() == before


def test_a_join_with_a_ticket_needs_no_token(swarm: Swarm, outsider: Machine) -> None:
    daemon, manager = outsider.daemon, swarm.manager
    digest = daemon.post("/queenright/v1/join/key", {})["key_digest"]
    assert daemon.post("/queenright/v1/join/key", {})["key_digest"] == digest
    ticket = manager.post(
        "/queenright/v1/tickets",
        {"role": "worker", "key_digest": digest, "availability": "pause", "labels": {"rack": "r1"}},
    )
    assert ticket["managers"] == ["10.99.0.1:2377"]
    daemon.post("/swarm/join", {"RemoteAddrs": ticket["managers"], "JoinToken": ticket["ticket"]})
    status = daemon.becomes(state="active", ready=True)
    node = manager.nodes()[status["node_id"]]
    assert (node["Spec"]["Availability"], node["Spec"]["Labels"]) == ("pause", {"rack": "r1"})
    spec = node["Spec"] | {"Availability": "active", "Labels": {}}
    manager.post(f"/nodes/{node['ID']}/update?version={node['Version']['Index']}", spec)


def test_a_ticket_is_of_no_use_with_another_key_or_twice(swarm: Swarm, outsider: Machine) -> None:
    daemon, manager = outsider.daemon, swarm.manager
    theirs = manager.post("/queenright/v1/tickets", {"role": "worker", "key_digest": "sha256:" + "0" * 64})
    status, message = join(daemon, theirs["ticket"])
    assert (status, "another node's key" in message) == (403, True)
    digest = daemon.post("/queenright/v1/join/key", {})["key_digest"]
    mine = manager.post("/queenright/v1/tickets", {"role": "worker", "key_digest": digest})
    daemon.post("/swarm/join", {"RemoteAddrs": mine["managers"], "JoinToken": mine["ticket"]})
    daemon.becomes(state="active", ready=True)
    drop(swarm, outsider)
    outsider.fresh().start()
    status, message = join(outsider.daemon, mine["ticket"])
    assert (status, "used already" in message) == (403, True)


def test_a_worker_that_leaves_takes_its_containers_along_and_may_come_back(swarm: Swarm) -> None:
    machine, manager = swarm.machines[2], swarm.manager
    old = machine.daemon.status()["node_id"]
    with machine.engine.client() as client:
        foreign = client.create_container("qr-test/busybox:1", ["sleep", "1000"])["Id"]
        client.start(foreign)
    manager.service("stay", 1, Constraints=[f"node.id=={old}"])
    manager.running("stay", 1)
    machine.daemon.post("/swarm/leave")
    status = machine.daemon.status()
    assert (status["state"], status["role"], status["node_id"], status["tasks"]["total"]) == ("inactive", "", "", 0)
    assert [one["Id"] for one in machine.containers(all=True)] == [foreign]
    assert sorted(path.name for path in machine.daemon.state_dir.iterdir()) == ["lock"]
    manager.node_is(old, "down")
    swarm.join(machine)
    new = machine.daemon.becomes(state="active", ready=True)["node_id"]
    assert new != old
    manager.api("DELETE", f"/nodes/{old}")
    assert set(manager.nodes()) == {one.status()["node_id"] for one in swarm.daemons}
    manager.api("DELETE", "/services/stay")
    with machine.engine.client() as client:
        client.remove_container(foreign, force=True)


def test_a_removed_node_is_cut_off_at_once_and_says_so(swarm: Swarm) -> None:
    machine, manager = swarm.machines[2], swarm.manager
    old = machine.daemon.status()["node_id"]
    with pytest.raises(ApiError) as caught:
        manager.api("DELETE", f"/nodes/{old}")
    assert (caught.value.status, "is not down and can't be removed" in caught.value.message) == (400, True)
    manager.api("DELETE", f"/nodes/{old}?force=1")
    status = machine.daemon.becomes(state="error", ready=False)
    assert "was removed from swarm" in status["error"]
    assert "removed from swarm" in machine.daemon.run("status").stdout
    refused = [line for line in manager.logged() if "refused" in line["message"] and old in line["message"]]
    assert refused
    assert old not in manager.nodes()
    machine.daemon.stop()
    machine.daemon.start()
    machine.daemon.becomes(state="error", ready=False, node_id=old)
    machine.daemon.post("/swarm/leave")
    swarm.join(machine)
    machine.daemon.becomes(state="active", ready=True)


def test_rotated_tokens_are_dead_at_once(swarm: Swarm, outsider: Machine) -> None:
    manager, old = swarm.manager, swarm.manager.token()
    cluster = manager.get("/swarm")
    manager.post(f"/swarm/update?version={cluster['Version']['Index']}&rotateWorkerToken=true", cluster["Spec"])
    status, message = join(outsider.daemon, old)
    assert (status, "A valid join token is necessary" in message) == (400, True)
    assert manager.token() != old


def test_the_last_manager_leaves_by_force_and_workers_can_too(machines: list[Machine], swarm: Swarm) -> None:
    """Last in this file: it ends the swarm."""
    manager, worker = swarm.machines[0], swarm.machines[1]
    service = swarm.manager.service("web", 2, Constraints=[f"node.id=={worker.daemon.status()['node_id']}"])
    tasks = swarm.manager.running("web", 2)
    assert service and {container_of(task) for task in tasks} == set(worker.started())
    manager.daemon.post("/swarm/leave?force=1")
    assert manager.daemon.status()["state"] == "inactive"
    assert sorted(path.name for path in manager.daemon.state_dir.iterdir()) == ["lock"]
    until(lambda: not worker.daemon.status()["ready"], worker.daemon.tail)
    assert {container_of(task) for task in tasks} == set(worker.started())
    assert worker.daemon.status()["state"] == "active"
    worker.daemon.post("/swarm/leave")
    assert worker.containers(all=True) == []
    new = json.loads(manager.daemon.exchange("POST", "/swarm/init", {"AdvertiseAddr": "eth0"})[2])
    assert manager.daemon.becomes(state="active", ready=True)["node_id"] == new
    assert manager.daemon.status()["managers"] == [{"node_id": new, "addr": "10.99.0.1:2377"}]
