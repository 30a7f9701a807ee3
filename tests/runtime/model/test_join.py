# SPDX-License-Identifier: Apache-2.0
"""What a joiner asks for and is given, and the secret that it shows."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.model.join import JoinGrant, JoinRequest, ManagerAddress
from queenright.model.tokens import JoinSecret, SecretKind, make_join_token, make_ticket, parse_join_secret

ROOT = b"-----BEGIN CERTIFICATE-----\n"
TOKEN = make_join_token(ROOT, b"\x01" * 16)


def test_a_node_that_says_no_more_joins_as_an_active_one_by_the_usual_port() -> None:
    request = JoinRequest(b"CSR", TOKEN)
    assert (request.availability, request.advertise_addr, request.listen_port) == ("active", "", 2377)


def test_no_text_of_a_request_shows_the_secret() -> None:
    request = JoinRequest(b"CSR", TOKEN)
    for shown in (repr(request), str(request), repr([request]), repr((request, TOKEN))):
        assert TOKEN.secret not in shown
        assert TOKEN.text not in shown


def test_a_grant_holds_the_managers_in_the_order_in_which_they_are_to_be_tried() -> None:
    managers = (ManagerAddress("b", "10.0.0.2:2377"), ManagerAddress("a", "[fd00::1]:2377"))
    grant = JoinGrant("n", "worker", "c", b"PEM", managers)
    assert [each.addr for each in grant.managers] == ["10.0.0.2:2377", "[fd00::1]:2377"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        grant.role = "manager"  # type: ignore[misc]


@pytest.mark.parametrize("kind", list(SecretKind))
def test_the_two_kinds_of_secret_never_stand_for_each_other(kind: SecretKind) -> None:
    other = next(each for each in SecretKind if each is not kind)
    one = dataclasses.replace(TOKEN, kind=kind)
    twin = dataclasses.replace(TOKEN, kind=other)
    assert one != twin and not one.matches(twin.text)
    assert one.fingerprint != twin.fingerprint
    assert parse_join_secret(one.text).kind is kind
    assert kind.title in ("join token", "join ticket")


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_different_dice_make_different_secrets(one: bytes, other: bytes) -> None:
    first, second = make_ticket(ROOT, one), make_ticket(ROOT, other)
    assert first.matches(second.text) == (one == other) == (first.fingerprint == second.fingerprint)
    assert first.root_digest == second.root_digest


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_secret_pins_one_root_and_no_other(root: bytes, other: bytes) -> None:
    secret = make_join_token(root, bytes(16))
    assert secret.pins(other) == (root == other)
    assert parse_join_secret(secret.text).pins(root)


@given(st.binary(min_size=32, max_size=32), st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=25, max_size=25))
def test_every_digest_and_secret_can_be_written_down(digest: bytes, secret: str) -> None:
    for kind in SecretKind:
        made = JoinSecret(kind, digest, secret)
        assert parse_join_secret(made.text) == made
        assert len(made.text) == len(kind.value) + 77
