# SPDX-License-Identifier: Apache-2.0
"""dockerd is away, dies midway or talks nonsense; clients talk nonsense."""

from __future__ import annotations

import asyncio
import json

import pytest

GET = b"GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"


def message(body: bytes) -> str:
    return json.loads(body)["message"]


async def test_an_engine_that_is_not_there_is_named_with_its_path(site, engine) -> None:
    await engine.stop()
    status, headers, body = await site.ask("/containers/json")
    assert status == 502
    assert headers["content-type"] == "application/json"
    assert f"Cannot connect to the Docker daemon at unix://{engine.path}: no such file" in message(body)
    assert "Is the docker daemon running?" in message(body)
    assert body.endswith(b"\n")


async def test_a_connection_outlives_an_engine_that_is_away(site, engine) -> None:
    client = await site.connect()
    await client.send(GET)
    assert (await client.answer())[0] == 200
    await engine.stop()
    await client.send(GET)
    assert (await client.answer())[0] == 502
    await engine.start()
    await client.send(GET)
    assert (await client.answer())[0] == 200


async def test_the_connection_to_dockerd_is_opened_again_when_it_was_closed_between_requests(
    site, engine, respond
) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"once"))

    engine.script = script
    client = await site.connect()
    for _ in range(3):
        await client.send(b"POST /containers/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        assert (await client.answer())[2] == b"once"
    assert engine.connections == 3


async def test_a_read_is_repeated_when_a_kept_connection_dies_under_it(site, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"first"))
        if engine.connections == 1:
            await wire.head()  # the second request arrives, and the engine goes down without a word
            return
        await wire.rest()

    engine.script = script
    client = await site.connect()
    await client.send(GET)
    await client.answer()
    await client.send(GET)
    assert (await client.answer())[2] == b"first"
    assert engine.connections == 2


async def test_a_write_is_never_repeated(site, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"first"))
        await wire.head()

    engine.script = script
    client = await site.connect()
    await client.send(GET)
    await client.answer()
    await client.send(b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}")
    status, _, body = await client.answer()
    assert status == 502
    assert "without an answer" in message(body)
    assert engine.connections == 1


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_an_engine_that_dies_before_its_answer_is_a_bad_gateway(site, engine, start) -> None:
    async def script(wire) -> None:
        await wire.send(start)

    engine.script = script
    status, _, body = await site.ask("/containers/json")
    assert status == 502
    assert "closed the connection" in message(body)


@pytest.mark.parametrize(
    ("start", "last"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"nonsense\r\n"),
    ],
)
async def test_a_cut_answer_stays_a_cut_answer(site, engine, start, last) -> None:
    async def script(wire) -> None:
        await wire.send(start)
        await go.wait()
        await wire.send(last)

    go = asyncio.Event()
    engine.script = script
    client = await site.connect()
    await client.send(GET)
    assert await client.read(len(start)) == start
    go.set()
    assert await client.rest() == b""


@pytest.mark.parametrize(
    "start",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
async def test_an_engine_that_speaks_no_http_is_a_bad_gateway(site, engine, start) -> None:
    async def script(wire) -> None:
        await wire.send(start)

    engine.script = script
    status, _, body = await site.ask("/containers/json")
    assert status == 502
    assert "not understood" in message(body)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\x05hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /" + b"a" * 66000 + b" HTTP/1.1\r\nHost: d\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: d\r\nX-Big: " + b"a" * 300_000, 431),
    ],
)
async def test_what_is_no_request_is_refused_and_its_connection_closed(site, engine, raw, status) -> None:
    client = await site.connect()
    await client.send(raw)
    got, headers, body = await client.answer()
    assert got == status
    assert headers["connection"] == "close"
    assert message(body)
    assert await client.rest() == b""
    assert engine.heads == []


async def test_a_head_just_below_the_limit_passes(site, engine) -> None:
    head = b"GET /x HTTP/1.1\r\nHost: d\r\nX-Big: " + b"a" * 60_000 + b"\r\n\r\n"
    client = await site.connect()
    await client.send(head)
    assert (await client.answer())[0] == 200
    assert engine.heads == [head]


async def test_a_body_of_nonsense_chunks_is_refused(site, engine) -> None:
    async def script(wire) -> None:
        await wire.rest()

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
    status, _, body = await client.answer()
    assert status == 400
    assert "malformed HTTP request body" in message(body)
    assert await client.rest() == b""


async def test_a_client_that_says_nothing_or_half_a_head_leaves_no_trace(site, engine, eventually) -> None:
    for start in (b"", b"GET / HT"):
        client = await site.connect()
        await client.send(start)
        await client.close()
    await eventually(lambda: site.server.connections == 0)
    assert engine.connections == 0


async def test_clients_do_not_wait_for_each_other(site, engine, respond, eventually) -> None:
    release = asyncio.Event()

    async def script(wire) -> None:
        if b"/slow" in engine.heads[-1]:
            await release.wait()
        await wire.send(respond(b"ok"))

    engine.script = script
    slow = await site.connect()
    await slow.send(b"GET /slow HTTP/1.1\r\nHost: d\r\n\r\n")
    await eventually(lambda: engine.heads)
    assert (await site.ask("/fast"))[0] == 200
    release.set()
    assert (await slow.answer())[0] == 200
