# SPDX-License-Identifier: Apache-2.0
"""The calls of ``/networks`` that are not dockerd's."""

from __future__ import annotations

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.edge.http.messages import Request
from queenright.edge.http.router import PASS


async def passes(api: Api, method: str, path: str, query: dict[str, list[str]], body: bytes = b"") -> bool:
    found = api.router.find(method, path)
    assert found is not None
    route, params = found
    headers = {"content-type": "application/json"} if body else {}
    return await route.handler(Request(method, path, (1, 41), query, headers, body, params)) is PASS


@pytest.mark.parametrize("name", ["host", "bridge"])
async def test_the_cli_finds_a_predefined_network_and_attaches_a_service_to_it(name: str) -> None:
    api = Api.manager(World.make())
    network = await api.get(f"/networks/{name}?scope=swarm")
    assert (network["Name"], network["Scope"], network["Driver"]) == (name, "swarm", name)
    body = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}, "Networks": [{"Target": network["Id"]}]}}
    assert (await api.call("POST", "/services/create", body))[0] == 201


async def test_all_other_networks_are_looked_up_by_dockerd() -> None:
    api = Api.manager(World.make())
    assert await passes(api, "GET", "/networks/host", {})
    assert await passes(api, "GET", "/networks/host", {"scope": ["local"]})
    assert await passes(api, "GET", "/networks/mine", {"scope": ["swarm"]})
    assert await passes(Api.outside(), "GET", "/networks/host", {"scope": ["swarm"]})


@pytest.mark.parametrize("body", [{"Driver": "overlay"}, {"driver": "overlay"}, {"Scope": "swarm"}, {"Ingress": True}])
async def test_overlay_networks_need_the_routing_mesh(body: dict[str, object]) -> None:
    status, message = await Api.manager(World.make()).error("POST", "/networks/create", {"Name": "ov1", **body})
    assert status == 400
    assert "needs the routing mesh" in message
    status, message = await Api.worker().error("POST", "/networks/create", {"Name": "ov1", **body})
    assert status == 503
    assert "Worker nodes can't be used" in message


async def test_local_networks_are_made_by_dockerd() -> None:
    api = Api.manager(World.make())
    for body in (
        b'{"Name":"x"}',
        b'{"Name":"x","Driver":"bridge"}',
        b'{"Name":"x","Driver":"macvlan","Scope":"local"}',
    ):
        assert await passes(api, "POST", "/networks/create", {}, body)
    assert await passes(Api.outside(), "POST", "/networks/create", {}, b'{"Driver":"overlay"}')
