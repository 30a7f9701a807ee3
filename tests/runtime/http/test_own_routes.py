# SPDX-License-Identifier: Apache-2.0
"""Routes of ours, among requests that are dockerd's."""

from __future__ import annotations

import asyncio
import json

import pytest

from queenright.edge.http.errors import ApiError, grpc_error
from queenright.edge.http.messages import Request, Response, json_list_response, json_response
from queenright.edge.http.router import PASS
from queenright.edge.http.server import MAX_BODY


async def echo(request: Request) -> Response:
    """What arrived, as JSON."""
    return json_response(
        {
            "method": request.method,
            "path": request.path,
            "version": request.version,
            "query": request.query,
            "params": request.params,
            "json": request.json(),
        }
    )


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: d\r\n\r\n".encode()


async def test_a_handler_sees_the_request_taken_apart(site) -> None:
    site.router.add("POST", "/services/{id}/update", echo)
    status, headers, body = await site.ask("/v1.41/services/web%2Eb/update?version=7", "POST", b'{"Name": "web"}')
    assert status == 200
    assert json.loads(body) == {
        "method": "POST",
        "path": "/services/web.b/update",
        "version": [1, 41],
        "query": {"version": ["7"]},
        "params": {"id": "web.b"},
        "json": {"Name": "web"},
    }
    assert headers["content-type"] == "application/json"


async def test_our_answers_carry_the_headers_of_the_engine(site) -> None:
    site.router.add("GET", "/services", echo)
    _, headers, _ = await site.ask("/services")
    assert {name: headers[name] for name in ("api-version", "docker-experimental", "ostype", "server")} == {
        "api-version": "1.41",
        "docker-experimental": "false",
        "ostype": "linux",
        "server": "Docker/20.10 (linux)",
    }
    assert "GMT" in headers["date"]


async def test_requests_of_both_kinds_share_a_connection(site, engine) -> None:
    site.router.add("GET", "/nodes", echo)
    client = await site.connect()
    await client.send(b"".join(get(target) for target in ("/nodes", "/images/a", "/nodes", "/images/b", "/nodes")))
    bodies = [(await client.answer())[2] for _ in range(5)]
    assert [bodies[1], bodies[3]] == [b"/images/a", b"/images/b"]
    assert all(json.loads(body)["path"] == "/nodes" for body in bodies[::2])
    assert engine.heads == [get("/images/a"), get("/images/b")]


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.41"),
        ("2.0", "client version 2.0 is too new. Maximum supported API version is 1.41"),
        (
            "1.11",
            "client version 1.11 is too old. Minimum supported API version is 1.12, "
            "please upgrade your client to a newer version",
        ),
    ],
)
async def test_a_version_out_of_dockerds_range_is_refused_in_its_words(site, version, text) -> None:
    site.router.add("GET", "/services", echo)
    status, _, body = await site.ask(f"/v{version}/services")
    assert (status, json.loads(body)) == (400, {"message": text})


@pytest.mark.parametrize("version", ["1.12", "1.24", "1.41"])
async def test_every_version_in_dockerds_range_is_served(site, version) -> None:
    site.router.add("GET", "/services", echo)
    assert (await site.ask(f"/v{version}/services"))[0] == 200


async def test_our_routes_work_while_dockerd_never_answered(site, engine) -> None:
    await engine.stop()
    site.router.add("GET", "/queenright/v1/status", echo)
    status, headers, _ = await site.ask("/v1.99/queenright/v1/status")
    assert status == 200
    assert "api-version" not in headers


async def test_an_unknown_path_of_ours_is_not_found(site, engine) -> None:
    for target in ("/v1.41/swarm/nope", "/queenright/v1/nope", "/services"):
        status, _, body = await site.ask(target)
        assert (status, body) == (404, b'{"message":"page not found"}\n')
    assert engine.heads == []


async def test_a_chunked_body_is_decoded(site) -> None:
    site.router.add("POST", "/services/create", echo)
    client = await site.connect()
    await client.send(
        b"POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        b'Transfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n5\r\na":1}\r\n0\r\n\r\n' + get("/images/x")
    )
    assert json.loads((await client.answer())[2])["json"] == {"a": 1}
    assert (await client.answer())[2] == b"/images/x"


async def test_a_client_that_waits_to_send_its_body_is_told_to_continue(site) -> None:
    site.router.add("POST", "/services/create", echo)
    client = await site.connect()
    await client.send(
        b"POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: 7\r\n\r\n"
    )
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b'{"a":1}')
    assert json.loads((await client.answer())[2])["json"] == {"a": 1}


@pytest.mark.parametrize("framing", [f"Content-Length: {MAX_BODY + 1}", "Transfer-Encoding: chunked"])
async def test_a_body_over_the_limit_is_refused(site, framing) -> None:
    site.router.add("POST", "/services/create", echo)
    client = await site.connect()
    await client.send(f"POST /services/create HTTP/1.1\r\nHost: d\r\n{framing}\r\n\r\n".encode())
    if "chunked" in framing:
        for _ in range(5):
            await client.send(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
    status, headers, body = await client.answer()
    assert status == 413
    assert headers["connection"] == "close"
    assert str(MAX_BODY) in json.loads(body)["message"]
    assert await client.rest() == b""


async def test_a_body_at_the_limit_is_taken(site) -> None:
    async def length(request: Request) -> Response:
        return Response(200, str(len(request.body)).encode())

    site.router.add("POST", "/services/create", length)
    assert (await site.ask("/services/create", "POST", b" " * MAX_BODY))[2] == str(MAX_BODY).encode()


async def test_a_request_cut_in_its_body_reaches_no_handler(site, eventually) -> None:
    called = []

    async def handler(request: Request) -> Response:
        called.append(request)
        return Response()

    site.router.add("POST", "/services/create", handler)
    client = await site.connect()
    await client.send(b"POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\n{}")
    client.end()
    assert (await client.answer())[0] == 400
    await eventually(lambda: site.server.connections == 0)
    assert called == []


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ApiError(503, "This node is not part of a swarm"), 503, "This node is not part of a swarm"),
        (
            grpc_error("AlreadyExists", "name conflicts with an existing object: service web already exists"),
            409,
            "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists",
        ),
        (KeyError("known"), 418, "mapped"),
        (RuntimeError("odd state"), 500, "internal error in queenright: RuntimeError: odd state"),
        (ConnectionResetError("a manager"), 500, "internal error in queenright: ConnectionResetError: a manager"),
    ],
)
async def test_what_a_handler_raises_becomes_its_answer(mapped_site, error, status, text) -> None:
    async def handler(request: Request) -> Response:
        raise error

    mapped_site.router.add("GET", "/services", handler)
    client = await mapped_site.connect()
    await client.send(get("/services") + get("/images/next"))
    got, _, body = await client.answer()
    assert (got, json.loads(body)) == (status, {"message": text})
    assert (await client.answer())[2] == b"/images/next"


@pytest.mark.parametrize("body", [b"", b'{"Image": "web"}'])
async def test_a_request_that_a_handler_passes_on_reaches_dockerd_whole(site, engine, respond, body) -> None:
    got = []

    async def handler(request: Request):
        assert request.body == body
        return PASS

    async def script(wire) -> None:
        got.append(await wire.read(len(body)))
        await wire.send(respond(b"created", "201 Created"))
        await wire.head()
        await wire.send(respond(b"next"))

    engine.script = script
    site.router.add("POST", "/containers/create", handler)
    client = await site.connect()
    head = b"POST /v1.41/containers/create?name=a HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(body)
    await client.send(head + body)
    assert (await client.answer())[::2] == (201, b"created")
    await client.send(get("/images/next"))
    assert (await client.answer())[2] == b"next"
    assert (engine.heads, got) == ([head], [body])


async def test_a_client_is_told_to_continue_once_when_its_request_is_passed_on(site, engine, respond) -> None:
    async def handler(request: Request):
        return PASS

    async def script(wire) -> None:
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await wire.read(2)
        await wire.send(respond(b"created"))

    engine.script = script
    site.router.add("POST", "/containers/create", handler)
    client = await site.connect()
    await client.send(
        b"POST /containers/create HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"{}")
    assert (await client.answer())[2] == b"created"


async def test_a_list_goes_out_in_chunks_and_other_clients_are_served_between(site) -> None:
    items = [{"ID": str(number), "Text": "x" * 1000} for number in range(3000)]

    async def handler(request: Request) -> Response:
        return json_list_response(items)

    site.router.add("GET", "/tasks", handler)
    client = await site.connect()
    await client.send(get("/tasks") + get("/images/next"))
    status, headers, body = await client.answer()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert json.loads(body) == items
    assert (await client.answer())[2] == b"/images/next"


async def test_a_stream_for_a_client_of_http_1_0_ends_with_the_connection(site) -> None:
    async def handler(request: Request) -> Response:
        return json_list_response(["x" * 200_000, "y" * 200_000])

    site.router.add("GET", "/tasks", handler)
    client = await site.connect()
    await client.send(b"GET /tasks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert b"chunked" not in head
    assert json.loads(body) == ["x" * 200_000, "y" * 200_000]


async def test_each_part_of_a_stream_is_sent_at_once(site) -> None:
    more: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def body():
        while (part := await more.get()) is not None:
            yield part

    async def handler(request: Request) -> Response:
        return Response(200, body(), {"Content-Type": "application/vnd.docker.raw-stream"})

    site.router.add("GET", "/services/{id}/logs", handler)
    client = await site.connect()
    await client.send(get("/services/a/logs"))
    await client.head()
    for part in (b"one", b"", b"two"):
        more.put_nowait(part)
        if part:
            assert await client.read(8) == b"3\r\n" + part + b"\r\n"
    more.put_nowait(None)
    assert await client.read(5) == b"0\r\n\r\n"


async def test_a_stream_is_closed_when_its_client_goes(site, eventually) -> None:
    closed = []

    async def body():
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def handler(request: Request) -> Response:
        return Response(200, body())

    site.router.add("GET", "/services/{id}/logs", handler)
    client = await site.connect()
    await client.send(get("/services/a/logs"))
    await client.head()
    await client.close()
    await eventually(lambda: closed)
    await eventually(lambda: site.server.connections == 0)


async def test_a_stream_that_fails_is_cut_without_its_last_chunk(site) -> None:
    async def body():
        yield b"first"
        raise RuntimeError("lost the node")

    async def handler(request: Request) -> Response:
        return Response(200, body())

    site.router.add("GET", "/services/{id}/logs", handler)
    client = await site.connect()
    await client.send(get("/services/a/logs"))
    assert (await client.rest()).endswith(b"\r\n\r\n5\r\nfirst\r\n")


@pytest.mark.parametrize("abandon", [True, False])
async def test_a_handler_ends_with_its_client_only_if_it_may(site, eventually, abandon) -> None:
    started, release, outcome = asyncio.Event(), asyncio.Event(), []

    async def handler(request: Request) -> Response:
        started.set()
        try:
            await release.wait()
            outcome.append("done")
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise
        return Response()

    site.router.add("POST", "/swarm/init", handler, abandon=abandon)
    client = await site.connect()
    await client.send(b"POST /swarm/init HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
    await started.wait()
    await client.close()
    if abandon:
        await eventually(lambda: outcome)
        assert outcome == ["cancelled"]
    else:
        release.set()
        await eventually(lambda: outcome)
        assert outcome == ["done"]
    await eventually(lambda: site.server.connections == 0)


async def test_head_and_empty_answers_have_no_body(site) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, b"OK")

    async def nothing(request: Request) -> Response:
        return Response(204)

    site.router.add("HEAD", "/services", handler)
    site.router.add("DELETE", "/secrets/{id}", nothing)
    client = await site.connect()
    await client.send(
        b"HEAD /services HTTP/1.1\r\nHost: d\r\n\r\nDELETE /secrets/a HTTP/1.1\r\nHost: d\r\n\r\n" + get("/images/x")
    )
    assert b"Content-Length: 2\r\n" in await client.head()
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"Content-Length" not in head
    assert (await client.answer())[2] == b"/images/x"


async def test_a_header_with_a_line_break_never_leaves(site) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, b"", {"X-Name": "a\r\nX-Forged: b"})

    site.router.add("GET", "/services", handler)
    client = await site.connect()
    await client.send(get("/services"))
    assert b"Forged" not in await client.rest()


@pytest.mark.parametrize(("request_line", "kept"), [("1.1", True), ("1.0", False)])
async def test_the_connection_is_kept_as_the_client_asks(site, request_line, kept) -> None:
    site.router.add("GET", "/services", echo)
    client = await site.connect()
    await client.send(f"GET /services HTTP/{request_line}\r\nHost: d\r\n\r\n".encode())
    _, headers, _ = await client.answer()
    assert ("connection" not in headers) is kept
    if not kept:
        assert await client.rest() == b""
