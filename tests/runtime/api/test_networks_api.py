# SPDX-License-Identifier: Apache-2.0
"""``/networks``: those of the swarm are ours, those of the host dockerd's."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from urllib.parse import quote

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World, service_json

from queenright.edge.http.messages import Request
from queenright.edge.http.router import PASS
from queenright.model.objects import Attachment, Service
from queenright.spec.network import OWNED_LABEL
from queenright.spec.service import Port

OVERLAY = {"Name": "mynet", "Driver": "overlay", "CheckDuplicate": True, "IPAM": {"Driver": "default", "Config": []}}


async def passes(api: Api, method: str, path: str, query: dict[str, list[str]], body: bytes = b"") -> bool:
    found = api.router.find(method, path)
    assert found is not None
    route, params = found
    headers = {"content-type": "application/json"} if body else {}
    return await route.handler(Request(method, path, (1, 41), query, headers, body, params)) is PASS


async def scene() -> tuple[World, Api, str]:
    """A manager with one network."""
    world = World.make()
    api = Api.manager(world)
    status, answer = await api.call("POST", "/networks/create", {**OVERLAY, "Labels": {"tier": "back"}})
    assert (status, set(answer)) == (201, {"Id", "Warning"})
    return world, api, answer["Id"]


@pytest.mark.parametrize("name", ["host", "bridge"])
async def test_the_cli_finds_a_predefined_network_and_attaches_a_service_to_it(name: str) -> None:
    api = Api.manager(World.make())
    network = await api.get(f"/networks/{name}?scope=swarm")
    assert (network["Name"], network["Scope"], network["Driver"]) == (name, "swarm", name)
    body = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}, "Networks": [{"Target": network["Id"]}]}}
    assert (await api.call("POST", "/services/create", body))[0] == 201


async def test_networks_of_the_host_are_looked_up_by_dockerd() -> None:
    _, api, _ = await scene()
    assert await passes(api, "GET", "/networks/host", {})
    assert await passes(api, "GET", "/networks/host", {"scope": ["local"]})
    assert await passes(api, "GET", "/networks/other", {})
    assert await passes(api, "DELETE", "/networks/other", {})
    assert await passes(Api.outside(), "GET", "/networks/host", {"scope": ["swarm"]})
    assert await passes(Api.outside(), "GET", "/networks", {})
    assert await passes(Api.worker(), "GET", "/networks/mynet", {})
    assert await api.error("GET", "/networks/other?scope=swarm") == (404, "network other not found")
    assert await api.error("GET", "/networks/ingress?scope=swarm") == (404, "network ingress not found")


async def test_local_networks_are_made_by_dockerd() -> None:
    api = Api.manager(World.make())
    for body in (
        b'{"Name":"x"}',
        b'{"Name":"x","Driver":"bridge"}',
        b'{"Name":"x","Driver":"macvlan","Scope":"local"}',
    ):
        assert await passes(api, "POST", "/networks/create", {}, body)
    assert await passes(Api.outside(), "POST", "/networks/create", {}, b'{"Driver":"overlay"}')


async def test_only_a_manager_makes_networks_of_the_swarm() -> None:
    for body in ({"Driver": "overlay"}, {"driver": "overlay"}, {"Scope": "swarm"}, {"Ingress": True}):
        status, message = await Api.worker().error("POST", "/networks/create", {"Name": "ov1", **body})
        assert status == 503
        assert "Worker nodes can't be used" in message


async def test_a_network_is_shown_as_docker_shows_it() -> None:
    world, api, key = await scene()
    shown = await api.get("/networks/mynet?scope=swarm")
    stored = world.store.network("mynet")
    assert shown == {
        "Name": "mynet",
        "Id": key,
        "Created": shown["Created"],
        "Scope": "swarm",
        "Driver": "overlay",
        "EnableIPv6": False,
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}],
        },
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4096"},
        "Labels": {"tier": "back"},
    }
    assert shown["Created"].startswith("2023-11-14T")
    for ref in (key, key[:8], "MYNET"):
        assert (await api.get(f"/networks/{ref}?scope=swarm"))["Id"] == key
    assert (await api.get("/networks/mynet", version=(1, 51)))["EnableIPv4"] is True
    world.put(dataclasses.replace(stored, error="network mynet (10.0.0.0/24) has no free address"))
    assert (await api.get("/networks/mynet"))["Error"] == "network mynet (10.0.0.0/24) has no free address"


async def test_containers_of_this_host_are_shown_with_the_network() -> None:
    _, api, key = await scene()
    assert (await api.get("/networks/mynet"))["Containers"] == {}
    local = {"Name": "mynet", "Labels": {OWNED_LABEL: key}, "Containers": {"c1": {"Name": "web.1.x"}}}
    api.engine.answers["GET", "/networks/mynet"] = local
    assert (await api.get("/networks/mynet"))["Containers"] == {"c1": {"Name": "web.1.x"}}
    api.engine.answers["GET", "/networks/mynet"] = {**local, "Labels": {}}
    assert (await api.get("/networks/mynet"))["Containers"] == {}, "somebody's own network of that name"


async def test_lists_show_the_swarm_s_networks_and_the_host_s_each_once() -> None:
    world, api, key = await scene()
    mine = {"Name": "mynet", "Id": "f" * 64, "Driver": "bridge", "Scope": "local", "Labels": {OWNED_LABEL: key}}
    api.engine.answers["GET", "/networks"] = [{"Name": "bridge", "Id": "b" * 64, "Labels": {}}, mine]
    assert [one["Id"] for one in await api.get("/networks")] == [key, "b" * 64]
    worker = Api.worker()
    worker.engine.answers["GET", "/networks"] = [{"Name": "bridge", "Id": "b" * 64, "Labels": None}, mine]
    shown = await worker.get("/networks")
    assert [(one["Id"], one.get("Scope"), one.get("Driver")) for one in shown] == [
        ("b" * 64, None, None),
        (key, "swarm", "overlay"),
    ]
    for text, found in (
        ('{"driver":["overlay"]}', 1),
        ('{"driver":{"bridge":true}}', 0),
        ('{"scope":["swarm"],"name":["yne"]}', 1),
        ('{"scope":["local"]}', 0),
        ('{"type":["custom"]}', 1),
        ('{"type":["builtin"]}', 0),
        ('{"label":["tier=back"]}', 1),
        ('{"label":["tier=front"]}', 0),
        (json.dumps({"id": [key[:6]]}), 1),
        ('{"dangling":["true"]}', 1),
        ('{"dangling":["false"]}', 0),
    ):
        api.engine.answers["GET", "/networks"] = []
        assert len(await api.get(f"/networks?filters={quote(text)}")) == found, text
    assert world.store.networks


async def test_the_swarm_s_networks_alone_are_listed_without_dockerd() -> None:
    world, api, key = await scene()
    api.engine.down = "dockerd is away"
    world.put(dataclasses.replace(world.store.network("mynet"), error="no free address"))
    assert [(one["Id"], one["Error"]) for one in await api.get("/queenright/v1/networks")] == [(key, "no free address")]
    assert api.engine.asked == []


async def test_refusals_have_docker_s_status() -> None:
    _, api, key = await scene()
    assert await api.error("POST", "/networks/create", OVERLAY) == (409, "network with name mynet already exists")
    assert (await api.error("POST", "/networks/create", {**OVERLAY, "Name": "host"}))[0] == 403
    macvlan = {"Name": "x", "Driver": "macvlan", "Scope": "swarm"}
    assert await api.error("POST", "/networks/create", macvlan) == (
        400,
        "networks of the swarm are of driver overlay, not macvlan",
    )
    local = {**OVERLAY, "Name": "x", "Scope": "local"}
    assert (await api.error("POST", "/networks/create", local))[0] == 400
    from_other = {**OVERLAY, "Name": "x", "ConfigFrom": {"Network": "base"}}
    assert (await api.error("POST", "/networks/create", from_other))[0] == 400
    empty = {**OVERLAY, "Name": "x", "ConfigFrom": {"Network": ""}, "Attachable": True}
    status, answer = await api.call("POST", "/networks/create", empty)
    assert status == 201
    assert "cannot be attached" in answer["Warning"]
    body = service_json("web", task={"Networks": [{"Target": key}]})
    service = (await api.call("POST", "/services/create", body))[1]["ID"]
    status, message = await api.error("DELETE", "/networks/mynet")
    assert (status, message.endswith(f"network {key} is in use by service {service}")) == (400, True)
    assert (await api.call("DELETE", f"/services/{service}"))[0] == 200
    assert (await api.call("DELETE", "/networks/mynet"))[0] == 204
    assert await passes(api, "DELETE", "/networks/mynet", {}), "it may be one of the host's"


async def test_a_prune_is_for_the_host_s_and_the_swarm_s_networks() -> None:
    world, api, _ = await scene()
    api.engine.answers["POST", "/networks/prune"] = {"NetworksDeleted": ["old", "mynet"]}
    assert await api.call("POST", "/networks/prune?dry_run=1") == (200, {"NetworksDeleted": ["mynet"]})
    assert api.engine.asked == []
    assert await api.call("POST", "/networks/prune") == (200, {"NetworksDeleted": ["mynet", "old"]})
    assert len(world.store.networks) == 0
    assert await api.call("POST", "/queenright/v1/networks/prune") == (200, {"deleted": []})
    assert await passes(Api.worker(), "POST", "/networks/prune", {})


def held(key: str, *addresses: str) -> tuple[Attachment, ...]:
    return (Attachment(network_id=key, addresses=addresses, aliases=("www",)),)


async def test_services_and_tasks_show_their_addresses_and_ports() -> None:
    world, api, key = await scene()
    body = service_json("web", task={"Networks": [{"Target": "mynet"}]}, EndpointSpec={"Ports": [{"TargetPort": 80}]})
    assert (await api.call("POST", "/services/create", body))[0] == 201
    web: Service = world.get_service("web")
    port = Port(target_port=80, published_port=30000)
    web = world.put(dataclasses.replace(web, ports=(port,), vips=held(key, "10.0.0.3/24", "fd00::3/64")))
    shown: dict[str, Any] = await api.get("/services/web")
    assert shown["Endpoint"]["Ports"] == [
        {"TargetPort": 80, "PublishedPort": 30000, "Protocol": "tcp", "PublishMode": "ingress"}
    ]
    assert shown["Endpoint"]["VirtualIPs"] == [
        {"NetworkID": key, "Addr": "10.0.0.3/24"},
        {"NetworkID": key, "Addr": "fd00::3/64"},
    ]
    task = world.task(web, node=world.worker("h1"), attachments=held(key, "10.0.0.4/24"))
    [attachment] = (await api.get(f"/tasks/{task.id}"))["NetworksAttachments"]
    assert (attachment["Addresses"], attachment["Aliases"]) == (["10.0.0.4/24"], ["www"])
    network = attachment["Network"]
    assert (network["ID"], network["Spec"]["Name"], network["Spec"]["Scope"]) == (key, "mynet", "swarm")
    assert network["DriverState"]["Name"] == "overlay"
    assert network["IPAMOptions"]["Configs"] == [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]
    whole = (await api.get("/networks/mynet?verbose=true"))["Services"]["web"]
    assert (whole["VIP"], whole["Ports"]) == ("10.0.0.3", ["Target: 80, Publish: 30000"])
    assert [(one["Name"], one["EndpointIP"]) for one in whole["Tasks"]] == [(task.name, "10.0.0.4")]


async def test_a_network_without_ipv4_is_refused_and_not_made_with_it() -> None:
    api = Api.manager(World.make())
    body = {**OVERLAY, "EnableIPv4": False, "EnableIPv6": True}
    status, text = await api.error("POST", "/networks/create", body)
    assert (status, text.startswith("networks of the swarm always have IPv4")) == (400, True)
    assert await api.get("/queenright/v1/networks") == []
    assert (await api.call("POST", "/networks/create", {**body, "EnableIPv4": True}))[0] == 201
