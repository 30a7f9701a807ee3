# SPDX-License-Identifier: Apache-2.0
"""The unlock key of a swarm: what a manager is told before it can open what it keeps on its disk.

``SWMKEY-1-<key>``: 32 bytes in base 64 without padding, 52 characters in all. No error here ever repeats a part of it.
"""

from __future__ import annotations

import base64
import binascii

KEY_BYTES = 32
PREFIX = "SWMKEY-1-"
_LENGTH = 43


class UnlockKeyError(ValueError):
    """The text is no unlock key."""

    def __init__(self) -> None:
        super().__init__("invalid key string: an unlock key begins with SWMKEY-1- and has 52 characters")


def unlock_key_text(key: bytes) -> str:
    """The key (32 bytes) as users paste it."""
    return PREFIX + base64.b64encode(key).decode("ascii").rstrip("=")


def parse_unlock_key(text: str) -> bytes:
    """The key (32 bytes) in a text; blanks around it do not count. Raises UnlockKeyError."""
    text = text.strip()
    digits = text.removeprefix(PREFIX)
    if digits == text or len(digits) != _LENGTH:
        raise UnlockKeyError
    try:
        key = base64.b64decode(digits + "=", validate=True)
    except (ValueError, binascii.Error):
        raise UnlockKeyError from None
    if unlock_key_text(key) != text:  # spare bits that are not zero: another text for the same key
        raise UnlockKeyError
    return key
