# SPDX-License-Identifier: Apache-2.0
"""A join at a manager that does not lead: handed on to the leader, or sent to the other managers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from runtime.join.kit import CLUSTER_ID, MANAGER_ID, NODE_ID, QUICK, Admission, Joiner, Swarm, listening, now

from queenright.edge.http import join_messages
from queenright.edge.http.join_client import JoinError, join
from queenright.edge.http.join_forwarding import ForwardedAdmission, ForwardingAdmission
from queenright.edge.pki.authority import Subject
from queenright.lib.addresses import parse
from queenright.model.errors import InvalidArgument, OutcomeUnknown, PermissionDenied, Unavailable
from queenright.model.join import BadRequest, BadToken, JoinGrant, JoinRequest, ManagerAddress, NotLeader, TicketUsed


async def manager_grant(swarm: Swarm, request: JoinRequest) -> JoinGrant:
    issued = swarm.signer.issue(request.csr_pem, Subject(NODE_ID, CLUSTER_ID, "manager"), now=now())
    managers = (ManagerAddress(MANAGER_ID, "10.0.0.1:2377"), ManagerAddress(NODE_ID, "10.0.0.9:2399"))
    return JoinGrant(NODE_ID, "manager", CLUSTER_ID, issued.chain_pem, managers)


class Line:
    """From a follower to the leader; ``cut``: what comes instead of an answer."""

    def __init__(self, admission: Admission) -> None:
        self._leader = ForwardedAdmission(admission)
        self.cut: Exception | bytes | None = None

    async def ask(self, body: bytes, source: str) -> bytes:
        if isinstance(self.cut, Exception):
            raise self.cut
        return self.cut if self.cut is not None else await self._leader.admit(body, source)


@pytest.fixture
def line(admission: Admission) -> Line:
    return Line(admission)


async def test_a_join_at_a_follower_is_granted_by_the_leader(
    swarm: Swarm, admission: Admission, joiner: Joiner, line: Line
) -> None:
    follower = ForwardingAdmission(line.ask)
    async with listening(swarm, follower) as (_, port):
        joined = await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert joined.grant.node_id == NODE_ID
    assert admission.asked == [(joiner.request, "127.0.0.1")]


async def test_a_manager_joins(swarm: Swarm, admission: Admission, joiner: Joiner, line: Line) -> None:
    admission.answer = lambda request: manager_grant(swarm, request)
    async with listening(swarm, ForwardingAdmission(line.ask)) as (_, port):
        joined = await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert (joined.grant.role, joined.identity.role) == ("manager", "manager")
    assert [manager.addr for manager in joined.grant.managers] == ["10.0.0.1:2377", "10.0.0.9:2399"]


@pytest.mark.parametrize("refusal", [BadToken(), TicketUsed(), BadRequest("the name is taken"), NotLeader()])
async def test_the_leader_s_refusal_is_the_follower_s(
    admission: Admission, joiner: Joiner, line: Line, refusal: Exception
) -> None:
    admission.refuse(refusal)
    with pytest.raises(type(refusal)) as caught:
        await ForwardingAdmission(line.ask).admit(joiner.request, "192.0.2.7")
    assert str(caught.value) == str(refusal)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [(InvalidArgument("labels are wrong"), BadRequest), (Unavailable("too busy"), NotLeader)],
)
async def test_refusals_that_are_no_joins_own_become_some(
    admission: Admission, joiner: Joiner, line: Line, refusal: Exception, kind: type[Exception]
) -> None:
    admission.refuse(refusal)
    with pytest.raises(kind, match=str(refusal)):
        await ForwardingAdmission(line.ask).admit(joiner.request, "192.0.2.7")


@pytest.mark.parametrize(
    "cut",
    [Unavailable("not reached"), OutcomeUnknown("gone"), PermissionDenied("who are you"), b"", b"[]", b'{"node_id":1}'],
)
async def test_without_an_answer_of_the_leader_the_joiner_is_asked_to_try_again(
    joiner: Joiner, line: Line, cut: Exception | bytes
) -> None:
    line.cut = cut
    with pytest.raises(NotLeader):
        await ForwardingAdmission(line.ask).admit(joiner.request, "192.0.2.7")


async def test_a_body_that_is_no_request_is_refused_by_the_leader(admission: Admission) -> None:
    for body in (b"", b"[]", b"{}", b"\xff"):
        answer = json.loads(await ForwardedAdmission(admission).admit(body, "192.0.2.7"))
        assert answer["reason"] == "bad-request"
    assert admission.asked == []


async def test_refused_tokens_count_at_the_follower_that_took_them(
    swarm: Swarm, admission: Admission, joiner: Joiner, line: Line
) -> None:
    admission.refuse(BadToken())
    async with listening(swarm, ForwardingAdmission(line.ask)) as (_, port):
        for _ in range(10):
            with pytest.raises(JoinError, match="valid join token"):
                await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
        with pytest.raises(JoinError, match="too many failed joins"):
            await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert len(admission.asked) == 10


# -- other managers


async def test_a_manager_without_a_leader_names_the_others_and_they_are_tried(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    async with listening(swarm, admission) as (_, leader):
        lonely = Admission(swarm)
        lonely.refuse(NotLeader())
        others = ["not an address", f"127.0.0.1:{leader}", "127.0.0.1:65535"]
        async with listening(swarm, lonely, managers=lambda: others) as (_, port):
            joined = await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert joined.remote == parse(f"127.0.0.1:{leader}", 2377)
    assert len(lonely.asked) == 1


async def test_managers_that_name_each_other_are_asked_once_a_round(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    admission.refuse(NotLeader())
    ports: list[int] = []
    names = lambda: [f"127.0.0.1:{port}" for port in ports]  # noqa: E731
    async with (
        listening(swarm, admission, managers=names) as (_, one),
        listening(swarm, admission, managers=names) as (_, two),
    ):
        ports += [one, two]
        with pytest.raises(JoinError) as caught:
            patience = replace(QUICK, rounds=2)
            await join([f"127.0.0.1:{one}"], joiner.request, check=joiner.check, patience=patience)
    assert len(admission.asked) == 4
    assert caught.value.temporary


async def test_only_a_manager_that_cannot_decide_names_others(
    swarm: Swarm, admission: Admission, joiner: Joiner
) -> None:
    assert join_messages.decode_others(join_messages.encode_refusal(BadToken())[1]) == ()
    admission.refuse(BadToken())
    async with listening(swarm, admission, managers=lambda: ["127.0.0.1:1"]) as (_, port):
        with pytest.raises(JoinError, match="valid join token") as caught:
            await join([f"127.0.0.1:{port}"], joiner.request, check=joiner.check, patience=QUICK)
    assert "127.0.0.1:1)" not in str(caught.value)


@pytest.mark.parametrize("managers", [None, 5, "x", {"a": "b"}, [5, None, {}], ["x" * 600]])
def test_names_of_managers_that_are_none_are_passed_over(managers: object) -> None:
    assert join_messages.decode_others(json.dumps({"managers": managers}).encode()) == ()


def test_no_more_managers_are_told_than_are_read() -> None:
    many = [f"192.0.2.{number}:2377" for number in range(40)]
    _, body = join_messages.encode_refusal(NotLeader(), many)
    assert join_messages.decode_others(body) == tuple(many[:16])
