# SPDX-License-Identifier: Apache-2.0
"""What managers say of the group, and how far their answers hold: fresh, a moment behind, or marked as stale."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from typing import Any

import docker.models.nodes
import pytest
from runtime.api.kit import Api
from runtime.api.managers import Manager, Managers, Seat
from runtime.manager.kit import World, service_json

from queenright.edge.http.api import standing
from queenright.edge.http.messages import Response
from queenright.model.states import NodeState

STALE = "X-Queenright-Stale"
NO_LEADER = (
    "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are "
    "online. Make sure more than half of the managers are online."
)
READS = ("/swarm", "/nodes", "/nodes/queen", "/services", "/services/web", "/tasks", "/configs", "/swarm/unlockkey")


async def managers_with_a_service() -> Managers:
    managers = Managers()
    assert (await managers.first.api.raw("POST", "/services/create", service_json("web")))[0] == 201
    return managers


async def marked(api: Api, target: str) -> bool:
    response = await api.respond("GET", target)
    assert response.status == 200
    return response.headers.get(STALE) == "true"


def depose(managers: Managers) -> Manager:
    """The first manager does not know that the second leads now."""
    managers.first.consensus.believes = (managers.first.node_id, managers.group.term)
    managers.group.elect(managers.second.node_id)
    return managers.first


# -- stale marks


async def test_nothing_is_marked_while_there_is_a_quorum() -> None:
    managers = await managers_with_a_service()
    for manager in (managers.first, managers.second):
        assert not any([await marked(manager.api, target) for target in READS])


async def test_a_manager_without_quorum_answers_what_it_remembers_and_says_so() -> None:
    managers = await managers_with_a_service()
    for manager in (managers.first, managers.second):
        expected = [await manager.api.get(target) for target in READS if "nodes" not in target]
        managers.cut_off(manager)
        assert all([await marked(manager.api, target) for target in READS])
        assert [await manager.api.get(target) for target in READS if "nodes" not in target] == expected
        response = await manager.api.respond("GET", "/services/nosuch")
        assert (response.status, response.headers[STALE]) == (404, "true")
        response = await manager.api.respond("GET", '/services?filters={"x":["y"]}')
        assert (response.status, response.headers[STALE]) == (400, "true")


async def test_a_wait_that_loses_the_quorum_meanwhile_is_marked() -> None:
    managers = Managers()
    target = "/queenright/v1/wait?kind=node&id=king&down=1&timeout=60"
    task = asyncio.create_task(managers.first.api.respond("GET", target))
    await asyncio.sleep(0.05)
    managers.cut_off(managers.first)
    managers.world.describe(managers.second.node_id, "king", NodeState.DOWN)
    response: Response = await task
    assert (response.status, response.headers.get(STALE)) == (200, "true")
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["converged"] is True


async def test_an_unforeseen_fault_stays_one() -> None:
    managers = Managers()
    managers.cut_off(managers.second)
    managers.second.control.store.tables = None  # type: ignore[attr-defined]
    del managers.second.control.store.services
    with pytest.raises(AttributeError):
        await managers.second.api.respond("GET", "/services")


async def test_the_leader_asks_a_majority_before_it_tells_what_it_remembers() -> None:
    managers = await managers_with_a_service()
    managers.first.consensus.barriers = 0
    assert not await marked(managers.first.api, "/services/web")
    assert managers.first.consensus.barriers == 1
    assert not await marked(managers.second.api, "/services/web")
    assert managers.second.consensus.barriers == 0


async def test_what_an_old_leader_remembers_is_marked() -> None:
    managers = await managers_with_a_service()
    old = depose(managers)
    assert await marked(old.api, "/services/web")
    assert not await marked(old.api, "/services/web")  # it knows now that it follows, and is heard


async def test_a_leader_that_hears_nothing_does_not_keep_its_readers_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    managers = await managers_with_a_service()
    monkeypatch.setattr(standing, "CONFIRM_SECONDS", 0.05)

    async def hang() -> int:
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(managers.first.consensus, "barrier", hang)
    assert await marked(managers.first.api, "/services/web")


async def test_what_a_leader_remembers_before_it_saw_all_of_its_predecessor_s_is_marked() -> None:
    managers = await managers_with_a_service()
    managers.first.consensus.begins = True
    assert await marked(managers.first.api, "/services/web")
    managers.first.consensus.begins = False
    assert not await marked(managers.first.api, "/services/web")


async def test_a_manager_alone_asks_nobody() -> None:
    managers = await managers_with_a_service()
    managers.group.seats = (managers.group.seats[0], managers.group.seats[1]._replace(voter=False))
    managers.first.consensus.barriers = 0
    assert not await marked(managers.first.api, "/services/web")
    assert managers.first.consensus.barriers == 0


async def test_workers_and_hosts_outside_have_no_mark() -> None:
    for api in (Api.worker(), Api.outside()):
        response = await api.respond("GET", "/nodes")
        assert response.status == 503
        assert STALE not in response.headers


# -- nodes and info as Docker's clients see them


async def test_one_manager_leads_and_others_are_reachable_whoever_is_asked() -> None:
    managers = Managers()
    worker = managers.world.worker("drone")
    for manager in (managers.first, managers.second):
        found = {node["ID"]: node for node in await manager.api.get("/nodes")}
        assert found[managers.first.node_id]["ManagerStatus"] == {
            "Leader": True,
            "Reachability": "reachable",
            "Addr": "192.0.2.1:2377",
        }
        assert found[managers.second.node_id]["ManagerStatus"] == {
            "Reachability": "reachable",
            "Addr": "192.0.2.2:2377",
        }
        assert "ManagerStatus" not in found.get(worker.id, {})


async def test_the_leader_is_another_one_after_an_election() -> None:
    managers = Managers()
    managers.group.elect(managers.second.node_id)
    for manager in (managers.first, managers.second):
        found = {node["ID"]: node["ManagerStatus"] for node in await manager.api.get("/nodes")}
        assert "Leader" not in found[managers.first.node_id]
        assert found[managers.second.node_id]["Leader"] is True


async def test_a_manager_that_is_not_heard_of_is_unreachable() -> None:
    managers = Managers()
    managers.first.consensus.away = {managers.second.node_id}
    found = await managers.first.api.get("/nodes/king")
    assert found["ManagerStatus"] == {"Reachability": "unreachable", "Addr": "192.0.2.2:2377"}


async def test_without_a_quorum_nobody_is_shown_as_leader() -> None:
    managers = Managers()
    managers.cut_off(managers.second)
    managers.second.consensus.away = {managers.first.node_id}
    found = {node["ID"]: node["ManagerStatus"] for node in await managers.second.api.get("/nodes")}
    assert found[managers.first.node_id]["Reachability"] == "unreachable"
    assert found[managers.second.node_id]["Reachability"] == "reachable"
    assert not any("Leader" in status for status in found.values())


async def test_the_docker_sdk_reads_managers() -> None:
    managers = Managers()
    nodes = [docker.models.nodes.Node(attrs=document) for document in await managers.second.api.get("/nodes")]
    assert sorted(node.attrs["ManagerStatus"].get("Leader", False) for node in nodes) == [False, True]
    assert all(node.version > 0 for node in nodes)


async def test_info_counts_managers_on_every_one() -> None:
    managers = Managers()
    managers.world.worker("drone")
    for manager, nodes in ((managers.first, 3), (managers.second, 2)):
        info = await manager.api.routes.swarm_info()
        assert (info["Managers"], info["Nodes"], info["ControlAvailable"]) == (2, nodes, True)
        assert info["NodeID"] == manager.node_id
        assert info["Error"] == ""
        assert info["RemoteManagers"] == [
            {"NodeID": managers.first.node_id, "Addr": "192.0.2.1:2377"},
            {"NodeID": managers.second.node_id, "Addr": "192.0.2.2:2377"},
        ]


async def test_info_works_without_a_quorum_and_says_so() -> None:
    managers = Managers()
    managers.cut_off(managers.first)
    info = await managers.first.api.routes.swarm_info()
    assert info["Error"] == NO_LEADER
    assert (info["LocalNodeState"], info["ControlAvailable"], info["Managers"]) == ("active", True, 2)
    assert info["Cluster"]["ID"] == managers.world.context.cluster.id
    assert managers.first.api.routes.swarm_state() == "active/manager"
    managers.first.host.state = dataclasses.replace(managers.first.host.state, error="no manager is reached")
    assert (await managers.first.api.routes.swarm_info())["Error"] == NO_LEADER
    managers.first.consensus.has_quorum = True
    assert (await managers.first.api.routes.swarm_info())["Error"] == "no manager is reached"


# -- promotion and demotion


async def test_promotion_and_demotion_are_wishes_taken_by_any_manager() -> None:
    managers = Managers()
    managers.group.seats = (*managers.group.seats, Seat("x" * 25, "192.0.2.3:2377"))
    for manager, role in ((managers.second, "worker"), (managers.first, "manager")):
        king = await manager.api.get("/nodes/king")
        spec = {**king["Spec"], "Role": role}
        target = f"/nodes/{king['ID']}/update?version={king['Version']['Index']}"
        assert await manager.api.raw("POST", target, spec) == (200, b"")
        king = await manager.api.get("/nodes/king")
        assert king["Spec"]["Role"] == role
        assert "ManagerStatus" in king  # what it is changes later than what it shall be


# -- the status


def member(seat: Seat, **more: Any) -> dict[str, Any]:
    return {"node_id": seat.id, "addr": seat.addr, "voter": True, "reachable": True, **more}


async def test_the_status_tells_of_the_group() -> None:
    managers = Managers()
    first, second = managers.group.seats
    raft = {"term": 3, "applied_index": 7, "members": [member(first), member(second)]}
    managers.second.host.state = dataclasses.replace(managers.second.state, leader=first.id, raft=raft)
    status = await managers.second.api.get("/queenright/v1/status")
    assert status["leader"] == {"node_id": first.id, "addr": first.addr}
    assert (status["has_quorum"], status["stale"]) == (True, False)
    assert status["raft"] == {
        "term": 3,
        "applied_index": 7,
        "members": [member(first, leader=True), member(second, leader=False)],
    }
    certificate = managers.world.context.cluster.root_certificate
    assert status["root_digest"] == "sha256:" + hashlib.sha256(certificate.encode()).hexdigest()


async def test_the_status_without_a_quorum_says_so_and_waits_for_nobody() -> None:
    managers = Managers()
    managers.cut_off(managers.first)
    status = await managers.first.api.get("/queenright/v1/status")
    assert (status["leader"], status["has_quorum"], status["stale"]) == (None, False, True)
    assert status["raft"] is None
    assert managers.first.consensus.barriers == 0


async def test_a_manager_that_starts_has_no_digest_to_tell() -> None:
    world = World.make()
    api = Api.manager(world)
    api.host.world = None
    assert (await api.get("/queenright/v1/status"))["root_digest"] == ""
