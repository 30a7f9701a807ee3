# SPDX-License-Identifier: Apache-2.0
"""Logs of services and tasks as clients of the Engine API get them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.edge.http.messages import Response
from queenright.manager import log_reader
from queenright.manager.control import Control
from queenright.manager.log_reader import LogReader
from queenright.model.errors import NotLeading, Unavailable
from queenright.model.logs import LogLine, LogOptions, LogRead, LogReadRequest
from queenright.wire.logs import pack_lines, unpack_lines

AT = 1_709_294_400_123_456_789
STAMP = "2024-03-01T12:00:00.123456789Z"
END = (
    "Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream. some logs could not be "
    "retrieved for the following reasons: {}\n"
)


class Leader:
    """Gives ``parts``; an error in it is raised, ``...`` waits for ever."""

    def __init__(self) -> None:
        self.parts: list[object] = []
        self.asked: list[LogReadRequest] = []
        self.open = 0

    async def read(self, request: LogReadRequest) -> AsyncGenerator[LogRead, None]:
        self.asked.append(request)
        self.open += 1
        try:
            yield LogRead()
            for item in self.parts:
                if isinstance(item, Exception):
                    raise item
                if item is ...:
                    await asyncio.Event().wait()
                assert isinstance(item, LogRead)
                yield item
        finally:
            self.open -= 1


class Site:
    def __init__(self) -> None:
        self.world, self.leader = World.make(), Leader()
        self.source: Leader | None = self.leader
        reader = LogReader(lambda: self.source, unpack_lines, self.world.clock, lambda: 0.1)
        self.world.control = Control(self.world.context, self.world.control.authority, reader)
        self.api = Api.manager(self.world)

    def say(self, *lines: LogLine, task_id: str = "t") -> None:
        self.leader.parts.append(LogRead(task_id=task_id, node_id="n", service_id="s", lines=pack_lines(lines)))

    def lack(self, reason: str, task_id: str = "t") -> None:
        self.leader.parts.append(LogRead(task_id=task_id, node_id="n", service_id="s", missing=reason))

    async def get(self, target: str, version: tuple[int, int] | None = (1, 41)) -> Response:
        async with asyncio.timeout(60):
            return await self.api.respond("GET", target, version=version)

    async def body(self, target: str) -> bytes:
        response = await self.get(target)
        assert response.status == 200, response
        assert not isinstance(response.body, bytes)
        return b"".join([part async for part in response.body])

    async def frames(self, target: str) -> list[tuple[int, str]]:
        data, found = await self.body(target), []
        while data:
            assert data[1:4] == b"\0\0\0"
            length = int.from_bytes(data[4:8])
            found.append((data[0], data[8 : 8 + length].decode()))
            data = data[8 + length :]
        return found


@pytest.fixture
async def site() -> Site:
    made = Site()
    await made.world.service()
    return made


async def test_each_message_is_a_frame_of_its_stream(site: Site) -> None:
    site.say(LogLine(AT, 1, "", b"out\n"), LogLine(AT, 2, "", b"err\n"))
    site.say(LogLine(AT, 1, "", b"part of a long line"))
    frames = await site.frames("/services/web/logs?stdout=1&stderr=1")
    assert frames == [(1, "out\n"), (2, "err\n"), (1, "part of a long line")]


async def test_times_and_details_stand_before_the_text_when_wanted(site: Site) -> None:
    site.say(LogLine(AT, 1, "tag=x%2Cy,a=b+c", b"out\n"))
    ids = "com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t"
    for query, text in (
        ("timestamps=1", f"{STAMP} out\n"),
        ("details=1", f"a=b+c,{ids},tag=x%2Cy out\n"),
        ("details=true&timestamps=1", f"{STAMP} a=b+c,{ids},tag=x%2Cy out\n"),
        ("details=0&timestamps=false", "out\n"),
    ):
        assert await site.frames(f"/services/web/logs?stdout=1&{query}") == [(1, text)]


async def test_a_driver_s_word_on_where_a_line_is_from_does_not_count(site: Site) -> None:
    site.say(LogLine(AT, 1, "com.docker.swarm.task.id=forged", b"out\n"))
    ((_, text),) = await site.frames("/services/web/logs?stdout=1&details=1")
    assert "forged" not in text
    assert "com.docker.swarm.task.id=t " in text


async def test_what_is_asked_reaches_the_leader(site: Site) -> None:
    await site.body("/services/web/logs?stdout=1&tail=12&since=1700000000.5&until=1700000009&follow=true")
    (asked,) = site.leader.asked
    second = 10**9
    assert asked.options == LogOptions(
        follow=True,
        stdout=True,
        stderr=False,
        since=1_700_000_000 * second + second // 2,
        until=1_700_000_009 * second,
        tail=12,
    )
    service = site.world.store.service("web")
    assert (asked.service_ids, asked.task_ids) == ((service.id,), ())


async def test_what_the_docker_sdk_sends_is_understood(site: Site) -> None:
    query = "details=False&follow=False&stdout=True&stderr=False&since=0&timestamps=False&tail=all"
    await site.body(f"/services/web/logs?{query}")
    assert site.leader.asked[0].options == LogOptions(stderr=False)


async def test_a_task_has_its_own_log(site: Site) -> None:
    task = site.world.task(site.world.store.service("web"))
    site.say(LogLine(AT, 1, "", b"out\n"))
    assert await site.frames(f"/tasks/{task.id[:12]}/logs?stdout=1") == [(1, "out\n")]
    assert (site.leader.asked[0].service_ids, site.leader.asked[0].task_ids) == ((), (task.id,))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "Bad parameters: you must choose at least one stream"),
        ("stdout=0&stderr=false", "Bad parameters: you must choose at least one stream"),
        ("stdout=1&tail=-1", "negative tail values not supported"),
        ("stdout=1&tail=x", 'tail value must be a positive integer or "all"'),
        ("stdout=1&since=yesterday", "could not parse since timestamp 'yesterday'"),
        ("stdout=1&until=-5", "could not parse until timestamp '-5'"),
        ("stdout=1&since=1.2.3", "could not parse since timestamp"),
    ],
)
@pytest.mark.parametrize("path", ["/services/web/logs", "/services/nosuch/logs", "/tasks/nosuch/logs"])
async def test_parameters_are_judged_first(site: Site, path: str, query: str, message: str) -> None:
    status, said = await site.api.error("GET", f"{path}?{query}")
    assert (status, said.startswith(message)) == (400, True)
    assert site.leader.asked == []


async def test_what_is_not_there_has_no_log(site: Site) -> None:
    assert await site.api.error("GET", "/services/nosuch/logs?stdout=1") == (404, "service nosuch not found")
    assert await site.api.error("GET", "/tasks/nosuch/logs?stdout=1") == (404, "task nosuch not found")


async def test_the_kind_of_stream_is_said_to_those_who_know_it(site: Site) -> None:
    target = "/services/web/logs?stdout=1"
    multiplexed = "application/vnd.docker.multiplexed-stream"
    for version, said in (((1, 41), None), ((1, 42), multiplexed), ((1, 47), multiplexed), (None, multiplexed)):
        assert (await site.get(target, version)).headers.get("Content-Type") == said


async def test_a_terminal_s_log_has_no_frames(site: Site) -> None:
    await site.world.service("tty", TaskTemplate={"ContainerSpec": {"Image": "app:1", "TTY": True}})
    site.say(LogLine(AT, 1, "", b"out\r\n"))
    site.lack("node n is not available")
    body = await site.body("/services/tty/logs?stdout=1&timestamps=1")
    assert body == f"{STAMP} out\r\n{END.format('node n is not available')}".encode()
    response = await site.get("/services/tty/logs?stdout=1", (1, 42))
    assert response.headers["Content-Type"] == "application/vnd.docker.raw-stream"


async def test_what_is_missing_is_said_at_the_end_once_for_each_reason(site: Site) -> None:
    for reason in ("node a is not available", "node b is not available", "node a is not available"):
        site.lack(reason)
    site.say(LogLine(AT, 1, "", b"out\n"))
    frames = await site.frames("/services/web/logs?stdout=1")
    assert frames == [(1, "out\n"), (3, END.format("node a is not available, node b is not available"))]


async def test_who_follows_is_told_at_once_in_the_task_s_name_and_goes_on(site: Site) -> None:
    site.lack("node n disconnected unexpectedly")
    site.say(LogLine(AT, 1, "", b"out\n"))
    first, second = await site.frames("/services/web/logs?stdout=1&follow=1&details=1")
    ids = "com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t"
    words = "warning: incomplete log stream. some logs could not be retrieved for the following reasons: "
    assert first == (2, f"{ids} {words}node n disconnected unexpectedly\n")
    assert second[1].endswith(" out\n")


async def test_who_follows_and_loses_the_leader_is_told_at_the_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "PATIENCE", 0.2)
    site.say(LogLine(AT, 1, "", b"out\n"))
    site.leader.parts.append(NotLeading("leads no more"))
    response = await site.get("/services/web/logs?stdout=1&follow=1")
    assert not isinstance(response.body, bytes)
    parts = aiter(response.body)
    assert (await anext(parts)).endswith(b"out\n")
    site.source = None
    async with asyncio.timeout(60):
        (last,) = [part async for part in parts if part]
    assert last[0] == 3
    assert b"the manager that leads was lost" in last


async def test_without_a_leader_there_is_an_error_instead(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "FIRST_PATIENCE", 0.2)
    site.source = None
    status, message = await site.api.error("GET", "/services/web/logs?stdout=1")
    assert status == 503
    assert "does not have a leader" in message


async def test_what_the_leader_refuses_is_the_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "FIRST_PATIENCE", 0.2)

    class Full(Leader):
        async def read(self, request: LogReadRequest) -> AsyncGenerator[LogRead, None]:
            raise Unavailable("256 readers of logs are there already")
            yield LogRead()

    site.source = Full()
    status, message = await site.api.error("GET", "/services/web/logs?stdout=1")
    assert (status, "256 readers" in message) == (503, True)


async def test_a_client_that_goes_away_frees_what_was_begun_for_it(site: Site) -> None:
    site.say(LogLine(AT, 1, "", b"out\n"))
    site.leader.parts.append(...)
    for read_something in (True, False):
        response = await site.get("/services/web/logs?stdout=1&follow=1")
        assert site.leader.open == 1
        assert not isinstance(response.body, bytes)
        if read_something:
            await anext(aiter(response.body))
        await response.body.aclose()  # type: ignore[attr-defined]
        assert site.leader.open == 0


async def test_a_worker_has_no_logs_of_services() -> None:
    status, message = await Api.worker().error("GET", "/services/web/logs?stdout=1")
    assert status == 503
    assert "not a swarm manager" in message.lower() or "worker" in message.lower()
