# SPDX-License-Identifier: Apache-2.0
"""Requests of all kinds on one connection, cut into pieces anywhere; and pure nonsense."""

from __future__ import annotations

import json
import logging
import random

import pytest

from queenright.edge.http.messages import Request, Response, json_list_response, json_response
from queenright.edge.http.router import PASS


async def echo(request: Request) -> Response:
    return json_response(request.json())


async def tasks(request: Request) -> Response:
    return json_list_response(["x" * 1000] * 300)


async def passed(request: Request):
    return PASS


def chunked(body: bytes, dice: random.Random) -> bytes:
    """``body`` in chunks of any size."""
    parts = b""
    while body:
        size = dice.randint(1, len(body))
        parts += b"%x\r\n%b\r\n" % (size, body[:size])
        body = body[size:]
    return parts + b"0\r\n\r\n"


def request(dice: random.Random, number: int) -> tuple[bytes, bytes]:
    """A random request and the body that its answer must have."""
    body = json.dumps({"n": number, "pad": "p" * dice.choice([0, 10, 5000])}, separators=(",", ":")).encode()
    kind = dice.choice(["own", "list", "proxied", "passed", "get"])
    if kind == "list":
        return b"GET /tasks HTTP/1.1\r\nHost: d\r\n\r\n", json.dumps(
            ["x" * 1000] * 300, separators=(",", ":")
        ).encode() + b"\n"
    if kind == "get":
        return f"GET /images/{number} HTTP/1.1\r\nHost: d\r\n\r\n".encode(), f"/images/{number} ".encode()
    target = {"own": "/services/create", "proxied": f"/build/{number}", "passed": "/containers/create"}[kind]
    framing, sent = f"Content-Length: {len(body)}", body
    if dice.random() < 0.5:
        framing, sent = "Transfer-Encoding: chunked", chunked(body, dice)
    head = f"POST {target} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    return head.encode() + sent, body + b"\n" if kind == "own" else f"{target} ".encode() + body


@pytest.mark.parametrize("seed", range(12))
async def test_every_request_gets_its_own_answer_however_it_arrives(site, engine, respond, seed) -> None:
    dice = random.Random(seed)

    async def script(wire) -> None:
        """Answers each request with its target and body, in either framing."""
        head = engine.heads[-1]
        while head:
            body = b""
            if b"chunked" in head:
                while size := int((await wire.line()), 16):
                    body += (await wire.read(size + 2))[:-2]
                await wire.line()
            elif b"Content-Length" in head:
                body = await wire.read(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
            answer = head.split()[1] + b" " + body
            if dice.random() < 0.5:
                await wire.send(respond(answer))
            else:
                await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(answer, dice))
            head = await wire.head()

    engine.script = script
    site.router.add("POST", "/services/create", echo)
    site.router.add("GET", "/tasks", tasks)
    site.router.add("POST", "/containers/create", passed)
    requests = [request(dice, number) for number in range(20)]
    stream = b"".join(raw for raw, _ in requests)
    client = await site.connect()
    while stream:
        size = dice.choice([1, 2, 7, 100, 4000])
        await client.send(stream[:size])
        stream = stream[size:]
    for raw, expected in requests:
        assert (await client.answer())[2] == expected, raw[:60]
    assert engine.connections == 2, "one for the client, one for our own questions"


@pytest.mark.parametrize("seed", range(40))
async def test_nonsense_never_harms_the_server(site, engine, eventually, caplog, seed) -> None:
    caplog.set_level(logging.WARNING)
    dice = random.Random(seed)
    site.router.add("POST", "/services/create", echo)
    good = b"POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    for _ in range(5):
        raw = bytearray(
            dice.choice([good, good + good, dice.randbytes(200), b"GET " + dice.randbytes(30) + b" HTTP/1.1\r\n\r\n"])
        )
        for _ in range(dice.randint(0, 4)):
            raw[dice.randrange(len(raw))] = dice.choice(b"\r\n\x00 :/A9\xff")
        client = await site.connect()
        await client.send(bytes(raw))
        client.end()
        await client.rest()
        await client.close()
    assert (await site.ask("/services/create", "POST", b'{"a":1}'))[2] == b'{"a":1}\n'
    await eventually(lambda: site.server.connections == 0)
    assert not [record for record in caplog.records if record.exc_info and record.name.startswith("queenright")]
