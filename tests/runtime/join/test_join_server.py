# SPDX-License-Identifier: Apache-2.0
"""The join listener against everybody who may connect to it."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from runtime.join.kit import DEADLINE, NODE_ID, Admission, Clock, Joiner, Swarm, listening, raw

from queenright.edge.http import join_messages
from queenright.edge.http.join_server import JoinServer, Limits
from queenright.model.errors import InvalidArgument, Unavailable
from queenright.model.join import BadToken, JoinGrant, JoinRequest, NotLeader, TicketUsed
from queenright.model.tokens import make_ticket


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: manager\r\n\r\n".encode()


def post(body: bytes) -> bytes:
    return b"POST /v1/join HTTP/1.1\r\nhost: manager\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
    return int(first.split()[1]), headers, body


async def until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - looks at state that tells nobody
            await asyncio.sleep(0.01)


async def test_the_root_is_served_byte_for_byte(swarm: Swarm, admission: Admission) -> None:
    async with listening(swarm, admission) as (_, port):
        status, headers, body = split(await raw(swarm, port, get("/v1/root")))
    assert status == 200
    assert body == swarm.root.certificate_pem
    assert headers["content-type"] == "application/x-pem-file"


async def test_a_join_reaches_the_use_case_with_all_it_said(swarm: Swarm, admission: Admission, joiner: Joiner) -> None:
    async with listening(swarm, admission) as (_, port):
        status, _, body = split(await raw(swarm, port, post(join_messages.encode_request(joiner.request))))
    assert status == 200
    assert json.loads(body)["node_id"] == NODE_ID
    assert admission.asked == [(joiner.request, "127.0.0.1")]


@pytest.mark.parametrize(
    ("request_bytes", "status", "says"),
    [
        (get("/"), 404, "page not found"),
        (get("/v1/root/"), 404, "page not found"),
        (get("/v1/root", "POST"), 405, "only GET"),
        (get("/v1/join"), 405, "only POST"),
        (get("/v1/join", "DELETE"), 405, "only POST"),
        (post(b"{}"), 400, "either a token or a ticket"),
        (post(b"x" * 65_537), 413, "larger than 65536"),
        (b"\x16\x03\x01 junk\r\n\r\n", 400, "not valid HTTP"),
        (b"GET /v1/root HTTP/1.1\r\n\r\n", 400, "not valid HTTP"),
        (b"GET /v1/root HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "not valid HTTP"),
        (b"GET /v1/root HTTP/1.1\r\nx: " + b"x" * 40_000, 431, "not valid HTTP"),
        (b"POST /v1/join HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400, "not valid HTTP"),
        (b"POST /v1/join HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, "not valid HTTP"),
    ],
)
async def test_what_is_no_join_gets_a_clear_answer(
    swarm: Swarm, admission: Admission, request_bytes: bytes, status: int, says: str
) -> None:
    async with listening(swarm, admission) as (_, port):
        got, _, body = split(await raw(swarm, port, request_bytes))
    assert got == status
    assert says in json.loads(body)["message"]
    assert admission.asked == []


async def test_one_connection_carries_one_request(swarm: Swarm, admission: Admission) -> None:
    async with listening(swarm, admission) as (_, port):
        answer = await raw(swarm, port, get("/v1/root") * 2)
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_a_client_that_waits_to_be_told_to_continue_is_told(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    body = join_messages.encode_request(joiner.request)
    head, _, rest = post(body).partition(b"\r\n\r\n")
    async with listening(swarm, admission, limits=Limits(request=0.5)) as (_, port):
        answer = await raw(swarm, port, head + b"\r\nexpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 100")
    async with listening(swarm, admission) as (_, port):
        answer = await raw(swarm, port, head + b"\r\nexpect: 100-continue\r\n\r\n" + rest)
    assert b"HTTP/1.1 200" in answer


@pytest.mark.parametrize("sent", [b"", b"POST /v1/join HT", get("/v1/root")[:-2], post(b"x" * 50)[:-1]])
async def test_a_slow_request_is_ended(swarm: Swarm, admission: Admission, sent: bytes) -> None:
    async with listening(swarm, admission, limits=Limits(request=0.2)) as (_, port):
        status, _, _ = split(await raw(swarm, port, sent))
    assert status == 408


async def test_bytes_that_keep_trickling_in_do_not_hold_the_connection(swarm: Swarm, admission: Admission) -> None:
    async with listening(swarm, admission, limits=Limits(request=0.5)) as (server, port):
        context = ssl.create_default_context(cadata=swarm.root.certificate_pem.decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", port + 1, ssl=context, server_hostname="swarm-ca")

        async def trickle() -> None:
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        try:
            async with asyncio.timeout(DEADLINE):
                assert b" 408 " in await reader.read(-1)
        finally:
            task.cancel()
            writer.close()
        await until(lambda: server._connections.count == 0)


async def test_a_peer_that_never_begins_tls_is_cut(swarm: Swarm, admission: Admission) -> None:
    async with listening(swarm, admission, limits=Limits(handshake=0.2)) as (server, port):
        assert await raw(None, port, b"") == b""
        await until(lambda: server._connections.count == 0)


async def test_plain_http_and_tls_1_2_are_not_spoken(swarm: Swarm, admission: Admission) -> None:
    async with listening(swarm, admission) as (server, port):
        assert b"HTTP" not in await raw(None, port, get("/v1/root"))
        old = ssl.create_default_context(cadata=swarm.root.certificate_pem.decode())
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port + 1, ssl=old, server_hostname="swarm-ca")
        await until(lambda: server._connections.count == 0)


async def test_more_connections_than_allowed_are_closed_and_others_wait_for_none(
    swarm: Swarm, admission: Admission
) -> None:
    async with listening(swarm, admission, limits=Limits(connections_per_source=3)) as (server, port):
        held = [await asyncio.open_connection("127.0.0.1", port + 1) for _ in range(3)]
        await until(lambda: server._connections.count == 3)
        assert await raw(None, port, b"") == b""
        for _, writer in held:
            writer.close()
        await until(lambda: server._connections.count == 0)
        status, _, _ = split(await raw(swarm, port, get("/v1/root")))
        assert status == 200


async def test_ten_failed_tries_a_minute_then_even_the_right_token_has_to_wait(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    clock = Clock()
    body = post(join_messages.encode_request(joiner.request))
    async with listening(swarm, admission, clock=clock) as (_, port):
        admission.refuse(BadToken(), times=9)
        statuses = [split(await raw(swarm, port, body))[0] for _ in range(9)]
        statuses.append(split(await raw(swarm, port, post(b"junk")))[0])
        assert statuses == [403] * 9 + [400]
        status, headers, answer = split(await raw(swarm, port, body))
        assert (status, headers["retry-after"]) == (429, "6")
        assert "too many failed joins" in json.loads(answer)["message"]
        assert len(admission.asked) == 9
        clock.seconds += 6.0
        assert split(await raw(swarm, port, body))[0] == 200


async def test_thirty_new_nodes_a_minute_and_refused_ones_do_not_count(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    clock = Clock()
    body = post(join_messages.encode_request(joiner.request))
    async with listening(swarm, admission, clock=clock) as (_, port):
        admission.refuse(NotLeader(), times=12)
        assert [split(await raw(swarm, port, body))[0] for _ in range(12)] == [503] * 12
        assert [split(await raw(swarm, port, body))[0] for _ in range(30)] == [200] * 30
        status, headers, _ = split(await raw(swarm, port, body))
        assert (status, headers["retry-after"]) == (429, "2")
        clock.seconds += 2.0
        assert split(await raw(swarm, port, body))[0] == 200


async def test_tickets_do_not_count_as_new_nodes_but_bad_ones_count_as_failed(
    swarm: Swarm, admission: Admission
) -> None:
    ticket = make_ticket(swarm.root.certificate_pem, bytes(16))
    body = post(join_messages.encode_request(Joiner(ticket).request))
    async with listening(swarm, admission, limits=Limits(nodes_per_minute=1, failed_per_minute=2)) as (_, port):
        assert [split(await raw(swarm, port, body))[0] for _ in range(3)] == [200] * 3
        admission.refuse(TicketUsed())
        assert [split(await raw(swarm, port, body))[0] for _ in range(3)] == [403, 403, 429]


async def test_parallel_joins_do_not_pass_the_limit_together(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    gate = asyncio.Event()

    async def wait(request: JoinRequest) -> JoinGrant:
        await gate.wait()
        return await admission.grant(request)

    admission.answer = wait
    body = post(join_messages.encode_request(joiner.request))
    async with listening(swarm, admission, limits=Limits(nodes_per_minute=2)) as (_, port):
        tries = [asyncio.create_task(raw(swarm, port, body)) for _ in range(4)]
        await until(lambda: sum(task.done() for task in tries) == 2)
        gate.set()
        statuses = sorted([split(await task)[0] for task in tries])
    assert statuses == [200, 200, 429, 429]


async def test_a_renewed_certificate_is_shown_without_a_restart(swarm: Swarm, admission: Admission) -> None:
    current = swarm.context(node_id="a" * 25)
    async with listening(swarm, admission, context=lambda: current) as (_, port):
        shown = []
        for node_id in ("a" * 25, "b" * 25):
            current = swarm.context(node_id=node_id)
            context = ssl.create_default_context(cadata=swarm.root.certificate_pem.decode())
            _, writer = await asyncio.open_connection("127.0.0.1", port + 1, ssl=context, server_hostname="swarm-ca")
            shown.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.close()
    names = [x509.load_der_x509_certificate(der).subject.rfc4514_string() for der in shown]
    assert ["CN=" + "a" * 25 in names[0], "CN=" + "b" * 25 in names[1]] == [True, True]


async def test_a_certificate_that_cannot_be_loaded_costs_connections_not_the_listener(
    swarm: Swarm, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    good, broken = swarm.context(), True

    def context() -> ssl.SSLContext:
        if broken:
            raise RuntimeError("no certificate yet")
        return good

    async with listening(swarm, admission, context=context) as (server, port):
        assert await raw(None, port, b"") == b""
        await until(lambda: server._connections.count == 0)
        assert "no certificate yet" in caplog.text
        broken = False
        assert split(await raw(swarm, port, get("/v1/root")))[0] == 200


async def test_a_fault_of_the_use_case_is_logged_not_told(
    swarm: Swarm, admission: Admission, joiner: Joiner, caplog: pytest.LogCaptureFixture
) -> None:
    admission.refuse(RuntimeError("the inner secret"), times=1)
    body = post(join_messages.encode_request(joiner.request))
    async with listening(swarm, admission) as (_, port):
        status, _, answer = split(await raw(swarm, port, body))
        assert status == 500
        assert b"inner secret" not in answer
        assert "the inner secret" in caplog.text
        assert split(await raw(swarm, port, body))[0] == 200


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Unavailable("no leader"), 503, "not-leader"),
        (InvalidArgument("the certificate request is junk"), 400, "bad-request"),
    ],
)
async def test_other_refusals_of_the_manager_become_refusals_of_the_join(
    swarm: Swarm, admission: Admission, joiner: Joiner, error: Exception, status: int, reason: str
) -> None:
    admission.refuse(error)
    async with listening(swarm, admission) as (_, port):
        got, _, body = split(await raw(swarm, port, post(join_messages.encode_request(joiner.request))))
    assert got == status
    assert json.loads(body) == {"message": str(error), "reason": reason}


async def test_a_decision_that_takes_too_long_asks_to_try_again(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    async def never(request: JoinRequest) -> JoinGrant:
        await asyncio.Event().wait()
        raise AssertionError(request)

    admission.answer = never
    async with listening(swarm, admission, limits=Limits(admit=0.1)) as (_, port):
        status, _, body = split(await raw(swarm, port, post(join_messages.encode_request(joiner.request))))
    assert status == 503
    assert json.loads(body)["reason"] == "not-leader"


async def test_no_log_line_has_a_byte_of_the_token(
    swarm: Swarm, admission: Admission, joiner: Joiner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = join_messages.encode_request(joiner.request)
    async with listening(swarm, admission) as (_, port):
        await raw(swarm, port, post(body))
        admission.refuse(BadToken())
        await raw(swarm, port, post(body))
        admission.refuse(RuntimeError("fault"))
        await raw(swarm, port, post(body))
        await raw(swarm, port, post(body[:-5]))
    assert "refused: bad-token" in caplog.text
    assert swarm.token.secret not in caplog.text
    assert "PRIVATE" not in caplog.text


async def test_a_running_join_is_finished_before_the_stop(swarm: Swarm, admission: Admission, joiner: Joiner) -> None:
    gate = asyncio.Event()

    async def wait(request: JoinRequest) -> JoinGrant:
        await gate.wait()
        return await admission.grant(request)

    admission.answer = wait
    async with listening(swarm, admission) as (server, port):
        running = asyncio.create_task(raw(swarm, port, post(join_messages.encode_request(joiner.request))))
        await until(lambda: admission.asked)
        stopping = asyncio.create_task(server.stop(grace=DEADLINE))
        await until(lambda: not server.addresses)
        gate.set()
        await stopping
        assert split(await running)[0] == 200
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port + 1)


async def test_a_join_that_does_not_end_is_cut_by_the_stop(swarm: Swarm, admission: Admission, joiner: Joiner) -> None:
    async def never(request: JoinRequest) -> JoinGrant:
        await asyncio.Event().wait()
        raise AssertionError(request)

    admission.answer = never
    async with listening(swarm, admission) as (server, port):
        running = asyncio.create_task(raw(swarm, port, post(join_messages.encode_request(joiner.request))))
        await until(lambda: admission.asked)
        await server.stop(grace=0.0)
        assert await running == b""
        assert server._connections.count == 0


async def test_a_port_in_use_is_named(swarm: Swarm, admission: Admission) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = JoinServer(
            admission, context=swarm.context, root_pem=lambda: swarm.root.certificate_pem, clock=Clock()
        )
        with pytest.raises(OSError, match=f"127.0.0.1 port {port} .*free the port") as caught:
            await server.start("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE
    await server.stop()


async def test_it_listens_on_ipv6_too(swarm: Swarm, admission: Admission, tmp_path: Path) -> None:
    context = swarm.context()
    server = JoinServer(admission, context=lambda: context, root_pem=lambda: swarm.root.certificate_pem, clock=Clock())
    await server.start("::", 0)
    try:
        port = server.addresses[0][1]
        assert split(await raw(swarm, port - 1, get("/v1/root")))[0] == 200
    finally:
        await server.stop()
