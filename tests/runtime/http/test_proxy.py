# SPDX-License-Identifier: Apache-2.0
"""Requests that are dockerd's: every framing passes as it came, in both directions."""

from __future__ import annotations

import asyncio
import hashlib
import socket

import pytest

GET = b"GET /v1.41/containers/json?all=1 HTTP/1.1\r\nhost: Docker\r\nX-CustomCase: a  b\r\nUser-Agent: t\r\n\r\n"


async def test_a_head_passes_with_its_case_order_and_version(site, engine) -> None:
    client = await site.connect()
    await client.send(GET)
    assert (await client.answer())[0] == 200
    assert engine.heads == [GET]


async def test_an_answer_passes_byte_by_byte(site, engine, respond) -> None:
    answer = respond(b"[]\n", headers="x-odd: 1\r\nX-Odd: 2\r\n")

    async def script(wire) -> None:
        await wire.send(answer)

    engine.script = script
    client = await site.connect()
    await client.send(GET)
    assert await client.read(len(answer)) == answer


async def test_requests_of_one_client_share_one_connection_to_dockerd(site, engine) -> None:
    client = await site.connect()
    for number in range(5):
        await client.send(f"GET /images/{number} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        assert (await client.answer())[2] == f"/images/{number}".encode()
    assert engine.connections == 1


async def test_pipelined_requests_are_answered_in_order(site, engine) -> None:
    client = await site.connect()
    await client.send(b"".join(f"GET /a/{number} HTTP/1.1\r\nHost: d\r\n\r\n".encode() for number in range(20)))
    assert [(await client.answer())[2] for _ in range(20)] == [f"/a/{number}".encode() for number in range(20)]


async def test_empty_lines_before_a_request_are_skipped(site) -> None:
    client = await site.connect()
    await client.send(b"\r\n\r\nGET /a HTTP/1.1\r\nHost: d\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: d\r\n\r\n")
    assert [(await client.answer())[2] for _ in range(2)] == [b"/a", b"/b"]


BODIES = {
    "length": (b"Content-Length: 11", b"hello world"),
    "no length": (b"Content-Length: 0", b""),
    "chunks": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"),
    "trailers": (b"Trailer: Sum\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\nSum: 1\r\n\r\n"),
}


@pytest.mark.parametrize(("framing", "body"), BODIES.values(), ids=BODIES.keys())
async def test_a_request_body_passes_and_the_next_request_follows(site, engine, respond, framing, body) -> None:
    got = []

    async def script(wire) -> None:
        got.append(await wire.read(len(body)))
        await wire.send(respond(b"first"))
        got.append(await wire.head())
        await wire.send(respond(b"second"))

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /images/load HTTP/1.1\r\nHost: d\r\n" + framing + b"\r\n\r\n" + body + GET)
    assert [(await client.answer())[2], (await client.answer())[2]] == [b"first", b"second"]
    assert got == [body, GET]


ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "GET"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nSum: 1\r\n\r\n", "GET"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE"),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", "POST"),
    "head": (b"HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: e30=\r\nContent-Length: 99\r\n\r\n", "HEAD"),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "GET"),
}


@pytest.mark.parametrize(("answer", "method"), ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_an_answer_passes_and_the_next_one_follows(site, engine, answer, method, piece) -> None:
    async def script(wire) -> None:
        for start in range(0, len(answer), piece):
            await wire.send(answer[start : start + piece])
            await asyncio.sleep(0)
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")

    engine.script = script
    client = await site.connect()
    await client.send(f"{method} /containers/x HTTP/1.1\r\nHost: d\r\n\r\n".encode() + GET)
    assert await client.read(len(answer)) == answer
    assert (await client.answer())[2] == b"next"


async def test_an_answer_without_length_lasts_until_dockerd_closes(site, engine) -> None:
    async def script(wire) -> None:
        await wire.send(b"HTTP/1.0 200 OK\r\n\r\nhello ")
        await wire.send(b"world")

    engine.script = script
    client = await site.connect()
    await client.send(b"GET /x HTTP/1.0\r\n\r\n")
    assert (await client.rest()).endswith(b"\r\n\r\nhello world")


async def test_a_head_is_passed_on_before_its_body_comes(site, engine) -> None:
    """`wait` answers its head at once and its body when the container has ended."""
    go = asyncio.Event()

    async def script(wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await go.wait()
        await wire.send(b'10\r\n{"StatusCode":0}\r\n0\r\n\r\n')

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /containers/x/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
    assert (await client.head()).startswith(b"HTTP/1.1 200 OK")
    go.set()
    assert await client.read(27) == b'10\r\n{"StatusCode":0}\r\n0\r\n\r\n'


async def test_each_piece_of_a_stream_is_passed_on_at_once(site, engine) -> None:
    seen: asyncio.Queue[None] = asyncio.Queue()

    async def script(wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            await wire.send(b"2\r\nev\r\n")
            await seen.get()
        await wire.send(b"0\r\n\r\n")

    engine.script = script
    client = await site.connect()
    await client.send(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.head()
    for _ in range(5):
        assert await client.read(7) == b"2\r\nev\r\n"
        seen.put_nowait(None)
    assert await client.read(5) == b"0\r\n\r\n"


async def test_a_client_waits_for_dockerds_own_100_continue(site, engine, respond) -> None:
    go = asyncio.Event()

    async def script(wire) -> None:
        await go.wait()
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await wire.read(5) == b"hello"
        await wire.send(respond(b"done"))
        await wire.head()
        await wire.send(respond(b"next"))

    engine.script = script
    client = await site.connect()
    await client.send(
        b"PUT /containers/x/archive HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    go.set()
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"hello")
    assert (await client.answer())[2] == b"done"
    await client.send(GET)
    assert (await client.answer())[2] == b"next"


async def test_a_refusal_instead_of_100_continue_ends_the_connection(site, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"{}", "404 Not Found"))
        await wire.rest()

    engine.script = script
    client = await site.connect()
    await client.send(
        b"PUT /containers/x/archive HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    assert (await client.answer())[0] == 404
    assert await client.rest() == b""


async def test_an_answer_before_the_end_of_the_body_reaches_the_client(site, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"{}", "400 Bad Request", "Connection: close\r\n"))

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
    assert (await client.answer())[0] == 400
    assert await client.rest() == b""


async def test_a_slow_body_may_end_after_the_answer(site, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b"early"))
        await wire.read(10)
        await wire.head()
        await wire.send(respond(b"next"))

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\n12345")
    assert (await client.answer())[2] == b"early"
    await client.send(b"67890" + GET)
    assert (await client.answer())[2] == b"next"


def fill(sock: socket.socket, block: bytes) -> int:
    """Write until the peer has taken nothing for a good while; returns the number of bytes taken."""
    sock.settimeout(0.5)
    taken = 0
    try:
        while True:
            taken += sock.send(block)
    except TimeoutError:
        return taken


BIG = 64 * 1024 * 1024
BOUND = 4 * 1024 * 1024


async def test_a_big_body_waits_for_dockerd_and_not_in_memory(site, engine, respond) -> None:
    go, digests = asyncio.Event(), []

    async def script(wire) -> None:
        wire._reader._transport.pause_reading()
        await go.wait()
        wire._reader._transport.resume_reading()
        digest = hashlib.sha256()
        left = BIG
        while left:
            block = await wire.read(min(left, 1024 * 1024))
            digest.update(block)
            left -= len(block)
        digests.append(digest.hexdigest())
        await wire.send(respond(b"done"))

    engine.script = script
    block = bytes(range(256)) * 256
    with socket.socket(socket.AF_UNIX) as sock:
        await asyncio.to_thread(sock.connect, site.path)
        sock.sendall(f"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: {BIG}\r\n\r\n".encode())
        taken = await asyncio.to_thread(fill, sock, block)
        assert taken < BOUND
        go.set()
        sock.settimeout(30)
        rest = (block * (BIG // len(block)))[taken:]
        await asyncio.to_thread(sock.sendall, rest)
        assert (await asyncio.to_thread(sock.recv, 1000)).endswith(b"done")
    assert digests == [hashlib.sha256(block * (BIG // len(block))).hexdigest()]


async def test_a_big_answer_waits_for_the_client_and_not_in_memory(site, engine) -> None:
    sent = 0
    block = bytes(range(256)) * 256

    async def script(wire) -> None:
        nonlocal sent
        await wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n".encode())
        while sent < BIG:
            await wire.send(block)
            sent += len(block)

    engine.script = script
    client = await site.connect()
    client._reader._transport.pause_reading()
    await client.send(b"GET /images/get HTTP/1.1\r\nHost: d\r\n\r\n")
    before = -1
    while before != sent or not sent:
        before = sent
        await asyncio.sleep(0.3)
    assert sent < BOUND
    client._reader._transport.resume_reading()
    await client.head()
    digest = hashlib.sha256()
    for _ in range(BIG // len(block)):
        digest.update(await client.read(len(block)))
    assert digest.hexdigest() == hashlib.sha256(block * (BIG // len(block))).hexdigest()


@pytest.mark.parametrize("how", ["close", "end"])
async def test_a_stream_ends_at_dockerd_when_its_client_goes(site, engine, how) -> None:
    ended = asyncio.Event()

    async def script(wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nev\r\n")
        assert await wire.rest() == b""
        ended.set()

    engine.script = script
    client = await site.connect()
    await client.send(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.head()
    if how == "close":
        await client.close()
    else:
        client.end()
    async with asyncio.timeout(30):
        await ended.wait()


async def test_a_call_without_answer_yet_is_cancelled_at_dockerd_when_its_client_goes(site, engine) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def script(wire) -> None:
        started.set()
        await wire.rest()
        ended.set()

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /containers/x/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
    async with asyncio.timeout(30):
        await started.wait()
        await client.close()
        await ended.wait()


async def test_an_upload_cut_by_its_client_ends_at_dockerd(site, engine, eventually) -> None:
    got = []

    async def script(wire) -> None:
        got.append(await wire.rest())

    engine.script = script
    client = await site.connect()
    await client.send(b"POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\nhalf")
    await client.close()
    await eventually(lambda: got)
    assert got == [b"half"]


async def test_a_client_that_ends_its_side_still_gets_its_answer(site, engine, respond) -> None:
    async def script(wire) -> None:
        assert await wire.rest() == b""
        await wire.send(respond(b"late"))

    engine.script = script
    client = await site.connect()
    await client.send(GET)
    client.end()
    assert (await client.answer())[2] == b"late"
    assert await client.rest() == b""
