# SPDX-License-Identifier: Apache-2.0
"""Containers of no service, and the networks of the swarm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.edge.http.errors import EngineUnreachableError
from queenright.edge.http.messages import Request
from queenright.edge.http.router import PASS
from queenright.edge.http.upstream import Reply
from queenright.spec.network import OWNED_LABEL

OVERLAY = {"Name": "mynet", "Driver": "overlay", "Attachable": True}
INTO: list[dict[str, Any]] = [
    {"Image": "a", "HostConfig": {"NetworkMode": "mynet"}},
    {"image": "a", "hostconfig": {"networkmode": "bridge"}, "networkingconfig": {"endpointsconfig": {"mynet": {}}}},
]


async def goes_on(api: Api, path: str, body: object) -> bool:
    found = api.router.find("POST", path)
    assert found is not None
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request("POST", path, (1, 41), {}, {"content-type": "application/json"}, data, found[1])
    return await found[0].handler(request) is PASS


def engine_has(api: Api, name: str, *, of_swarm: bool) -> None:
    labels = {OWNED_LABEL: "n" * 25} if of_swarm else {}
    api.engine.answers["GET", f"/networks/{name}"] = {"Name": name, "Id": "e" * 64, "Labels": labels}


async def manager(monkeypatch: pytest.MonkeyPatch) -> Api:
    """With a network that its dockerd has not heard of."""
    api = Api.manager(World.make())
    assert (await api.call("POST", "/networks/create", OVERLAY))[0] == 201

    async def unknown(method: str, target: str) -> Reply:
        return Reply(404, {}, b'{"message":"network not found"}')

    monkeypatch.setattr(api.engine, "request", unknown)
    return api


@pytest.mark.parametrize("body", INTO)
async def test_a_container_of_no_service_is_kept_out_of_a_network_of_the_swarm(
    body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Api.worker()
    engine_has(worker, "mynet", of_swarm=True)
    for api in (worker, await manager(monkeypatch)):
        status, text = await api.error("POST", "/containers/create", body)
        assert status == 403
        assert text.startswith("network mynet is the swarm's: containers that are of no service cannot be attached")
        status, text = await api.error("POST", "/networks/mynet/connect", {"Container": "a"})
        assert (status, "docker service create --network mynet" in text) == (403, True)


@pytest.mark.parametrize("body", INTO)
async def test_a_network_of_the_host_s_own_is_dockerd_s_though_the_swarm_has_the_name_too(body: dict[str, Any]) -> None:
    api = Api.manager(World.make())
    assert (await api.call("POST", "/networks/create", OVERLAY))[0] == 201
    engine_has(api, "mynet", of_swarm=False)
    assert await goes_on(api, "/containers/create", body)
    assert await goes_on(api, "/networks/mynet/connect", {"Container": "a"})


@pytest.mark.parametrize("mode", ["", "default", "bridge", "host", "none", "container:mynet"])
async def test_what_names_no_network_of_the_swarm_asks_nobody(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api.worker()

    async def asked(method: str, target: str) -> Reply:
        raise AssertionError(target)

    monkeypatch.setattr(api.engine, "request", asked)
    assert await goes_on(api, "/containers/create", {"Image": "a", "HostConfig": {"NetworkMode": mode}})
    assert await goes_on(Api.outside(), "/containers/create", INTO[0])


async def test_what_cannot_be_read_and_an_engine_that_is_away_are_dockerd_s_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Api.worker()

    async def away(method: str, target: str) -> Reply:
        raise EngineUnreachableError("/run/docker.sock", "it is not there")

    monkeypatch.setattr(api.engine, "request", away)
    for body in (INTO[0], b"{", b"[]", {"HostConfig": 1}, {"NetworkingConfig": {"EndpointsConfig": []}}):
        assert await goes_on(api, "/containers/create", body)
