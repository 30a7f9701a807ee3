# SPDX-License-Identifier: Apache-2.0
"""The data keys of a node: a file of their own (0600) beside what they seal, never within it.

The first key of the file seals what is written from now on, the others still open what they had sealed. All of them are
one value in the file: that is what an unlock key may wrap.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from queenright.edge.pki.errors import KeyStoreError
from queenright.edge.pki.keystore import read_private
from queenright.lib import atomic

KEY_BYTES = 32
FORMAT = 1
MAGIC = "queenright-data-keys"
_ID_BYTES = 8
_CHECK_BYTES = 16


@dataclass(frozen=True, slots=True)
class DataKeys:
    """Keys of 32 bytes, the current one first. An id (8 bytes) is a digest, so it tells nothing of its key."""

    keys: tuple[bytes, ...] = field(repr=False)

    @property
    def current(self) -> bytes:
        return self.keys[0]

    @property
    def current_id(self) -> bytes:
        return self.id_of(self.current)

    def find(self, key_id: bytes) -> bytes | None:
        """The key with this id."""
        return next((key for key in self.keys if self.id_of(key) == key_id), None)

    @staticmethod
    def id_of(key: bytes) -> bytes:
        return hashlib.sha256(b"queenright/data key/" + key).digest()[:_ID_BYTES]


class KeyFile:
    """The file at ``path``; short and blocking. Every method raises KeyStoreError for a file that is damaged or not
    safe, and OSError when the disk fails.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> DataKeys | None:
        """The keys, or None where there are none yet."""
        content = read_private(self.path)
        if content is None:
            return None
        try:
            data = json.loads(content)
            known = data["magic"] == MAGIC
            number = data["format"]
        except (ValueError, TypeError, KeyError):
            raise self._damaged() from None
        if not known:
            raise KeyStoreError(f"{self.path} is no file of keys")
        if number != FORMAT:
            raise KeyStoreError(
                f"{self.path} has format {number}, this release knows {FORMAT}: start the newer one again"
            )
        return self._read(data)

    def add(self, key: bytes) -> DataKeys:
        """Seal with ``key`` (32 bytes) from now on; those that are there still open. Durable when this returns."""
        known = self.load()
        return self._write((key, *(known.keys if known is not None else ())))

    def keep_current(self) -> None:
        """Forget all keys but the current one: nothing is sealed with them any more."""
        known = self.load()
        if known is not None and len(known.keys) > 1:
            self._write(known.keys[:1])

    def destroy(self) -> None:
        """What was sealed with these keys cannot be opened any more."""
        atomic.shred_file(self.path)

    def _write(self, keys: tuple[bytes, ...]) -> DataKeys:
        value = b"".join(keys)
        data = {
            "magic": MAGIC,
            "format": FORMAT,
            "keys": base64.b64encode(value).decode("ascii"),
            "check": _check(value),
        }
        atomic.replace_file(self.path, (json.dumps(data, indent=1) + "\n").encode())
        return DataKeys(keys)

    def _read(self, data: dict[str, object]) -> DataKeys:
        try:
            value = base64.b64decode(str(data["keys"]), validate=True)
            check = data["check"]
        except (KeyError, binascii.Error):
            raise self._damaged() from None
        if not value or len(value) % KEY_BYTES or check != _check(value):
            raise self._damaged()
        return DataKeys(tuple(value[at : at + KEY_BYTES] for at in range(0, len(value), KEY_BYTES)))

    def _damaged(self) -> KeyStoreError:
        return KeyStoreError(f"{self.path} is damaged: restore it from a backup")


def _check(value: bytes) -> str:
    return hashlib.sha256(b"queenright/check/" + value).hexdigest()[: 2 * _CHECK_BYTES]
