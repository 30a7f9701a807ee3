# SPDX-License-Identifier: Apache-2.0
"""Who asks on the host socket, what only root may, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Iterator

import pytest

from queenright.app.logs import JsonFormatter, Trail, keep_trail
from queenright.edge.http import caller, connection, server
from queenright.edge.http.api.audit import AuditHandlers
from queenright.edge.http.caller import NOBODY, Caller, caller_of
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import PASS, Pass
from queenright.manager.audit import Actor, acting, actor, record

SECRET = "SWMTKN-1-" + "0" * 50 + "-" + "1" * 25


@pytest.fixture
def trail() -> Iterator[Trail]:
    held = keep_trail()
    yield held
    logging.getLogger("queenright.audit").removeHandler(held)


def last(trail: Trail) -> dict[str, object]:
    line = json.loads(trail.lines()[-1])
    assert line.pop("time").endswith("Z")
    return line


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs, socket.socket(socket.AF_INET) as other:
        assert caller_of(ours) == Caller(os.getpid(), os.getuid(), os.getgid())
        assert caller_of(other) == NOBODY
        assert not NOBODY.is_root


async def test_a_write_is_written_down_with_who_asked_and_what_came_of_it(site, trail: Trail) -> None:
    async def create(request: Request) -> Response:
        assert request.caller.pid == os.getpid()
        assert actor() == request.caller.actor
        return json_response({"ID": "x"}, 201)

    site.router.add("POST", "/secrets/create", create)
    await site.ask("/v1.41/secrets/create?dry_run=1", "POST", json.dumps({"Data": SECRET}).encode())
    assert last(trail) == {
        "level": "info",
        "logger": "queenright.audit",
        "message": "audit: write",
        "event": "write",
        "outcome": 201,
        "actor": {"kind": "socket", "uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid()},
        "what": {"method": "POST", "path": "/secrets/create", "dry_run": True},
    }


async def test_a_refused_write_is_written_down_and_a_read_or_dockerd_s_call_is_not(site, trail: Trail) -> None:
    async def refuse(request: Request) -> Response:
        raise ApiError(409, "no " + SECRET)

    async def broken(request: Request) -> Response:
        raise ZeroDivisionError

    async def passed(request: Request) -> Response | Pass:
        return PASS

    async def read(request: Request) -> Response:
        return json_response([])

    site.router.add("POST", "/secrets/create", refuse)
    site.router.add("POST", "/services/create", broken)
    site.router.add("POST", "/networks/create", passed)
    site.router.add("GET", "/secrets", read)
    assert (await site.ask("/secrets/create", "POST", b"{}"))[0] == 409
    assert last(trail)["outcome"] == 409
    assert (await site.ask("/services/create", "POST", b"{}"))[0] == 500
    assert last(trail)["outcome"] == 500
    assert (await site.ask("/secrets"))[0] == 200
    assert len(trail.lines()) == 2
    assert SECRET not in "".join(trail.lines())


async def test_what_is_root_s_is_refused_to_others_before_its_body_is_read(
    site, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    async def unlock(request: Request) -> Response:
        called.append(request)
        return Response(200)

    site.router.add("POST", "/swarm/unlock", unlock, root=True)
    monkeypatch.setattr(server, "caller_of", lambda sock: Caller(1, 1000, 1000))
    status, _, body = await site.ask("/swarm/unlock", "POST", b"{}")
    assert (status, called) == (403, [])
    assert json.loads(body)["message"] == "POST /swarm/unlock is for root only, and user 1000 asks: use sudo"
    assert (last(trail)["outcome"], last(trail)["actor"]) == (
        403,
        {"kind": "socket", "uid": 1000, "gid": 1000, "pid": 1},
    )
    monkeypatch.setattr(server, "caller_of", lambda sock: NOBODY)
    assert (await site.ask("/swarm/unlock", "POST", b"{}"))[0] == 403
    monkeypatch.setattr(server, "caller_of", lambda sock: Caller(1, 0, 0))
    assert (await site.ask("/swarm/unlock", "POST", b"{}"))[0] == 200
    assert len(called) == 1


async def test_root_reads_the_last_lines_and_others_do_not(site, trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    AuditHandlers(trail.lines).register(site.router)
    monkeypatch.setattr(server, "caller_of", lambda sock: Caller(1, 0, 0))
    for number in range(5):
        record("sign", node=f"n{number}")
    status, _, body = await site.ask("/queenright/v1/audit?last=2")
    assert (status, [line["what"]["node"] for line in json.loads(body)]) == (200, ["n3", "n4"])
    assert len(json.loads((await site.ask("/queenright/v1/audit"))[2])) == 5
    assert json.loads((await site.ask("/queenright/v1/audit?last=0"))[2]) == []
    assert (await site.ask("/queenright/v1/audit?last=-1"))[0] == 400
    monkeypatch.setattr(server, "caller_of", lambda sock: Caller(1, 7, 0))
    assert (await site.ask("/queenright/v1/audit"))[0] == 403


def test_a_line_is_one_line_whatever_names_say(trail: Trail) -> None:
    with acting(Actor("member", node="n", serial="ab", role="worker")):
        record("join", outcome="bad-token", node="a\nb\x1b[31m", long="x" * 1000, token=SECRET)
    line = trail.lines()[0]
    assert "\n" not in line and "\x1b" not in line and len(line) < 800
    assert "1" * 25 not in line
    assert last(trail)["actor"] == {"kind": "member", "node": "n", "serial": "ab", "role": "worker"}


def test_only_so_many_lines_are_kept_and_the_level_of_the_log_does_not_matter(trail: Trail) -> None:
    logging.getLogger().setLevel(logging.ERROR)
    small = Trail(3)
    logging.getLogger("queenright.audit").addHandler(small)
    try:
        for number in range(5):
            record("sign", node=str(number))
    finally:
        logging.getLogger("queenright.audit").removeHandler(small)
        logging.getLogger().setLevel(logging.WARNING)
    assert [json.loads(line)["what"]["node"] for line in small.lines()] == ["2", "3", "4"]
    assert isinstance(small.formatter, JsonFormatter)
    assert keep_trail().lines() == []  # begun anew


def test_nobody_acts_but_the_manager_itself_unless_said() -> None:
    assert actor() == Actor("manager")
    with acting(Actor("join", address="10.0.0.9")):
        assert actor().address == "10.0.0.9"
    assert actor() == Actor("manager")


def test_a_credential_that_cannot_be_read_is_nobody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "_CREDENTIALS", caller.struct.Struct("iIII"))
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert caller_of(ours) == NOBODY


async def test_a_slow_client_does_not_hold_a_connection(site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: Request) -> Response:
        raise AssertionError("a request of which half came was served")

    site.router.add("POST", "/services/create", never)
    monkeypatch.setattr(connection, "HEAD_TIME", 0.2)
    monkeypatch.setattr(connection, "BODY_TIME", 0.2)
    for half in (
        b"POST /services/create HT",
        b"POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\n{",
    ):
        wire = await site.connect()
        await wire.send(half)
        assert (await wire.head()).startswith(b"HTTP/1.1 408 ")
        while await wire.line():  # to the end of the connection
            pass


async def test_a_client_that_has_asked_may_rest_as_long_as_it_likes(site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(request: Request) -> Response:
        return json_response([])

    site.router.add("GET", "/services", read)
    monkeypatch.setattr(connection, "HEAD_TIME", 0.05)
    wire = await site.connect()
    for _ in range(2):
        await asyncio.sleep(0.2)
        await wire.send(b"GET /services HTTP/1.1\r\nHost: d\r\n\r\n\r\n")  # with an empty line too many
        assert (await wire.head()).startswith(b"HTTP/1.1 200 ")
        assert await wire.read(3) == b"[]\n"


async def test_there_is_an_end_to_the_number_of_clients(site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    first, _second, third = [await site.connect() for _ in range(3)]
    assert await third.line() == b""
    await first.close()
