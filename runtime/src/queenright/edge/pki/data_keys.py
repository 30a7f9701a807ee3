# SPDX-License-Identifier: Apache-2.0
"""The data keys of a node: a file of their own (0600) beside what they seal, never within it.

The first key of the file seals what is written from now on, the others still open what they had sealed. All of them are
one value in the file. Where managers are locked (``locking``), that value is closed: the file has format 2 then.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from queenright.edge.pki.errors import KeyStoreError, LockedError
from queenright.edge.pki.locking import Lock
from queenright.edge.pki.private_files import read_private
from queenright.lib import atomic

KEY_BYTES = 32
FORMAT = 1
LOCKED_FORMAT = 2
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

    def __init__(self, path: Path, lock: Lock | None = None) -> None:
        self.path = path
        self._lock = lock

    def load(self) -> DataKeys | None:
        """The keys, or None where there are none yet."""
        return self._load()[0]

    def _load(self) -> tuple[DataKeys | None, bool]:
        """The keys, and whether the file is closed as it is to be."""
        content = read_private(self.path)
        if content is None:
            return None, True
        try:
            data = json.loads(content)
            known = data["magic"] == MAGIC
            number = data["format"]
        except (ValueError, TypeError, KeyError):
            raise self._damaged() from None
        if not known:
            raise KeyStoreError(f"{self.path} is no file of keys")
        wanted = self._lock is not None and self._lock.engaged
        if number == FORMAT:
            return self._read(data), not wanted
        if number != LOCKED_FORMAT:
            raise KeyStoreError(
                f"{self.path} has format {number}, this release knows {LOCKED_FORMAT}: start the newer one again"
            )
        keys, current = self._open(data)
        return keys, wanted and current

    @property
    def settled(self) -> bool:
        """Whether the file is closed as it is to be, or in clear; one that is not there is."""
        return self._load()[1]

    def conform(self) -> None:
        """Close the file with the lock as it is now, or write it in clear where there is none any more."""
        known, settled = self._load()
        if known is not None and not settled:
            self._write(known.keys)

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
        data: dict[str, object] = {"magic": MAGIC}
        if self._lock is not None and self._lock.engaged:
            closed = self._lock.close(self.path.name, value)
            data.update(format=LOCKED_FORMAT, closed=closed, crc=zlib.crc32(closed.encode()))
        else:
            data.update(format=FORMAT, keys=base64.b64encode(value).decode("ascii"), check=_check(value))
        atomic.replace_file(self.path, (json.dumps(data, indent=1) + "\n").encode())
        return DataKeys(keys)

    def _read(self, data: dict[str, object]) -> DataKeys:
        try:
            value = base64.b64decode(str(data["keys"]), validate=True)
            check = data["check"]
        except (KeyError, ValueError):
            raise self._damaged() from None
        if check != _check(value):
            raise self._damaged()
        return self._split(value)

    def _open(self, data: dict[str, object]) -> tuple[DataKeys, bool]:
        closed = str(data.get("closed"))
        if data.get("crc") != zlib.crc32(closed.encode()):
            raise self._damaged()
        if self._lock is None:
            raise LockedError(self.path)
        try:
            value, current = self._lock.open(self.path.name, closed)
        except LockedError:
            raise
        except KeyStoreError as error:
            raise KeyStoreError(f"{self.path} {error}") from None
        return self._split(value), current

    def _split(self, value: bytes) -> DataKeys:
        if not value or len(value) % KEY_BYTES:
            raise self._damaged()
        return DataKeys(tuple(value[at : at + KEY_BYTES] for at in range(0, len(value), KEY_BYTES)))

    def _damaged(self) -> KeyStoreError:
        return KeyStoreError(f"{self.path} is damaged: restore it from a backup")


def _check(value: bytes) -> str:
    return hashlib.sha256(b"queenright/check/" + value).hexdigest()[: 2 * _CHECK_BYTES]
