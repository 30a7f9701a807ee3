# SPDX-License-Identifier: Apache-2.0
"""The JSON of the join, read back and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.join.kit import CLUSTER_ID, MANAGER_ID, NODE_ID

from queenright.edge.http import join_messages
from queenright.model.join import (
    REFUSALS,
    BadRequest,
    BadToken,
    JoinGrant,
    JoinLimited,
    JoinRefused,
    JoinRequest,
    ManagerAddress,
)
from queenright.model.tokens import make_join_token, make_ticket

ROOT = b"root"
TOKEN = make_join_token(ROOT, b"0123456789abcdef")
TICKET = make_ticket(ROOT, b"0123456789abcdef")
GRANT = JoinGrant(NODE_ID, "worker", CLUSTER_ID, b"PEM\n", (ManagerAddress(MANAGER_ID, "[fd00::1]:2377"),))


@pytest.mark.parametrize(("secret", "member"), [(TOKEN, "token"), (TICKET, "ticket")])
def test_a_request_reads_back(secret: Any, member: str) -> None:
    request = JoinRequest(b"CSR\n", secret, "pause", "10.0.0.1", 7946, "0.1.0")
    body = join_messages.encode_request(request)
    assert json.loads(body)[member] == secret.text
    assert join_messages.decode_request(body) == request


def test_what_may_be_left_out_has_its_default_and_unknown_members_are_passed_over() -> None:
    body = json.dumps({"csr": "CSR", "token": TOKEN.text, "colour": "red"}).encode()
    assert join_messages.decode_request(body) == JoinRequest(b"CSR", TOKEN)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"token": None}, "'token'"),
        ({"token": 7}, "'token'"),
        ({"ticket": TICKET.text}, "either a token or a ticket"),
        ({"csr": ""}, "'csr'"),
        ({"csr": "ä"}, "'csr'"),
        ({"csr": ["x"]}, "'csr'"),
        ({"csr": "x" * 20_000}, "'csr'"),
        ({"listen_port": 0}, "'listen_port'"),
        ({"listen_port": True}, "'listen_port'"),
        ({"listen_port": "2377"}, "'listen_port'"),
        ({"listen_port": 65536}, "'listen_port'"),
        ({"availability": "gone"}, "'availability'"),
        ({"availability": None}, "'availability'"),
        ({"advertise_addr": "x" * 513}, "'advertise_addr'"),
        ({"version": 1}, "'version'"),
    ],
)
def test_a_member_of_the_wrong_kind_is_named(change: dict[str, Any], says: str) -> None:
    body = json.dumps({"csr": "CSR", "token": TOKEN.text, **change}).encode()
    with pytest.raises(BadRequest, match=says) as caught:
        join_messages.decode_request(body)
    assert TOKEN.secret not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b'{"csr": "CSR"}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        join_messages.decode_request(body)


@pytest.mark.parametrize("text", ["", "SWMTKN-1-x-y", TOKEN.text + "0", TOKEN.text.upper()])
def test_a_secret_that_is_none_is_a_bad_token(text: str) -> None:
    with pytest.raises(BadToken, match="A valid join token is necessary to join this cluster"):
        join_messages.decode_request(json.dumps({"csr": "CSR", "token": text}).encode())


def test_a_grant_reads_back() -> None:
    assert join_messages.decode_grant(join_messages.encode_grant(GRANT)) == GRANT


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"node_id": "x"}, "node id"),
        ({"node_id": 1}, "node id"),
        ({"cluster_id": None}, "cluster id"),
        ({"role": "king"}, "role"),
        ({"role": ["worker"]}, "role"),
        ({"certificate": 1}, "certificate"),
        ({"certificate": "ä"}, "certificate"),
        ({"managers": None}, "managers"),
        ({"managers": [{"node_id": "x"}]}, "manager without"),
        ({"managers": ["x"]}, "manager without"),
    ],
)
def test_an_answer_of_the_wrong_form_is_refused(change: dict[str, Any], says: str) -> None:
    data = json.loads(join_messages.encode_grant(GRANT)) | change
    with pytest.raises(ValueError, match=says):
        join_messages.decode_grant(json.dumps(data).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"\x00"])
def test_an_answer_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        join_messages.decode_grant(body)


@pytest.mark.parametrize("reason", sorted(REFUSALS))
def test_every_refusal_has_a_status_and_reads_back_as_itself(reason: str) -> None:
    status, body = join_messages.encode_refusal(REFUSALS[reason]("because"))
    assert 400 <= status < 600
    refusal = join_messages.decode_refusal(body)
    assert type(refusal) is REFUSALS[reason]
    assert str(refusal) == "because"


def test_a_refusal_nobody_knows_yet_is_still_a_refusal() -> None:
    refusal = join_messages.decode_refusal(b'{"message": "no\\n\\u001b[31m bees", "reason": "no-bees"}')
    assert type(refusal) is JoinRefused
    assert str(refusal) == "no[31m bees"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 1.0), ("-1", 1.0), ("٣", 1.0), ("9" * 9, 3600.0)])
def test_the_wait_of_a_limit_comes_from_the_header(header: str, seconds: float) -> None:
    refusal = join_messages.decode_refusal(join_messages.encode_refusal(JoinLimited())[1], header)
    assert isinstance(refusal, JoinLimited)
    assert refusal.retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message": "page not found"}', b'{"reason": "bad-token"}'])
def test_an_error_without_reason_is_no_refusal(body: bytes) -> None:
    assert join_messages.decode_refusal(body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ("csr", "token", "ticket", "availability", "advertise_addr", "listen_port", "version")


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON | st.just(TOKEN.text) | st.just("CSR")))
def test_no_request_of_any_kind_raises_anything_but_a_refusal(data: dict[str, Any]) -> None:
    try:
        request = join_messages.decode_request(json.dumps(data).encode())
    except JoinRefused as refusal:
        assert TOKEN.secret not in str(refusal)
    else:
        assert isinstance(request, JoinRequest)


@given(st.dictionaries(st.sampled_from(("node_id", "cluster_id", "role", "certificate", "managers")), JSON))
def test_no_answer_of_any_kind_raises_anything_but_a_value_error(change: dict[str, Any]) -> None:
    data = json.loads(join_messages.encode_grant(GRANT)) | change
    try:
        assert isinstance(join_messages.decode_grant(json.dumps(data).encode()), JoinGrant)
    except ValueError as error:
        assert str(error).startswith("the answer has")
