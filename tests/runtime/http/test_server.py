# SPDX-License-Identifier: Apache-2.0
"""The life of the server: it takes clients, and ends them in good order."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from queenright.edge.http import listener
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.server import Server

NODES = b"GET /nodes HTTP/1.1\r\nHost: d\r\n\r\n"


def exists(path: str) -> bool:
    return os.path.exists(path)


async def test_stopping_closes_idle_clients_and_removes_the_socket(site) -> None:
    client = await site.connect()
    await client.send(b"GET /images HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.answer()
    await site.server.stop()
    assert await client.rest() == b""
    assert site.server.connections == 0
    assert not exists(site.path)
    with pytest.raises(OSError, match="No such file"):
        await site.connect()


async def test_stopping_lets_a_call_of_ours_end(site) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        await release.wait()
        return Response(200, b"done")

    site.router.add("GET", "/nodes", handler)
    client = await site.connect()
    await client.send(NODES + NODES)
    await started.wait()
    stopping = asyncio.create_task(site.server.stop(own_grace=30, stream_grace=0))
    await asyncio.sleep(0.05)
    release.set()
    status, headers, body = await client.answer()
    assert (status, headers["connection"], body) == (200, "close", b"done")
    assert await client.rest() == b""
    await stopping


async def test_stopping_cuts_a_call_of_ours_that_takes_too_long(site) -> None:
    outcome = []

    async def handler(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("cut")
        return Response()

    site.router.add("GET", "/nodes", handler)
    client = await site.connect()
    await client.send(NODES)
    await asyncio.sleep(0.05)
    await site.server.stop(own_grace=0.2, stream_grace=0.1)
    assert outcome == ["cut"]
    assert await client.rest() == b""


async def test_stopping_cuts_streams_to_dockerd_after_their_grace(site, engine) -> None:
    ended = asyncio.Event()

    async def script(wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nev\r\n")
        await wire.rest()
        ended.set()

    engine.script = script
    client = await site.connect()
    await client.send(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.head()
    await site.server.stop(own_grace=20, stream_grace=0.1)
    assert await client.rest() == b"2\r\nev\r\n"
    async with asyncio.timeout(20):
        await ended.wait()


@pytest.mark.parametrize("streaming", [True, False])
async def test_stopping_cuts_calls_of_ours_that_only_wait_or_stream_as_early(site, streaming) -> None:
    async def wait_for_ever(request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    async def stream(request: Request) -> Response:
        async def body():
            yield b"line"
            await asyncio.Event().wait()

        return Response(200, body())

    site.router.add("GET", "/nodes", stream if streaming else wait_for_ever, abandon=not streaming)
    client = await site.connect()
    await client.send(NODES)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        await site.server.stop(own_grace=3600, stream_grace=0.1)
    assert (b"line" in await client.rest()) is streaming


async def test_a_short_call_to_dockerd_ends_within_the_grace(site, engine, respond) -> None:
    stopping = asyncio.Event()

    async def script(wire) -> None:
        await stopping.wait()
        await wire.send(respond(b"in time"))
        await wire.rest()

    engine.script = script
    client = await site.connect()
    await client.send(b"GET /images HTTP/1.1\r\nHost: d\r\n\r\n")
    await asyncio.sleep(0.05)
    stop = asyncio.create_task(site.server.stop(own_grace=30, stream_grace=30))
    await asyncio.sleep(0.05)
    stopping.set()
    assert (await client.answer())[2] == b"in time"
    await stop


async def test_an_inherited_socket_is_served_and_its_file_stays(site, folder) -> None:
    path = str(folder / "inherited")
    with socket.socket(socket.AF_UNIX) as parent:
        parent.bind(path)
        parent.listen()
        server = Server(site.router, site.upstream)
        server.start(listener.adopt(parent.dup()))
        site.path = path
        assert (await site.ask("/images"))[0] == 200
        await server.stop()
        assert exists(path)


async def test_a_server_starts_once(site, folder) -> None:
    second = listener.bind(str(folder / "second"))
    with pytest.raises(RuntimeError, match="started already"):
        site.server.start(second)
    second.close()


async def test_many_clients_at_once(site) -> None:
    answers = await asyncio.gather(*(site.ask(f"/images/{number}") for number in range(100)))
    assert [body for _, _, body in answers] == [f"/images/{number}".encode() for number in range(100)]
