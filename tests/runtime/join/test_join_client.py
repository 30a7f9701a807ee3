# SPDX-License-Identifier: Apache-2.0
"""The joining side against managers, half managers and impostors."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from runtime.join.kit import (
    CLUSTER_ID,
    MANAGER_ID,
    NODE_ID,
    QUICK,
    Admission,
    Impostor,
    Joiner,
    Swarm,
    http,
    listening,
    now,
)

from queenright.edge.http import join_messages
from queenright.edge.http.join_client import JoinError, Patience, join
from queenright.edge.pki.authority import Subject
from queenright.edge.pki.keys import make_csr, make_key
from queenright.lib.addresses import AddressError
from queenright.model.join import (
    BadToken,
    JoinGrant,
    JoinLimited,
    JoinRefused,
    JoinRequest,
    NeedsConsensus,
    NotLeader,
    TicketExpired,
    TicketOfOtherKey,
    TicketUsed,
)
from queenright.model.tokens import make_ticket


def closed_port() -> int:
    """A control port beside which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1]) - 1


@pytest.mark.parametrize("ticket", [False, True])
async def test_a_host_with_the_right_secret_becomes_a_member(swarm: Swarm, admission: Admission, ticket: bool) -> None:
    secret = make_ticket(swarm.root.certificate_pem, bytes(16)) if ticket else swarm.token
    joiner = Joiner(secret)
    async with listening(swarm, admission) as (_, port):
        joined = await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert joined.root_pem == swarm.root.certificate_pem
    assert (joined.identity.node_id, joined.identity.cluster_id, joined.identity.role) == (
        NODE_ID,
        CLUSTER_ID,
        "worker",
    )
    assert joined.grant.managers[0].addr == "10.0.0.1:2377"
    assert (joined.remote.host, joined.remote.port) == ("127.0.0.1", port)
    assert admission.asked == [(joiner.request, "127.0.0.1")]


async def test_an_impostor_with_another_root_gets_nothing(swarm: Swarm, joiner: Joiner, tmp_path: Path) -> None:
    other = Swarm(tmp_path / "impostor")
    async with Impostor(other.context(), http(other.root.certificate_pem)) as impostor:
        with pytest.raises(JoinError, match="remote CA does not match fingerprint") as caught:
            await join([f"127.0.0.1:{impostor.control_port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert not caught.value.temporary
    assert len(impostor.received) == 1
    assert impostor.received[0].startswith(b"GET /v1/root HTTP/1.1\r\n")
    assert all(part not in impostor.received[0] for part in (b"SWMTKN", swarm.token.secret.encode(), b"CERTIFICATE"))


@pytest.mark.parametrize(
    ("context", "says"),
    [
        (lambda swarm, other: other.context(), "is not a manager's: .*(self.signed|unable to get)"),
        (lambda swarm, other: swarm.context(role="worker"), "is not a manager's: Hostname mismatch"),
        (lambda swarm, other: swarm.context(at=now() - timedelta(days=1)), "is not a manager's: .*expired.*clocks"),
    ],
)
async def test_who_shows_the_right_root_but_is_no_manager_gets_no_token(
    swarm: Swarm, joiner: Joiner, tmp_path: Path, context: Callable[[Swarm, Swarm], ssl.SSLContext], says: str
) -> None:
    """The root is public: an impostor can show it, but not prove that it is a manager."""
    shown = context(swarm, Swarm(tmp_path / "impostor"))
    async with Impostor(shown, http(swarm.root.certificate_pem)) as impostor:
        with pytest.raises(JoinError, match=says):
            await join([f"127.0.0.1:{impostor.control_port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert b"".join(impostor.received).count(b"HTTP/1.1") == 1
    assert b"SWMTKN" not in b"".join(impostor.received)


@pytest.mark.parametrize(
    ("reply", "tls", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", False, "does not speak TLS 1.3"),
        (b"junk\r\n\r\n", True, "it is not HTTP"),
        (http(b"nothing here", "404 Not Found"), True, "answered 404 instead of the root certificate"),
        (b"", True, "broke off: the connection was closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", True, "broke off: the connection was closed"),
        (http(b"x" * 300_000), True, "larger than"),
    ],
)
async def test_whatever_else_listens_there_is_named(
    swarm: Swarm, joiner: Joiner, reply: bytes, tls: bool, says: str
) -> None:
    async with Impostor(swarm.context() if tls else None, reply) as other:
        with pytest.raises(JoinError, match=says) as caught:
            await join([f"127.0.0.1:{other.control_port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert f"127.0.0.1 port {other.control_port + 1}" in str(caught.value)


async def test_an_unreachable_manager_is_named_with_both_ports(joiner: Joiner) -> None:
    port = closed_port()
    with pytest.raises(JoinError) as caught:
        await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    text = str(caught.value)
    assert caught.value.temporary
    assert f"127.0.0.1 port {port + 1} cannot be reached (Connection refused)" in text
    assert f"TCP ports {port} and {port + 1} open" in text


async def test_a_name_that_nobody_knows_is_named(joiner: Joiner) -> None:
    with pytest.raises(JoinError, match=r"no-such-host\.invalid port 2378 cannot be reached"):
        await join(["no-such-host.invalid"], joiner.request, check=joiner.check, patience=QUICK)


async def test_each_address_is_tried_in_turn(
    swarm: Swarm, admission: Admission, joiner: Joiner, tmp_path: Path
) -> None:
    other = Swarm(tmp_path / "impostor")
    async with listening(swarm, admission) as (_, port):
        async with Impostor(other.context(), http(other.root.certificate_pem)) as impostor:
            remotes = [f"127.0.0.1:{closed_port()}", f"127.0.0.1:{impostor.control_port}", f"127.0.0.1:{port}"]
            joined = await join(remotes, joiner.request, check=joiner.check, patience=QUICK)
    assert joined.remote.port == port


async def test_the_error_has_a_sentence_for_each_address(joiner: Joiner) -> None:
    first, second = closed_port(), closed_port()
    with pytest.raises(JoinError) as caught:
        await join([f"127.0.0.1:{first}", f"localhost:{second}"], joiner.request, check=joiner.check, patience=QUICK)
    assert f"127.0.0.1 port {first + 1}" in str(caught.value)
    assert f"localhost port {second + 1}" in str(caught.value)


@pytest.mark.parametrize(
    "refusal", [BadToken, TicketUsed, TicketExpired, TicketOfOtherKey, NeedsConsensus, JoinRefused]
)
async def test_a_refusal_for_good_ends_the_join_with_the_managers_words(
    swarm: Swarm, admission: Admission, joiner: Joiner, refusal: type[JoinRefused]
) -> None:
    admission.refuse(refusal())
    async with listening(swarm, admission) as (_, port):
        remote = f"127.0.0.1:{port}"
        with pytest.raises(JoinError) as caught:
            await join([remote, remote], joiner.request, check=joiner.check, patience=QUICK)
    assert refusal.default in str(caught.value)
    assert type(caught.value.refusal) is refusal
    assert not caught.value.temporary
    assert swarm.token.secret not in str(caught.value)
    assert len(admission.asked) == 1


def test_the_words_for_a_bad_token_are_swarms() -> None:
    assert str(BadToken()).startswith("A valid join token is necessary to join this cluster")


@pytest.mark.parametrize("refusal", [NotLeader(), JoinLimited(retry_after=0.01), RuntimeError("fault")])
async def test_what_may_pass_is_tried_again(
    swarm: Swarm, admission: Admission, joiner: Joiner, refusal: Exception
) -> None:
    admission.refuse(refusal, times=2)
    patience = dataclasses.replace(QUICK, rounds=3)
    async with listening(swarm, admission) as (_, port):
        joined = await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=patience)
    assert joined.identity.node_id == NODE_ID
    assert len(admission.asked) == 3
    assert len({request.csr_pem for request, _ in admission.asked}) == 1


async def test_what_does_not_pass_ends_with_the_last_words(swarm: Swarm, admission: Admission, joiner: Joiner) -> None:
    admission.refuse(NotLeader("the manager is starting"))
    patience = dataclasses.replace(QUICK, rounds=2)
    async with listening(swarm, admission) as (_, port):
        with pytest.raises(JoinError, match=f"127.0.0.1:{port}: the manager is starting"):
            await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=patience)
    assert len(admission.asked) == 2


async def test_silent_addresses_share_the_time_there_is(joiner: Joiner) -> None:
    """Sockets that listen and never answer: each address is tried, and named at the end."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        remotes = [f"127.0.0.1:{silent.getsockname()[1] - 1}" for silent in (first, second)]
        patience = Patience(connect=300.0, rounds=100, pause=0.0, total=0.2)
        with pytest.raises(JoinError) as caught:
            await join(remotes, joiner.request, check=joiner.check, patience=patience)
    assert str(caught.value).count("cannot be reached (no answer in time)") == 2


async def test_no_round_is_begun_when_its_pause_does_not_fit(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    admission.refuse(JoinLimited(retry_after=3600.0))
    patience = dataclasses.replace(QUICK, rounds=5)
    async with listening(swarm, admission) as (_, port):
        with pytest.raises(JoinError, match="too many joins"):
            await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=patience)
    assert len(admission.asked) == 1


async def test_a_wrong_fingerprint_is_not_tried_again(swarm: Swarm, joiner: Joiner, tmp_path: Path) -> None:
    other = Swarm(tmp_path / "impostor")
    async with Impostor(other.context(), http(other.root.certificate_pem)) as impostor:
        with pytest.raises(JoinError, match="fingerprint"):
            await join(
                [f"127.0.0.1:{impostor.control_port}"],
                joiner.request,
                check=joiner.check,
                patience=dataclasses.replace(QUICK, rounds=5),
            )
    assert len(impostor.received) == 1


def issue(swarm: Swarm, csr: bytes, node_id: str = NODE_ID, cluster_id: str = CLUSTER_ID) -> JoinGrant:
    chain = swarm.signer.issue(csr, Subject(node_id, cluster_id, "worker"), now=now()).chain_pem
    return JoinGrant(NODE_ID, "worker", CLUSTER_ID, chain, ())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda swarm, other, csr: issue(swarm, make_csr(make_key())), "does not belong to this node's private key"),
        (lambda swarm, other, csr: issue(other, csr), "not issued by this cluster's root"),
        (lambda swarm, other, csr: issue(swarm, csr, node_id="x" * 25), "not for the membership"),
        (lambda swarm, other, csr: issue(swarm, csr, cluster_id="x" * 25), "not for the membership"),
        (
            lambda swarm, other, csr: dataclasses.replace(issue(swarm, csr), role="manager"),
            "not for the membership",
        ),
        (lambda swarm, other, csr: dataclasses.replace(issue(swarm, csr), certificate_pem=b"x"), "cannot be read"),
        (lambda swarm, other, csr: dataclasses.replace(issue(swarm, csr), node_id="evil"), "no node id"),
    ],
)
async def test_a_certificate_that_is_not_ours_is_not_taken(
    swarm: Swarm,
    admission: Admission,
    joiner: Joiner,
    tmp_path: Path,
    wrong: Callable[[Swarm, Swarm, bytes], JoinGrant],
    says: str,
) -> None:
    other = Swarm(tmp_path / "other")

    async def answer(request: JoinRequest) -> JoinGrant:
        return wrong(swarm, other, request.csr_pem)

    admission.answer = answer
    async with listening(swarm, admission) as (_, port):
        with pytest.raises(JoinError, match=says):
            await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert len(admission.asked) == 1


async def test_an_answer_lost_on_its_way_is_asked_for_again_with_the_same_key(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    """A line that breaks after the manager decided and before its answer came through."""
    async with listening(swarm, admission) as (_, port):
        broken = 0

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port + 1)

            async def upward() -> None:
                while data := await reader.read(65536):
                    far_writer.write(data)

            task = asyncio.create_task(upward())
            nonlocal broken
            try:
                while data := await far_reader.read(65536):
                    if admission.asked and not broken:
                        broken += 1
                        break
                    writer.write(data)
            finally:
                task.cancel()
                far_writer.close()
                writer.close()

        async with await asyncio.start_server(relay, "127.0.0.1", 0) as line:
            remote = f"127.0.0.1:{line.sockets[0].getsockname()[1] - 1}"
            patience = dataclasses.replace(QUICK, rounds=2)
            joined = await join([remote], joiner.request, check=joiner.check, patience=patience)
    assert broken == 1
    assert joined.identity.node_id == NODE_ID
    assert [request for request, _ in admission.asked] == [joiner.request, joiner.request]


@pytest.mark.parametrize("remote", ["", "10.0.0.1:x", "tcp://10.0.0.1:2377", "10.0.0.1:65535"])
async def test_an_address_that_is_none_is_refused_before_anything_is_tried(joiner: Joiner, remote: str) -> None:
    with pytest.raises(AddressError):
        await join([remote], joiner.request, check=joiner.check, patience=QUICK)


async def test_no_address_is_an_error(joiner: Joiner) -> None:
    with pytest.raises(JoinError, match="name at least one"):
        await join([], joiner.request, check=joiner.check)


async def test_a_proxy_in_the_environment_is_not_asked(
    swarm: Swarm, admission: Admission, joiner: Joiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with listening(swarm, admission) as (_, port):
        joined = await join([f"localhost:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert joined.remote.host == "localhost"


def test_patience_covers_a_managers_start() -> None:
    patience = Patience()
    assert 8.0 <= (patience.rounds - 1) * patience.pause < patience.total


def test_a_grant_on_the_wire_is_plain_json() -> None:
    grant = JoinGrant(NODE_ID, "worker", CLUSTER_ID, b"PEM", ())
    assert json.loads(join_messages.encode_grant(grant))["managers"] == []
    assert MANAGER_ID not in join_messages.encode_grant(grant).decode()
