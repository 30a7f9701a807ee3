# SPDX-License-Identifier: Apache-2.0
"""``/nodes`` as ``docker node`` and community.docker use it."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import quote

from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.edge.http.api import render
from queenright.model.objects import GenericResource
from queenright.model.states import NodeState, TaskState


async def test_the_manager_looks_as_docker_shows_it() -> None:
    world = World.make()
    found = await Api.manager(world).get(f"/nodes/{world.manager_id}")
    assert found == {
        "ID": world.manager_id,
        "Version": {"Index": 2},
        "CreatedAt": "2023-11-14T22:13:20.000000000Z",
        "UpdatedAt": "2023-11-14T22:13:20.000000000Z",
        "Spec": {"Labels": {}, "Role": "manager", "Availability": "active"},
        "Description": {
            "Hostname": "queen",
            "Platform": {"Architecture": "x86_64", "OS": "linux"},
            "Resources": {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 << 30},
            "Engine": {
                "EngineVersion": "20.10.24",
                "Plugins": [{"Type": "Network", "Name": "overlay"}, {"Type": "Volume", "Name": "local"}],
            },
            "TLSInfo": {
                "TrustRoot": "-----ROOT-----\n",
                "CertIssuerSubject": "c3ViamVjdA==",
                "CertIssuerPublicKey": "a2V5",
            },
        },
        "Status": {"State": "ready", "Addr": "192.0.2.9"},
        "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "192.0.2.1:2377"},
    }


async def test_generic_resources_look_as_docker_shows_them() -> None:
    world = World.make()
    node = world.worker("one")
    given = (GenericResource("SSD", 3), GenericResource("GPU", name="UUID1"))
    described = dataclasses.replace(node.description, generic_resources=given)
    shown = render.node(dataclasses.replace(node, description=described))["Description"]["Resources"]
    expected = [
        {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}},
        {"NamedResourceSpec": {"Kind": "GPU", "Value": "UUID1"}},
    ]
    assert shown["GenericResources"] == expected
    task = dataclasses.replace(world.task(await world.service(), 1, node), assigned_generic=given)
    assert render.task(task)["GenericResources"] == expected


async def test_a_worker_has_no_manager_status_and_may_have_a_message() -> None:
    world = World.make()
    node = world.worker("one", labels={"zone": "a"})
    found = await Api.manager(world).get("/nodes/one")
    assert "ManagerStatus" not in found
    assert found["Spec"] == {"Labels": {"zone": "a"}, "Role": "worker", "Availability": "active"}
    assert (await Api.manager(world).get(f"/nodes/{node.id[:7]}"))["ID"] == node.id


async def test_nodes_are_filtered_in_both_encodings() -> None:
    world = World.make()
    api = Api.manager(world)
    node = world.worker("one", labels={"zone": "a"})

    async def names(filters: object) -> list[str]:
        found = await api.get("/nodes?filters=" + quote(json.dumps(filters)))
        return sorted(one["Description"]["Hostname"] for one in found)

    assert await names({}) == ["one", "queen"]
    assert await names({"role": {"manager": True}}) == ["queen"]
    assert await names({"role": ["worker"]}) == ["one"]
    assert await names({"name": ["on"]}) == ["one"]
    assert await names({"id": [node.id[:8]]}) == ["one"]
    assert await names({"node.label": ["zone=a"]}) == ["one"]
    assert await names({"node.label": ["zone=b"]}) == []
    assert await names({"label": ["zone=a"]}) == []
    assert await names({"membership": ["accepted"]}) == ["one", "queen"]
    assert await names({"membership": ["pending"]}) == []
    assert await api.error("GET", "/nodes?filters=" + quote('{"role":["drone"]}')) == (
        400,
        "Invalid role filter: 'drone'",
    )
    assert (await api.error("GET", "/nodes?filters=" + quote('{"colour":["x"]}')))[0] == 400


async def test_a_node_is_drained_and_labelled_by_its_whole_spec() -> None:
    world = World.make()
    api = Api.manager(world)
    node = world.worker("one", labels={"old": "1"})
    spec = {"Role": "worker", "Availability": "drain", "Labels": {"new": "2"}}
    assert await api.raw("POST", f"/nodes/{node.id}/update?version={node.version}", spec) == (200, b"")
    after = world.store.node("one")
    assert after.availability == "drain"
    assert after.spec.labels == {"new": "2"}


async def test_node_updates_are_refused_in_docker_s_words() -> None:
    world = World.make()
    api = Api.manager(world)
    node, queen = world.worker("one"), world.store.node("queen")
    target = f"/nodes/one/update?version={node.version}"
    worker = {"Role": "worker", "Availability": "active"}
    assert await api.error("POST", f"/nodes/one/update?version={node.version + 5}", worker) == (
        500,
        "rpc error: code = Unknown desc = update out of sequence",
    )
    assert await api.error("POST", f"/nodes/queen/update?version={queen.version}", worker) == (
        400,
        "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm",
    )
    for body in ({}, {"Role": "drone", "Availability": "active"}, {"Role": "worker"}, {"Role": "worker", "Labels": 5}):
        assert (await api.error("POST", target, body))[0] == 400
    assert await api.error("POST", "/nodes/nosuch/update?version=1", worker) == (404, "node nosuch not found")
    assert world.store.node("one") == node


async def test_a_ready_node_is_removed_by_force_only_and_a_manager_never() -> None:
    world = World.make()
    api = Api.manager(world)
    node = world.worker("one")
    task = world.task(await world.service(), 1, node)
    assert await api.error("DELETE", "/nodes/one") == (
        400,
        f"rpc error: code = FailedPrecondition desc = node {node.id} is not down and can't be removed",
    )
    status, message = await api.error("DELETE", "/nodes/queen?force=1")
    assert status == 400
    assert "must be demoted to worker before removal" in message
    assert await api.raw("DELETE", "/nodes/one?force=1") == (200, b"")
    assert world.store.nodes.get(node.id) is None
    given_up = world.store.tasks.get(task.id)
    assert given_up is not None
    assert given_up.state is TaskState.ORPHANED


async def test_a_node_that_is_down_is_removed() -> None:
    world = World.make()
    api = Api.manager(world)
    world.worker("one", NodeState.DOWN)
    assert await api.raw("DELETE", "/nodes/one") == (200, b"")
    assert await api.error("DELETE", "/nodes/one") == (404, "node one not found")


async def test_a_status_that_comes_in_between_does_not_hinder_a_removal() -> None:
    world = World.make()
    node = world.worker("one", NodeState.DOWN)
    world.proposer.before.append(lambda: world.describe(node.id, "one", NodeState.DOWN))
    assert await Api.manager(world).raw("DELETE", "/nodes/one") == (200, b"")
    assert world.store.nodes.get(node.id) is None


async def test_a_node_that_comes_back_in_between_is_not_removed() -> None:
    world = World.make()
    node = world.worker("one", NodeState.DOWN)
    world.proposer.before.append(lambda: world.describe(node.id, "one"))
    status, message = await Api.manager(world).error("DELETE", "/nodes/one")
    assert status == 400
    assert "is not down" in message
    assert world.store.nodes.get(node.id) is not None
