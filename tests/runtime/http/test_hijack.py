# SPDX-License-Identifier: Apache-2.0
"""Connections that stop being HTTP: attach, exec, BuildKit's sessions."""

from __future__ import annotations

import asyncio
import socket

import pytest

ATTACH = (
    b"POST /v1.41/containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
    b"Upgrade: tcp\r\nContent-Length: 0\r\n\r\n"
)
OLD_ATTACH = b"POST /containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
RAW = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"

KINDS = pytest.mark.parametrize(
    ("request_head", "answer"), [(ATTACH, UPGRADED), (OLD_ATTACH, RAW)], ids=["upgraded", "raw"]
)


@KINDS
async def test_bytes_pass_both_ways(site, engine, request_head, answer) -> None:
    async def script(wire) -> None:
        await wire.send(answer + b"welcome")
        while data := await wire._reader.read(1000):
            await wire.send(data.upper())

    engine.script = script
    client = await site.connect()
    await client.send(request_head)
    assert await client.head() == answer
    assert await client.read(7) == b"welcome"
    for word in (b"hello", b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\n"):
        await client.send(word)
        assert await client.read(len(word)) == word.upper()


@KINDS
async def test_the_end_of_the_clients_input_reaches_the_container_and_its_output_comes_back(
    site, engine, request_head, answer
) -> None:
    async def script(wire) -> None:
        await wire.send(answer)
        data = await wire.rest()
        await wire.send(b"got " + data)

    engine.script = script
    client = await site.connect()
    await client.send(request_head)
    await client.head()
    await client.send(b"all of stdin")
    client.end()
    assert await client.rest() == b"got all of stdin"


@KINDS
async def test_the_end_of_the_output_reaches_the_client_and_its_input_still_passes(
    site, engine, request_head, answer, eventually
) -> None:
    got = []

    async def script(wire) -> None:
        await wire.send(answer + b"output")
        wire.end()
        got.append(await wire.rest())

    engine.script = script
    client = await site.connect()
    await client.send(request_head)
    await client.head()
    assert await client.rest() == b"output"
    await client.send(b"late input")
    client.end()
    await eventually(lambda: got)
    assert got == [b"late input"]


async def test_input_sent_with_the_request_is_not_lost(site, engine) -> None:
    async def script(wire) -> None:
        await wire.send(UPGRADED)
        await wire.send(b"got " + await wire.rest())

    engine.script = script
    client = await site.connect()
    await client.send(ATTACH + b"early")
    client.end()
    assert (await client.rest()).endswith(b"got early")


async def test_exec_sends_its_body_before_the_hijack(site, engine) -> None:
    body = b'{"Detach":false,"Tty":true}'
    got = []

    async def script(wire) -> None:
        got.append(await wire.read(len(body)))
        await wire.send(UPGRADED + b"out")
        wire.end()
        await wire.rest()

    engine.script = script
    client = await site.connect()
    head = (
        b"POST /exec/x/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: %d\r\n\r\n"
    )
    await client.send(head % len(body))
    await client.send(body)
    assert (await client.rest()).endswith(b"out")
    assert got == [body]


async def test_buildkits_session_switches_to_http_2(site, engine) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    async def script(wire) -> None:
        await wire.send(answer)
        assert await wire.read(len(preface)) == preface
        await wire.send(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Uuid: a\r\n\r\n")
    assert await client.head() == answer
    await client.send(preface)
    assert await client.read(9) == b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


async def test_a_refused_upgrade_leaves_the_connection_for_the_next_request(site, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"{}", "404 Not Found"))
        await wire.head()
        await wire.send(respond(b"next"))

    engine.script = script
    client = await site.connect()
    await client.send(ATTACH)
    assert (await client.answer())[0] == 404
    await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n")
    assert (await client.answer())[2] == b"next"


@pytest.mark.parametrize("side", ["client", "engine"])
async def test_one_side_hanging_up_ends_the_other(site, engine, side, eventually) -> None:
    ended = asyncio.Event()

    async def script(wire) -> None:
        await wire.send(UPGRADED)
        if side == "client":
            await wire.rest()
            ended.set()

    engine.script = script
    client = await site.connect()
    await client.send(ATTACH)
    await client.head()
    if side == "client":
        await client.close()
        async with asyncio.timeout(30):
            await ended.wait()
    else:
        assert await client.rest() == b""
    await eventually(lambda: site.server.connections == 0)


async def test_output_is_whole_though_the_container_takes_no_more_input(site, engine) -> None:
    """A container ends while its client still writes and reads slowly: nothing of the output may be lost."""
    output = bytes(range(256)) * 2048

    async def script(wire) -> None:
        await wire.send(UPGRADED)
        await wire.read(1)
        await wire.send(output)  # and closes, with input unread

    def client() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(site.path)
            sock.sendall(ATTACH)
            got, broken = b"", False
            while data := sock.recv(4096):
                got += data
                try:
                    if not broken:
                        sock.sendall(b"y\n" * 500)
                except BrokenPipeError:
                    broken = True
        return got

    engine.script = script
    assert await asyncio.to_thread(client) == UPGRADED + output
