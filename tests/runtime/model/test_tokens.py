# SPDX-License-Identifier: Apache-2.0
"""Join tokens and tickets: the exact form, and nothing of them in any error."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.model.ids import base36
from queenright.model.tokens import (
    JoinSecret,
    SecretKind,
    TokenError,
    make_join_token,
    make_ticket,
    parse_join_secret,
    root_digest,
    root_digest_text,
)

ROOT = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DIGEST = "3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl"
SECRET = "1awxwuwd3z9j1z3puu7rcgdbx"
TOKEN = f"SWMTKN-1-{DIGEST}-{SECRET}"
TICKET = f"QRTICKET-1-{DIGEST}-{SECRET}"


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=200))
def test_what_is_made_reads_back_and_pins_its_root(dice: bytes, root: bytes) -> None:
    for made in (make_join_token(root, dice), make_ticket(root, dice)):
        assert parse_join_secret(made.text) == made
        assert made.pins(root)
        assert not made.pins(root + b"\n")
        assert made.matches(made.text)


def test_a_token_has_85_characters_and_the_digest_of_the_exact_pem_bytes() -> None:
    token = make_join_token(ROOT, b"\x00" * 15 + b"\x01")
    digest = int(hashlib.sha256(ROOT).hexdigest(), 16)
    assert token.text == f"SWMTKN-1-{base36(digest, 50)}-{'1'.rjust(25, '0')}"
    assert len(token.text) == 85
    assert root_digest_text(ROOT) == base36(digest, 50)
    assert token.root_digest == root_digest(ROOT) == hashlib.sha256(ROOT).digest()


def test_the_largest_random_bytes_still_fit() -> None:
    assert parse_join_secret(make_ticket(ROOT, b"\xff" * 16).text).kind is SecretKind.TICKET


@pytest.mark.parametrize("text", [TOKEN, TICKET])
def test_published_forms_are_read(text: str) -> None:
    assert parse_join_secret(text).text == text


def test_a_small_digest_keeps_its_leading_zeros() -> None:
    token = JoinSecret(SecretKind.TOKEN, bytes(31) + b"\x07", SECRET)
    assert parse_join_secret(token.text).root_digest == bytes(31) + b"\x07"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" " + TOKEN, "white space"),
        (TOKEN + "\n", "white space"),
        (TOKEN.replace("-", " - "), "white space"),
        ("SWMTKN", "begin with"),
        ("SWMTKN-1", "begin with"),
        (TOKEN.lower(), "begin with"),
        (f"SWMTKN-3-{DIGEST}-{SECRET}", "begin with"),
        (f"SWMKEY-1-{DIGEST}-{SECRET}", "begin with"),
        (f"QRTICKET-2-{DIGEST}-{SECRET}", "begin with"),
        (f"SWMTKN-2-1-{DIGEST}-{SECRET}", "FIPS"),
        (f"SWMTKN-1-{DIGEST}", "1 parts"),
        (f"SWMTKN-1-{DIGEST}-{SECRET}-", "3 parts"),
        (f"SWMTKN-1--{DIGEST}-{SECRET}", "3 parts"),
        (f"SWMTKN-1-{DIGEST[:-1]}-{SECRET}", "digest .* has 49"),
        (f"SWMTKN-1-{DIGEST}0-{SECRET}", "digest .* has 51"),
        (f"SWMTKN-1-{DIGEST}-{SECRET[:-1]}", "secret .* has 24"),
        (f"SWMTKN-1-{DIGEST}-{SECRET}0", "secret .* has 26"),
        (f"SWMTKN-1-{DIGEST.upper()}-{SECRET}", "digest .* lower-case"),
        (f"SWMTKN-1-{DIGEST}-{SECRET.upper()}", "secret .* lower-case"),
        (f"SWMTKN-1-{DIGEST[:-1]}_-{SECRET}", "digest .* lower-case"),
        (f"SWMTKN-1-{DIGEST[:-1]}ß-{SECRET}", "digest .* lower-case"),
        (f"SWMTKN-1-{DIGEST[:-1]}٣-{SECRET}", "digest .* lower-case"),
        (f"SWMTKN-1-{DIGEST}-{SECRET[:-1]}+", "secret .* lower-case"),
        (f"SWMTKN-1-{'z' * 50}-{SECRET}", "larger than any SHA-256"),
        (f"SWMTKN-1-{base36(2**256, 50)}-{SECRET}", "larger than any SHA-256"),
    ],
)
def test_any_other_form_is_refused_without_repeating_it(text: str, says: str) -> None:
    with pytest.raises(TokenError, match=says) as caught:
        parse_join_secret(text)
    for part in (DIGEST, SECRET, DIGEST[:12], SECRET[:12]):
        assert part.lower() not in str(caught.value).lower()


def test_the_largest_digest_is_the_last_that_is_read() -> None:
    text = f"SWMTKN-1-{base36(2**256 - 1, 50)}-{SECRET}"
    assert parse_join_secret(text).root_digest == b"\xff" * 32


@pytest.mark.parametrize("other", ["", TICKET, TOKEN[:-1], TOKEN + "x", TOKEN[:-1] + "0", "ü" * 85])
def test_another_text_does_not_match(other: str) -> None:
    assert not parse_join_secret(TOKEN).matches(other)


def test_neither_repr_nor_fingerprint_shows_the_secret() -> None:
    secret = parse_join_secret(TICKET)
    assert SECRET not in repr(secret)
    assert SECRET not in secret.fingerprint
    assert secret.fingerprint == hashlib.sha256(TICKET.encode()).hexdigest()


@pytest.mark.parametrize("size", [0, 15, 17])
def test_another_number_of_random_bytes_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16 random bytes"):
        make_join_token(ROOT, bytes(size))


@given(st.text(alphabet="SWMTKNQRICE-120abz \n", max_size=100) | st.text(max_size=100))
def test_whatever_is_pasted_is_read_or_refused(text: str) -> None:
    try:
        assert parse_join_secret(text).text == text
    except TokenError as error:
        assert len(text) < 12 or text not in str(error)
