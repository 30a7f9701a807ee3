# SPDX-License-Identifier: Apache-2.0
"""Identifiers of objects, sessions and clusters: 25 digits in base 36, made from 17 random bytes that are handed in.

The cluster's id is the organisation and the node's id the common name of a node certificate, so an id is checked
before it is put there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

ID_BYTES = 17
ID_LENGTH = 25

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID = re.compile(rf"[0-9a-z]{{{ID_LENGTH}}}", re.ASCII)


def base36(value: int, width: int) -> str:
    """``value`` (not negative) in lower-case base 36, filled with zeros on the left up to ``width`` digits.

    Raises ValueError when it needs more digits than that.
    """
    if value < 0:
        raise ValueError("a negative number has no form in base 36")
    digits = ""
    while value:
        value, digit = divmod(value, 36)
        digits = _DIGITS[digit] + digits
    if len(digits) > width:
        raise ValueError(f"the number needs {len(digits)} digits in base 36, there is room for {width}")
    return digits.rjust(width, "0")


def new_id(random_bytes: bytes) -> str:
    """An identifier from 17 random bytes.

    The top bit is forced on, so the number always has 27 digits; the first one, which is not evenly spread, is dropped
    and the next 25 are the id.
    """
    if len(random_bytes) != ID_BYTES:
        raise ValueError(f"an id is made from {ID_BYTES} random bytes, not from {len(random_bytes)}")
    number = int.from_bytes(random_bytes, "big") | 1 << (ID_BYTES * 8 - 1)
    return base36(number, ID_LENGTH + 2)[1 : ID_LENGTH + 1]


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an identifier."""
    return _ID.fullmatch(text) is not None


def check_id(text: str, what: str = "id") -> str:
    """``text`` itself if it has the form of an identifier, else ValueError naming ``what``."""
    if not is_id(text):
        raise ValueError(f"{what} {text[:64]!r} is not an id: {ID_LENGTH} characters of 0-9 and a-z are expected")
    return text


class IdSource:
    """Makes identifiers from a source of random bytes: ``IdSource(os.urandom)()``.

    ``random_bytes(n)`` gives ``n`` unpredictable bytes; it is handed in, so a test can repeat a run.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes

    def __call__(self) -> str:
        """A new identifier."""
        return new_id(self._random_bytes(ID_BYTES))

    def bytes(self, count: int) -> bytes:
        """``count`` random bytes of the same source, for secrets (see ``tokens``)."""
        return self._random_bytes(count)
