# SPDX-License-Identifier: Apache-2.0
"""``/events``: the swarm's and the engine's in one stream, as Docker's clients expect it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World, service_spec

from queenright.edge.http.api.swarm_events import EventFilter
from queenright.edge.http.engine_stream import EngineGoneError
from queenright.edge.http.messages import Request
from queenright.edge.http.router import PASS
from queenright.edge.http.upstream import Upstream
from queenright.model.changes import Batch, Create, Update
from queenright.model.objects import Secret
from queenright.model.states import NodeState
from queenright.spec.data import SecretSpec
from queenright.spec.network import NetworkSpec

SECONDS = 30.0
SECOND = 1_000_000_000


class Dockerd:
    """An engine that tells of events; it notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard = asyncio.Event()
        self.refusal = ""
        self.past: list[dict[str, Any]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self.path = str(Path(tempfile.mkdtemp(prefix="qr")) / "docker.sock")

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split(" ")[1])
        self.reader = reader
        if self.refusal:
            body = json.dumps({"message": self.refusal}).encode()
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in self.past:
            self._send(writer, event)
        self._writers.append(writer)
        self.heard.set()

    def tell(self, action: str, at: int = 0) -> None:
        for writer in self._writers:
            self._send(writer, container(action, at))

    def _send(self, writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
        line = json.dumps(event).encode() + b"\n"
        writer.write(b"%x\r\n%b\r\n" % (len(line) - 3, line[:-3]) + b"3\r\n" + line[-3:] + b"\r\n")

    def end(self, *, gently: bool) -> None:
        for writer in self._writers:
            if gently:
                writer.write(b"0\r\n\r\n")
            writer.close()


def container(action: str, at: int) -> dict[str, Any]:
    return {"Type": "container", "Action": action, "scope": "local", "time": at // SECOND, "timeNano": at}


class Events:
    """The events of an answer, as they come."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._text = b""

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while b"\n" not in self._text:
                self._text += await anext(self._body)
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(SECONDS):
            async for part in self._body:
                self._text += part
        return [json.loads(line) for line in self._text.splitlines()]

    async def close(self) -> None:
        await self._body.aclose()  # type: ignore[attr-defined]


@pytest.fixture
async def scene() -> AsyncIterator[tuple[World, Api, Dockerd]]:
    world = World.make()
    api, dockerd = Api.manager(world), Dockerd()
    await dockerd.start()
    upstream = Upstream(dockerd.path)
    api.engine.connect, api.engine.path = upstream.connect, dockerd.path  # type: ignore[attr-defined]
    yield world, api, dockerd
    dockerd.end(gently=False)
    dockerd._server.close()


async def listen(api: Api, query: str = "", **filters: list[str]) -> Events:
    target = "/events?" + query + ("&filters=" + quote(json.dumps(filters)) if filters else "")
    response = await api.respond("GET", target)
    assert not isinstance(response.body, bytes)
    return Events(response.body)


async def test_events_of_swarm_and_engine_come_in_one_stream(scene: tuple[World, Api, Dockerd]) -> None:
    world, api, dockerd = scene
    events = await listen(api)
    first = asyncio.create_task(events.next())
    await asyncio.sleep(0)
    web = await world.service("web")
    told = await first
    assert (told["Type"], told["Action"], told["scope"]) == ("service", "create", "swarm")
    assert told["Actor"] == {"ID": web.id, "Attributes": {"name": "web"}}
    assert told["timeNano"] // SECOND == told["time"]
    await asyncio.wait_for(dockerd.heard.wait(), SECONDS)
    dockerd.tell("start")
    assert (await events.next())["Action"] == "start"
    await events.close()


async def test_an_update_says_what_was_and_what_is(scene: tuple[World, Api, Dockerd]) -> None:
    world, api, _ = scene
    web = await world.service("web")
    events = await listen(api, type=["service"])
    first = asyncio.create_task(events.next())
    await asyncio.sleep(0)
    spec = service_spec("web", container={"Image": "busybox:2"}, Mode={"Replicated": {"Replicas": 7}})
    await world.control.services.update("web", web.version, spec)
    attributes = (await first)["Actor"]["Attributes"]
    assert attributes["replicas.new"] == "7"
    assert attributes["image.new"] == "busybox:2"
    assert attributes["image.old"]
    await world.control.services.remove("web")
    assert (await events.next())["Action"] == "remove"
    await events.close()


async def test_nodes_tell_of_their_state_and_availability(scene: tuple[World, Api, Dockerd]) -> None:
    world, api, _ = scene
    node = world.worker("one")
    events = await listen(api, type=["node"])
    first = asyncio.create_task(events.next())
    await asyncio.sleep(0)
    held = world.store.node(node.id)
    status = dataclasses.replace(held.status, state=NodeState.DOWN)
    spec = dataclasses.replace(held.spec, availability="drain")
    assert (
        world.store.apply(
            world.store.index + 1, Batch(5, (Update(dataclasses.replace(held, status=status, spec=spec)),))
        )
        is None
    )
    attributes = (await first)["Actor"]["Attributes"]
    assert attributes["name"] == "one"
    assert (attributes["availability.new"], attributes["state.new"]) == ("drain", "down")
    await events.close()


async def test_a_secret_is_told_by_its_name_alone(scene: tuple[World, Api, Dockerd]) -> None:
    world, api, _ = scene
    events = await listen(api, secret=["key"], type=["secret"])
    first = asyncio.create_task(events.next())
    await asyncio.sleep(0)
    rows = [Secret(id=name * 25, spec=SecretSpec(name=name), data=b"hunter2") for name in ("x", "key")]
    assert world.store.apply(world.store.index + 1, Batch(1, tuple(map(Create, rows)))) is None
    told = await first
    assert told["Actor"] == {"ID": "key" * 25, "Attributes": {"name": "key"}}
    assert "hunter" not in json.dumps(told)
    await events.close()


async def test_networks_of_the_swarm_have_events_and_so_have_the_host_s(scene: tuple[World, Api, Dockerd]) -> None:
    world, api, _ = scene
    events = await listen(api, type=["network"], scope=["swarm"])
    first = asyncio.create_task(events.next())
    await asyncio.sleep(0)
    key = await world.control.networks.create(NetworkSpec(name="mynet"))
    told = await first
    assert (told["Type"], told["Action"], told["scope"]) == ("network", "create", "swarm")
    assert told["Actor"] == {"ID": key, "Attributes": {"name": "mynet", "type": "overlay"}}
    await events.close()
    both = EventFilter({"type": ["network"]})
    assert (both.swarm, both.engine) == (True, True), "the host's own networks have events of that type too"


async def test_what_was_is_told_in_order_of_time_and_ends_at_until(scene: tuple[World, Api, Dockerd]) -> None:
    world, api, dockerd = scene
    await world.service("web")
    at = next(commit.at for commit in world.store.history if commit.events[0].object.kind == "service")
    dockerd.past = [container("create", at - SECOND), container("start", at + SECOND)]
    events = await listen(
        api, f"since={at / SECOND - 60:.9f}&until={world.clock.wall() / SECOND:.9f}", type=["service", "container"]
    )
    await asyncio.wait_for(dockerd.heard.wait(), SECONDS)
    asyncio.get_running_loop().call_later(0.5, lambda: dockerd.end(gently=True))
    assert [(one["Type"], one["Action"]) for one in await events.rest()] == [
        ("container", "create"),
        ("service", "create"),
        ("container", "start"),
    ]


@pytest.mark.parametrize("timed", [True, False], ids=["with their time", "of long ago"])
async def test_an_engine_that_never_pauses_does_not_keep_what_was_from_being_told(
    scene: tuple[World, Api, Dockerd], timed: bool
) -> None:
    world, api, dockerd = scene
    await world.service("web")
    at = next(commit.at for commit in world.store.history if commit.events[0].object.kind == "service")
    world.clock.move(10)
    dockerd.past = [container("create", at - SECOND), container("start", at + SECOND)]

    async def chatter() -> None:
        while True:
            dockerd.tell("exec", world.clock.wall() if timed else at - SECOND)
            await asyncio.sleep(0.002)

    chattering = asyncio.create_task(chatter())
    events = await listen(api, f"since={at / SECOND - 60:.9f}", type=["service", "container"])
    told = [(await events.next())["Action"]]
    await world.service("meanwhile")
    while told[-1] != "start":
        told.append((await events.next())["Action"])
    assert [action for action in told if action != "exec"] == ["create", "create", "start"]
    assert "exec" not in told or not timed
    while (one := await events.next())["Type"] != "service":
        assert one["Action"] == "exec"
    assert one["Actor"]["Attributes"]["name"] == "meanwhile"
    chattering.cancel()
    await events.close()


async def test_swarm_events_alone_need_no_engine(scene: tuple[World, Api, Dockerd]) -> None:
    world, api, dockerd = scene
    await world.service("web")
    await world.service("db")
    events = await listen(api, f"since=1&until={world.clock.wall() / SECOND:.9f}", scope=["swarm"], service=["we"])
    assert [one["Actor"]["Attributes"]["name"] for one in await events.rest()] == ["web"]
    assert dockerd.asked == []


async def test_what_is_dockerds_alone_is_passed_to_it(scene: tuple[World, Api, Dockerd]) -> None:
    _, api, dockerd = scene

    async def passed(asked: Api, **filters: list[str]) -> bool:
        found = asked.router.find("GET", "/events")
        assert found is not None
        return await found[0].handler(Request("GET", "/events", query={"filters": [json.dumps(filters)]})) is PASS

    assert await passed(api, type=["container"])
    assert await passed(api, scope=["local"])
    assert await passed(Api.worker())
    assert await passed(Api.outside(), type=["service"])
    assert dockerd.asked == []


async def test_dockerd_is_asked_as_the_client_asked_and_its_refusal_is_the_answer(
    scene: tuple[World, Api, Dockerd],
) -> None:
    _, api, dockerd = scene
    dockerd.refusal = "invalid filter 'colour'"
    assert await api.error("GET", "/events?filters=" + quote('{"colour":["blue"]}')) == (400, "invalid filter 'colour'")
    assert dockerd.asked == ["/v1.41/events?filters=%7B%22colour%22%3A+%5B%22blue%22%5D%7D".replace("+", "")]


async def test_the_stream_breaks_off_with_dockerds_and_swarm_events_of_the_time_between_are_not_lost(
    scene: tuple[World, Api, Dockerd],
) -> None:
    world, api, dockerd = scene
    events = await listen(api)
    first = asyncio.create_task(events.next())
    await asyncio.wait_for(dockerd.heard.wait(), SECONDS)
    dockerd.end(gently=False)
    with pytest.raises(EngineGoneError):
        await first
    await world.service("meanwhile")
    again = await listen(api, "since=1", type=["service"])
    assert (await again.next())["Actor"]["Attributes"]["name"] == "meanwhile"
    await again.close()


async def test_a_source_that_fails_in_an_unforeseen_way_ends_the_stream(
    scene: tuple[World, Api, Dockerd], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, api, _ = scene

    def fails(*_: object) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr("queenright.edge.http.api.events.events_of", fails)
    events = await listen(api)
    first = asyncio.create_task(events.next())
    await asyncio.sleep(0)
    await world.service("web")
    with pytest.raises(ZeroDivisionError):
        await first


async def test_a_client_that_goes_before_the_first_event_leaves_no_stream_of_the_engine_behind(
    scene: tuple[World, Api, Dockerd],
) -> None:
    _, api, dockerd = scene
    events = await listen(api)
    await asyncio.wait_for(dockerd.heard.wait(), SECONDS)
    await events.close()
    async with asyncio.timeout(SECONDS):
        assert await dockerd.reader.read() == b"", "the engine sees the end of the connection"


async def test_times_that_cannot_be_are_refused(scene: tuple[World, Api, Dockerd]) -> None:
    _, api, _ = scene
    assert await api.error("GET", "/events?since=soon") == (
        400,
        "invalid since 'soon': expected seconds since the epoch",
    )
    status, text = await api.error("GET", "/events?since=20&until=10")
    assert (status, text) == (400, "`since` time (20) cannot be after `until` time (10)")
