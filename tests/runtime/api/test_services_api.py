# SPDX-License-Identifier: Apache-2.0
"""``/services`` as the docker CLI, the SDK and community.docker use it."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any
from urllib.parse import quote

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World, service_json

from queenright.decide.base import Now
from queenright.manager.mesh_view import MeshView
from queenright.model.changes import Create, Update
from queenright.model.mesh_rows import NetworksState
from queenright.model.objects import Node, NodeDescription, Service
from queenright.model.states import TaskState
from queenright.store.store import Store

CLI_CREATE: dict[str, Any] = {
    "Name": "web",
    "Labels": {},
    "TaskTemplate": {
        "ContainerSpec": {"Image": "busybox:1", "Args": ["sleep", "1"], "Init": False, "DNSConfig": {}},
        "Resources": {"Limits": {}, "Reservations": {}},
        "Placement": {},
        "ForceUpdate": 0,
    },
    "Mode": {"Replicated": {"Replicas": 2}},
    "EndpointSpec": {"Mode": "vip"},
}


async def created(api: Api, **more: Any) -> str:
    status, answer = await api.call("POST", "/services/create", service_json(**more))
    assert status == 201, answer
    return str(answer["ID"])


async def test_a_service_made_by_the_cli_is_stored_as_docker_stores_it() -> None:
    api = Api.manager(World.make())
    status, answer = await api.call("POST", "/services/create", CLI_CREATE)
    assert (status, list(answer)) == (201, ["ID"])
    stored = await api.get(f"/services/{answer['ID']}?insertDefaults=false")
    assert stored == {
        "ID": answer["ID"],
        "Version": {"Index": 3},
        "CreatedAt": "2023-11-14T22:13:20.000000000Z",
        "UpdatedAt": "2023-11-14T22:13:20.000000000Z",
        "Spec": {
            "Name": "web",
            "Labels": {},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "busybox:1",
                    "Args": ["sleep", "1"],
                    "Init": False,
                    "DNSConfig": {},
                    "Isolation": "default",
                },
                "Resources": {"Limits": {}, "Reservations": {}},
                "Placement": {},
                "ForceUpdate": 0,
                "Runtime": "container",
            },
            "Mode": {"Replicated": {"Replicas": 2}},
            "EndpointSpec": {"Mode": "vip"},
        },
        "Endpoint": {"Spec": {"Mode": "vip"}},
    }


async def test_defaults_are_inserted_on_request_only() -> None:
    api = Api.manager(World.make())
    key = await created(api)
    spec = (await api.get(f"/services/{key}?insertDefaults=true"))["Spec"]
    template = spec["TaskTemplate"]
    assert template["ContainerSpec"]["StopGracePeriod"] == 10_000_000_000
    assert template["RestartPolicy"]["Condition"] == "any"
    assert template["RestartPolicy"]["Delay"] == 5_000_000_000
    for name in ("UpdateConfig", "RollbackConfig"):
        assert spec[name]["Parallelism"] == 1
        assert spec[name]["FailureAction"] == "pause"
        assert spec[name]["Monitor"] == 5_000_000_000
        assert spec[name]["Order"] == "stop-first"
    assert "UpdateConfig" not in (await api.get(f"/services/{key}"))["Spec"]


async def test_keys_are_read_in_any_case_of_letters_and_unknown_ones_are_ignored() -> None:
    api = Api.manager(World.make())
    body = {"name": "web", "taskTEMPLATE": {"containerspec": {"IMAGE": "busybox"}}, "Nonsense": [1]}
    status, answer = await api.call("POST", "/services/create", body)
    assert status == 201
    stored = await api.get(f"/services/{answer['ID']}")
    assert stored["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "busybox"


async def test_an_empty_body_is_docker_s_mismatch() -> None:
    api = Api.manager(World.make())
    for body in ({}, {"Name": "web"}, {"TaskTemplate": {}}, {"TaskTemplate": None}, {"TaskTemplate": 5}):
        assert await api.error("POST", "/services/create", body) == (400, "mismatched Runtime and *Spec fields")
    assert (await api.error("POST", "/services/create"))[0] == 400


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (
            service_json(container={"Image": ""}),
            400,
            "rpc error: code = InvalidArgument desc = ContainerSpec: image reference must be provided",
        ),
        (service_json(Mode={"Global": {}, "Replicated": {}}), 400, "must specify only one service mode"),
        (
            service_json("x" * 64),
            400,
            "rpc error: code = InvalidArgument desc = name must be 63 characters or fewer",
        ),
        (
            service_json("no such name"),
            400,
            "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component",
        ),
        (
            service_json("WEB"),
            409,
            "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service WEB already exists",
        ),
        (
            service_json("other", task={"Placement": {"Constraints": ["x"]}}),
            400,
            "rpc error: code = InvalidArgument desc = constraint expected one operator from ==, !=",
        ),
    ],
)
async def test_refusals_have_docker_s_status_and_words(body: dict[str, Any], status: int, text: str) -> None:
    api = Api.manager(World.make())
    await created(api)
    assert await api.error("POST", "/services/create", body) == (status, text)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (service_json(Mode={"GlobalJob": {}}, UpdateConfig={"Delay": 1}), "UpdateConfig is not supported for jobs"),
        (service_json(Mode={"ReplicatedJob": {}}, RollbackConfig={"Delay": 1}), "RollbackConfig is not supported for"),
        ({"Name": "web", "TaskTemplate": {"PluginSpec": {"Name": "p"}}}, "plugin services are not supported"),
    ],
)
async def test_what_this_version_does_not_have_is_said_clearly(body: dict[str, Any], words: str) -> None:
    status, message = await Api.manager(World.make()).error("POST", "/services/create", body)
    assert status == 400
    assert words in message


async def test_an_old_client_s_networks_are_folded_into_the_task() -> None:
    api = Api.manager(World.make())
    body = {**service_json(), "Networks": [{"Target": "host"}]}
    key = (await api.call("POST", "/services/create", body, version=(1, 43)))[1]["ID"]
    assert (await api.get(f"/services/{key}"))["Spec"]["TaskTemplate"]["Networks"] == [{"Target": "host"}]
    body["Name"] = "new"
    key = (await api.call("POST", "/services/create", body, version=(1, 44)))[1]["ID"]
    assert "Networks" not in (await api.get(f"/services/{key}"))["Spec"]["TaskTemplate"]


async def test_fields_that_the_client_s_version_does_not_know_are_dropped() -> None:
    api = Api.manager(World.make())
    body = service_json(
        container={"Sysctls": {"net.core.somaxconn": "1"}, "CapabilityAdd": ["NET_ADMIN"], "OomScoreAdj": 5},
        task={"Placement": {"MaxReplicas": 2}, "Resources": {"Limits": {"Pids": 5}}},
    )
    key = (await api.call("POST", "/services/create", body, version=(1, 39)))[1]["ID"]
    template = (await api.get(f"/services/{key}"))["Spec"]["TaskTemplate"]
    assert not {"Sysctls", "CapabilityAdd", "OomScoreAdj"} & set(template["ContainerSpec"])
    assert template["Placement"] == {}
    assert template["Resources"]["Limits"] == {}
    body["Name"] = "new"
    key = (await api.call("POST", "/services/create", body, version=None))[1]["ID"]
    template = (await api.get(f"/services/{key}"))["Spec"]["TaskTemplate"]
    assert template["ContainerSpec"]["OomScoreAdj"] == 5
    assert template["Resources"]["Limits"] == {"Pids": 5}


async def test_registry_credentials_are_stored_and_never_returned() -> None:
    world = World.make()
    api = Api.manager(world)
    auth = base64.urlsafe_b64encode(json.dumps({"username": "u", "password": "very secret"}).encode()).decode()
    _, answer = await api.call("POST", "/services/create", service_json(), headers={"x-registry-auth": auth})
    assert world.get_service("web").registry_auth == auth
    for target in ("/services", f"/services/{answer['ID']}", f"/services/{answer['ID']}?insertDefaults=true"):
        assert auth not in json.dumps(await api.get(target))


async def test_a_service_is_updated_and_shows_what_was_before() -> None:
    api = Api.manager(World.make())
    key = await created(api)
    before = await api.get(f"/services/{key}")
    spec = {**before["Spec"], "Mode": {"Replicated": {"Replicas": 5}}}
    target = f"/services/{key}/update?version={before['Version']['Index']}&registryAuthFrom=spec"
    assert await api.call("POST", target, spec) == (200, {"Warnings": None})
    after = await api.get(f"/services/{key}")
    assert after["Spec"]["Mode"] == {"Replicated": {"Replicas": 5}}
    assert after["PreviousSpec"] == before["Spec"]
    assert after["Version"]["Index"] > before["Version"]["Index"]
    assert "UpdateStatus" not in after


async def test_updates_are_refused_in_docker_s_words() -> None:
    api = Api.manager(World.make())
    key = await created(api)
    version = (await api.get(f"/services/{key}"))["Version"]["Index"]
    target = f"/services/{key}/update"
    spec = service_json()
    assert await api.error("POST", f"{target}?version=999", spec) == (
        500,
        "rpc error: code = Unknown desc = update out of sequence",
    )
    assert await api.error("POST", f"{target}?version={version}", service_json("other")) == (
        501,
        "rpc error: code = Unimplemented desc = renaming services is not supported",
    )
    assert await api.error("POST", f"{target}?version={version}", service_json(Mode={"Global": {}})) == (
        501,
        "rpc error: code = Unimplemented desc = service mode change is not allowed",
    )
    for text in ("", "x", "-1", "1.5", "٣"):
        status, message = await api.error("POST", f"{target}?version={quote(text)}", spec)
        assert status == 400
        assert "invalid service version" in message
    status, message = await api.error("POST", f"{target}?version={version}&registryAuthFrom=nowhere", spec)
    assert (status, message) == (400, "unsupported registryAuthFrom value")
    assert (await api.error("POST", f"/services/nosuch/update?version={version}", spec)) == (
        404,
        "service nosuch not found",
    )


async def test_a_rollback_needs_no_valid_body_and_swaps_the_specs() -> None:
    api = Api.manager(World.make())
    key = await created(api)
    target = f"/services/{key}/update"

    async def version() -> int:
        return int((await api.get(f"/services/{key}"))["Version"]["Index"])

    status, message = await api.error("POST", f"{target}?version={await version()}&rollback=previous", {})
    assert status == 400
    assert message == f"rpc error: code = FailedPrecondition desc = service {key} does not have a previous spec"
    await api.call("POST", f"{target}?version={await version()}", service_json(container={"Image": "busybox:2"}))
    assert await api.call("POST", f"{target}?version={await version()}&rollback=previous", {}) == (
        200,
        {"Warnings": None},
    )
    after = await api.get(f"/services/{key}")
    assert after["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "busybox:1"
    assert after["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "busybox:2"
    assert after["UpdateStatus"] == {
        "State": "rollback_started",
        "StartedAt": "2023-11-14T22:13:20.000000000Z",
        "Message": "manually requested rollback",
    }
    assert (await api.error("POST", f"{target}?version=1&rollback=next", {}))[0] == 400


async def test_what_an_update_waits_for_is_found_out_once_until_something_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World.make()
    api = Api.manager(world)
    key = await created(api)
    target = f"/services/{key}/update"
    first = int((await api.get(f"/services/{key}"))["Version"]["Index"])
    await api.call("POST", f"{target}?version={first}", service_json(container={"Image": "busybox:2"}))
    second = int((await api.get(f"/services/{key}"))["Version"]["Index"])
    await api.call("POST", f"{target}?version={second}&rollback=previous", {})
    asked: list[str] = []

    def waiting_for(store: Store, service: Service, now: Now) -> str:
        asked.append(service.id)
        return f"said {len(asked)} times"

    monkeypatch.setattr("queenright.edge.http.api.services.waiting_for", waiting_for)

    async def said() -> str:
        [one] = await api.get("/services")
        message: str = one["UpdateStatus"]["Message"]
        return message

    assert [await said() for _ in range(3)] == ["manually requested rollback: said 1 times"] * 3
    world.worker("late")
    assert (await said()).endswith("said 2 times")
    world.clock.move(2)
    assert (await said()).endswith("said 3 times")
    assert asked == [key] * 3


async def test_a_service_is_removed_with_an_empty_answer() -> None:
    api = Api.manager(World.make())
    await created(api)
    assert await api.raw("DELETE", "/services/web") == (200, b"")
    assert await api.error("DELETE", "/services/web") == (404, "service web not found")
    assert await api.error("GET", "/services/web") == (404, "service web not found")


async def test_an_ambiguous_prefix_is_refused() -> None:
    world = World.make()
    api = Api.manager(world)

    first = await world.service("a")
    world.put(Service(id="abc" + "0" * 22, spec=first.spec.__class__(name="b", task=first.spec.task)))
    world.put(Service(id="abc" + "1" * 22, spec=first.spec.__class__(name="c", task=first.spec.task)))
    assert await api.error("GET", "/services/abc") == (400, "service abc is ambiguous (2 matches found)")


async def test_the_list_is_filtered_in_both_encodings() -> None:
    api = Api.manager(World.make())
    await created(api, name="web", Labels={"tier": "front", "x": ""})
    await created(api, name="website", Mode={"Global": {}})
    await created(api, name="db", Labels={"tier": "back"})

    async def names(filters: object) -> list[str]:
        found = await api.get("/services?filters=" + quote(json.dumps(filters)))
        return sorted(one["Spec"]["Name"] for one in found)

    assert await names({}) == ["db", "web", "website"]
    assert await names({"name": ["web"]}) == ["web", "website"]
    assert await names({"name": {"web": True, "db": True}}) == ["db", "web", "website"]
    assert await names({"name": {"web": False}}) == ["db", "web", "website"]
    assert await names({"label": ["tier"]}) == ["db", "web"]
    assert await names({"label": {"tier=back": True}}) == ["db"]
    assert await names({"label": ["tier=front", "x"]}) == ["web"]
    assert await names({"label": ["tier=front", "y"]}) == []
    assert await names({"mode": ["global"]}) == ["website"]
    assert await names({"mode": ["replicated"], "label": ["tier=back"]}) == ["db"]
    assert await names({"runtime": ["container"]}) == ["db", "web", "website"]
    assert await names({"runtime": ["plugin"]}) == []
    assert await api.error("GET", "/services?filters=" + quote('{"foo":["x"]}')) == (400, "Invalid filter 'foo'")
    for bad in ("{", "[]", '{"name":5}'):
        assert (await api.error("GET", "/services?filters=" + quote(bad)))[0] == 400


async def test_the_list_with_status_counts_tasks() -> None:
    world = World.make()
    api = Api.manager(world)
    node = world.worker("one")
    web = await world.service("web", Mode={"Replicated": {"Replicas": 3}})
    world.task(web, 1, node)
    world.task(web, 2)
    world.task(web, 3, node, state=TaskState.COMPLETE, desired_state=TaskState.SHUTDOWN)
    everywhere = await world.service("everywhere", Mode={"Global": {}})
    world.task(everywhere, 0, node)
    found = {one["Spec"]["Name"]: one for one in await api.get("/services?status=true")}
    assert found["web"]["ServiceStatus"] == {"RunningTasks": 1, "DesiredTasks": 3, "CompletedTasks": 1}
    assert found["everywhere"]["ServiceStatus"] == {"RunningTasks": 1, "DesiredTasks": 1, "CompletedTasks": 0}
    assert all("ServiceStatus" not in one for one in await api.get("/services"))


async def test_published_host_ports_are_shown_in_the_endpoint() -> None:
    api = Api.manager(World.make())
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    key = await created(api, EndpointSpec={"Mode": "vip", "Ports": [port]})
    endpoint = (await api.get(f"/services/{key}"))["Endpoint"]
    assert endpoint["Spec"]["Mode"] == "vip"
    assert endpoint["Ports"] == [port] == endpoint["Spec"]["Ports"]


async def test_the_leader_says_where_the_ports_of_a_service_answer() -> None:
    world = World.make()
    api = Api.manager(world)
    world.proposer.put(Create(Node(id="n1", description=NodeDescription(hostname="h1"))))
    plain, port = await created(api), {"TargetPort": 80, "PublishedPort": 8080}
    key = await created(api, Name="shop", EndpointSpec={"Ports": [port, {"TargetPort": 81, "PublishMode": "host"}]})
    made = world.get_service(key)
    world.proposer.put(Update(dataclasses.replace(made, ports=made.spec.endpoint.ports)))
    told: list[tuple[str, NetworksState, bool]] = []
    world.control.mesh = MeshView(world.store, lambda: told)
    [found] = (await api.get(f"/services/{key}"))["PortReadiness"]
    assert (found["Protocol"], found["PublishedPort"], found["TargetPort"], found["Ready"]) == ("tcp", 8080, 80, False)
    told += [(node.id, NetworksState("1", {}, {("tcp", 8080): ""}), True) for node in world.store.nodes]
    [found] = (await api.get(f"/services/{key}"))["PortReadiness"]
    assert found["Ready"]
    assert {"ID": "n1", "Hostname": "h1", "Ready": True, "Err": ""} in found["Nodes"]
    assert "PortReadiness" not in await api.get(f"/services/{plain}")
    world.proposer.is_leader = False  # nodes tell the leader alone
    assert "PortReadiness" not in await api.get(f"/services/{key}")
