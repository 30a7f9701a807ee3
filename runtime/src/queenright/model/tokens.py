# SPDX-License-Identifier: Apache-2.0
"""Join tokens and one-time tickets: what a new node shows to become a member, and how it knows the right cluster.

``SWMTKN-1-<digest>-<secret>`` is a join token, ``QRTICKET-1-<digest>-<secret>`` a ticket. The digest (50 digits in
base 36) is the SHA-256 of the exact bytes of the root certificate's PEM text, the secret is 25 digits in base 36. No
error and no repr here ever repeats a token or a part of it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import Enum

from queenright.model.ids import base36

SECRET_BYTES = 16
SECRET_LENGTH = 25
DIGEST_BYTES = 32
DIGEST_LENGTH = 50

_DIGITS = re.compile(r"[0-9a-z]*", re.ASCII)


class TokenError(ValueError):
    """The text is no join token and no ticket; says what is wrong with its form, never what it is."""


class SecretKind(Enum):
    """The two kinds of join secret; the value is the text before the digest."""

    TOKEN = "SWMTKN-1"
    TICKET = "QRTICKET-1"

    @property
    def title(self) -> str:
        return "join token" if self is SecretKind.TOKEN else "join ticket"


@dataclass(frozen=True, slots=True)
class JoinSecret:
    """A well-formed join token or ticket: the root it is for (32 bytes) and the secret (25 digits)."""

    kind: SecretKind
    root_digest: bytes
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The whole secret text, as users paste it."""
        digest = base36(int.from_bytes(self.root_digest, "big"), DIGEST_LENGTH)
        return f"{self.kind.value}-{digest}-{self.secret}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the text in hexadecimal: names a ticket in a table that must not hold the ticket itself."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def matches(self, other: str) -> bool:
        """Whether ``other`` is the same secret text, compared in constant time. An empty text matches nothing."""
        return hmac.compare_digest(self.text.encode(), other.encode())

    def pins(self, root_pem: bytes) -> bool:
        """Whether ``root_pem`` is, byte for byte, the root certificate this secret was made for."""
        return hmac.compare_digest(self.root_digest, root_digest(root_pem))


def root_digest(root_pem: bytes) -> bytes:
    """SHA-256 (32 bytes) over the exact bytes of the root certificate's PEM text."""
    return hashlib.sha256(root_pem).digest()


def root_digest_text(root_pem: bytes) -> str:
    """The root's digest as it stands in tokens and tickets: 50 digits in base 36."""
    return base36(int.from_bytes(root_digest(root_pem), "big"), DIGEST_LENGTH)


def make_join_token(root_pem: bytes, random_bytes: bytes) -> JoinSecret:
    """A join token for the cluster with this root, from 16 random bytes."""
    return _make(SecretKind.TOKEN, root_pem, random_bytes)


def make_ticket(root_pem: bytes, random_bytes: bytes) -> JoinSecret:
    """A one-time ticket for the cluster with this root, from 16 random bytes."""
    return _make(SecretKind.TICKET, root_pem, random_bytes)


def _make(kind: SecretKind, root_pem: bytes, random_bytes: bytes) -> JoinSecret:
    if len(random_bytes) != SECRET_BYTES:
        raise ValueError(f"a {kind.title} is made from {SECRET_BYTES} random bytes, not from {len(random_bytes)}")
    secret = base36(int.from_bytes(random_bytes, "big"), SECRET_LENGTH)
    return JoinSecret(kind, root_digest(root_pem), secret)


def parse_join_secret(text: str) -> JoinSecret:
    """Read a join token or a ticket. Raises TokenError (clear, without the text) unless every character is right."""
    if not text:
        raise TokenError("the join token is empty")
    if text != text.strip() or any(character.isspace() for character in text):
        raise TokenError("the join token contains white space: paste it as one word")
    if text.startswith("SWMTKN-2-"):
        raise TokenError("the join token is of the FIPS form (SWMTKN-2), which is not supported")
    kind = next((kind for kind in SecretKind if text.startswith(kind.value + "-")), None)
    if kind is None:
        raise TokenError("the join token does not begin with SWMTKN-1- (or QRTICKET-1- for a one-time ticket)")
    parts = text.removeprefix(kind.value + "-").split("-")
    if len(parts) != 2:
        raise TokenError(f"the {kind.title} has {len(parts)} parts after {kind.value}, 2 are expected")
    digest = _digits(kind, "digest", parts[0], DIGEST_LENGTH)
    secret = _digits(kind, "secret", parts[1], SECRET_LENGTH)
    number = int(digest, 36)
    if number >> (DIGEST_BYTES * 8):
        raise TokenError(f"the digest in the {kind.title} is larger than any SHA-256 digest")
    return JoinSecret(kind, number.to_bytes(DIGEST_BYTES, "big"), secret)


def _digits(kind: SecretKind, part: str, text: str, length: int) -> str:
    if len(text) != length:
        raise TokenError(f"the {part} in the {kind.title} has {len(text)} characters, {length} are expected")
    if _DIGITS.fullmatch(text) is None:
        raise TokenError(f"the {part} in the {kind.title} has characters other than 0-9 and lower-case a-z")
    return text
