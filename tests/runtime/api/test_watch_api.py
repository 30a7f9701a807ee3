# SPDX-License-Identifier: Apache-2.0
"""``/queenright/v1/watch``: what changed since a version, line by line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.objects import Config, Network, Secret, Subnet
from queenright.spec.data import ConfigSpec, SecretSpec
from queenright.spec.network import NetworkSpec
from queenright.store.history import MOST_WEIGHT

SECONDS = 30.0


class Lines:
    """The lines of an answer, as they come."""

    def __init__(self, body: Any) -> None:
        assert not isinstance(body, bytes)
        self._body: AsyncIterator[bytes] = body
        self._text = b""

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while b"\n" not in self._text:
                self._text += await anext(self._body)
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    async def ended(self) -> bool:
        async with asyncio.timeout(SECONDS):
            return await anext(self._body, None) is None

    async def close(self) -> None:
        await self._body.aclose()  # type: ignore[attr-defined]


async def watch(api: Api, query: str = "") -> Lines:
    response = await api.respond("GET", "/queenright/v1/watch" + query)
    assert response.status == 200
    return Lines(response.body)


def told(line: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["action"], event["kind"]) for event in line["events"]]


async def test_each_commit_is_a_line_from_now_on() -> None:
    world = World.make()
    api = Api.manager(world)
    lines = await watch(api)
    assert await lines.next() == {"version": world.store.index, "events": []}
    web = await world.service("web")
    line = await lines.next()
    assert (line["version"], told(line)) == (world.store.index, [("create", "service")])
    assert line["events"][0]["object"]["Spec"]["Name"] == "web"
    await world.control.services.remove("web")
    line = await lines.next()
    assert line["events"] == [{"action": "remove", "kind": "service", "id": web.id}]
    await lines.close()


async def test_who_broke_off_goes_on_from_the_version_that_was_seen_last() -> None:
    world = World.make()
    api = Api.manager(world)
    await world.service("one")
    version = world.store.index
    await world.service("two")
    await world.service("three")
    lines = await watch(api, f"?from={version}")
    await lines.next()
    names = [(await lines.next())["events"][0]["object"]["Spec"]["Name"] for _ in range(2)]
    assert names == ["two", "three"]
    await lines.close()


async def test_lists_say_from_which_version_they_are_to_be_watched() -> None:
    world = World.make()
    api = Api.manager(world)
    response = await api.respond("GET", "/services")
    version = response.headers["X-Queenright-Version"]
    await world.service("web")
    lines = await watch(api, f"?from={version}&kind=service")
    await lines.next()
    assert told(await lines.next()) == [("create", "service")]
    await lines.close()


async def test_only_the_kinds_that_are_asked_for_are_told() -> None:
    world = World.make()
    api = Api.manager(world)
    lines = await watch(api, "?kind=node,task")
    await lines.next()
    await world.service("web")
    world.worker("late")
    assert told(await lines.next()) == [("create", "node")]
    await lines.close()
    assert await api.error("GET", "/queenright/v1/watch?kind=ticket") == (
        400,
        "kind 'ticket' is none of swarm, node, service, task, secret, config, network, stack",
    )


async def test_the_data_of_secrets_and_configs_and_the_swarms_tokens_are_never_told() -> None:
    world = World.make()
    api = Api.manager(world)
    lines = await watch(api)
    await lines.next()
    secret = Secret(id="s" * 25, spec=SecretSpec(name="key"), data=b"hunter2")
    config = Config(id="c" * 25, spec=ConfigSpec(name="conf"), data=b"hunter3")
    cluster = world.context.cluster
    assert world.store.apply(world.store.index + 1, Batch(1, (Create(secret), Create(config), Update(cluster)))) is None
    line = await lines.next()
    assert told(line) == [("create", "secret"), ("create", "config"), ("update", "swarm")]
    text = json.dumps(line)
    assert "hunter" not in text
    assert "aHVudGVy" not in text
    assert cluster.worker_token not in text
    assert cluster.manager_token not in text
    assert line["events"][0]["object"]["Spec"]["Name"] == "key"
    await lines.close()


async def test_networks_are_told_as_the_engine_api_shows_them() -> None:
    world = World.make()
    api = Api.manager(world)
    lines = await watch(api, "?kind=network")
    await lines.next()
    subnet = Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1")
    made = Network(id="n" * 25, spec=NetworkSpec(name="mynet"), vni=4096, subnets=(subnet,))
    assert world.store.apply(world.store.index + 1, Batch(1, (Create(made),))) is None
    line = await lines.next()
    assert told(line) == [("create", "network")]
    shown = line["events"][0]["object"]
    assert (shown["Name"], shown["IPAM"]["Config"][0]["Subnet"]) == ("mynet", "10.0.1.0/24")
    assert world.store.apply(world.store.index + 1, Batch(2, (Delete("network", made.id),))) is None
    assert told(await lines.next()) == [("remove", "network")]
    await lines.close()


async def test_a_version_that_is_forgotten_is_refused_and_says_what_to_do() -> None:
    world = World.make()
    api = Api.manager(world)
    begun = world.store.index
    for _ in range(MOST_WEIGHT // 20 + 5):
        await world.service("web")
        await world.control.services.remove("web")
    status, text = await api.error("GET", f"/queenright/v1/watch?from={begun}")
    assert status == 410
    assert text.startswith(f"version {begun} is too old")
    assert "list again" in text


async def test_a_snapshot_that_took_the_place_of_everything_ends_the_watch_with_the_reason() -> None:
    world = World.make()
    api = Api.manager(world)
    lines = await watch(api)
    await lines.next()
    world.store.adopt(world.store.prepare_restore(world.store.index + 1000, list(world.store.freeze()())))
    line = await lines.next()
    assert "list again" in line["error"]
    assert line["version"] == world.store.index
    assert await lines.ended()


async def test_a_host_that_does_not_manage_the_swarm_says_so() -> None:
    status, text = await Api.worker().error("GET", "/queenright/v1/watch")
    assert status == 503
    assert "not a swarm manager" in text


async def test_what_is_removed_and_made_again_in_one_commit_is_two_events() -> None:
    world = World.make()
    web = await world.service("web")
    api = Api.manager(world)
    lines = await watch(api)
    await lines.next()
    world.store.apply(world.store.index + 1, Batch(1, (Delete("service", web.id), Create(web))))
    assert told(await lines.next()) == [("remove", "service"), ("create", "service")]
    await lines.close()
