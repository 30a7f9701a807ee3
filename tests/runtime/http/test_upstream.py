# SPDX-License-Identifier: Apache-2.0
"""dockerd as our handlers ask it."""

from __future__ import annotations

import asyncio

import pytest

from queenright.edge.http.errors import ApiError, EngineUnreachableError
from queenright.edge.http.upstream import Upstream


@pytest.fixture
async def upstream(engine):
    upstream = Upstream(engine.path)
    yield upstream
    upstream.close()


async def test_a_question_and_its_answer(upstream, engine, respond) -> None:
    async def script(wire) -> None:
        assert await wire.read(7) == b'{"a":1}'
        await wire.send(respond(b'{"Id":"x"}', "201 Created", "X-Extra: y\r\n"))

    engine.script = script
    reply = await upstream.request("POST", "/networks/create", b'{"a":1}', {"X-Registry-Auth": "e30="})
    assert (reply.status, reply.headers["x-extra"], reply.body) == (201, "y", b'{"Id":"x"}')
    head = engine.heads[0].decode()
    assert head.startswith("POST /networks/create HTTP/1.1\r\nHost: docker\r\n")
    assert "X-Registry-Auth: e30=\r\n" in head
    assert "Content-Type: application/json\r\n" in head
    assert "Content-Length: 7\r\n" in head


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
    ],
)
async def test_answers_of_every_framing(upstream, engine, answer) -> None:
    async def script(wire) -> None:
        await wire.send(answer)

    engine.script = script
    assert (await upstream.request("GET", "/x")).body == b"{}"


async def test_connections_are_kept_for_the_next_question(upstream, engine) -> None:
    for _ in range(5):
        await upstream.request("GET", "/x")
    assert engine.connections == 1
    await asyncio.gather(*(upstream.request("GET", "/x") for _ in range(8)))
    assert 1 < engine.connections <= 8


async def test_a_dead_kept_connection_is_replaced(upstream, engine) -> None:
    await upstream.request("GET", "/x")
    await engine.stop()
    await engine.start()
    assert (await upstream.request("POST", "/x", b"{}")).status == 200


async def test_a_write_is_not_repeated_when_its_connection_dies(upstream, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"first"))
        await wire.head()

    engine.script = script
    await upstream.request("GET", "/x")
    with pytest.raises(EngineUnreachableError, match="connection broke"):
        await upstream.request("POST", "/x", b"{}")
    assert engine.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n",
    ],
)
async def test_a_broken_answer_is_an_unreachable_engine(upstream, engine, answer) -> None:
    async def script(wire) -> None:
        await wire.send(answer)

    engine.script = script
    with pytest.raises(EngineUnreachableError) as caught:
        await upstream.request("GET", "/x")
    assert caught.value.status == 502


async def test_an_engine_that_hangs_is_given_up(upstream, engine) -> None:
    async def script(wire) -> None:
        await wire.rest()

    engine.script = script
    with pytest.raises(EngineUnreachableError, match=r"no answer within 0\.1 s"):
        await upstream.request("GET", "/x", timeout=0.1)


async def test_json_in_and_out(upstream, engine, respond) -> None:
    async def script(wire) -> None:
        assert await wire.read(7) == b'{"a":1}'
        await wire.send(respond(b'{"Id":"x"}\n'))

    engine.script = script
    assert await upstream.json("POST", "/x", {"a": 1}) == {"Id": "x"}


@pytest.mark.parametrize(
    ("body", "text"), [(b'{"message":"network x not found"}\n', "network x not found"), (b"plain text\n", "plain text")]
)
async def test_errors_of_dockerd_keep_their_status_and_text(upstream, engine, respond, body, text) -> None:
    async def script(wire) -> None:
        await wire.send(respond(body, "404 Not Found"))

    engine.script = script
    with pytest.raises(ApiError) as caught:
        await upstream.json("GET", "/networks/x")
    assert (caught.value.status, caught.value.message) == (404, text)


async def test_a_line_break_in_a_question_is_refused(upstream) -> None:
    with pytest.raises(ValueError, match="line break"):
        await upstream.request("GET", "/x HTTP/1.1\r\nX: y")


async def test_the_identity_is_asked_once_and_again_after_dockerd_was_restarted(upstream, engine) -> None:
    assert await upstream.identity() is await upstream.identity()
    assert (await upstream.identity()).maximum == "1.41"
    connections = engine.connections
    await engine.stop()
    assert (await upstream.identity()).maximum == "1.41", "the last known one stands in"
    engine.version["ApiVersion"] = "1.51"
    await engine.start()
    async with asyncio.timeout(20):
        while (await upstream.identity()).maximum != "1.51":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert engine.connections == connections + 1


async def test_there_is_no_identity_before_dockerd_answered(upstream, engine) -> None:
    await engine.stop()
    assert await upstream.identity() is None
    assert upstream.last_identity is None


@pytest.mark.parametrize(
    "version", [{}, {"ApiVersion": "x"}, {"ApiVersion": None}, {"ApiVersion": "1.10", "MinAPIVersion": "1.12"}]
)
async def test_what_is_no_docker_engine_has_no_identity(upstream, engine, version) -> None:
    engine.version = version
    assert await upstream.identity() is None


async def test_the_identity_is_asked_again_after_a_connection_broke_in_use(upstream, engine) -> None:
    async def script(wire) -> None:
        await wire.read(2)  # and closes without an answer

    engine.script = script
    assert (await upstream.identity()).maximum == "1.41"
    engine.version["ApiVersion"] = "1.51"
    assert (await upstream.identity()).maximum == "1.41"
    with pytest.raises(EngineUnreachableError):
        await upstream.request("POST", "/x", b"{}")
    assert (await upstream.identity()).maximum == "1.51"
