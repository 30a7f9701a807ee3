# SPDX-License-Identifier: Apache-2.0
"""The lock of a manager's keys on disk, which the swarm's unlock key opens.

The file ``autolock.key`` (0600) holds, sealed with the unlock key, the keys of the lock; these close the files of data
keys (``data_keys``) and the private key of the node (``keystore``). So another unlock key is in force as soon as this
one file is replaced, and the keys of the lock are made anew with it. While the files are closed with the new one, one
after the other, the lock knows both: a power cut at any moment leaves nothing that cannot be opened.

The file carries a checksum of what is sealed, so that damage is told apart from a wrong key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from queenright.edge.pki.errors import KeyStoreError, LockedError, WrongKeyError
from queenright.edge.pki.private_files import read_private
from queenright.lib import atomic

KEY_BYTES = 32
FORMAT = 1
MAGIC = "queenright-autolock"
_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Lock:
    """The lock of one node; all calls are short and blocking, and made by one thread at a time but for :meth:`open`,
    :meth:`close` and :attr:`engaged`. ``holder`` is the node's id: the file of another node does not open.

    Every method raises KeyStoreError for a file that is damaged or not safe, and OSError when the disk fails.
    """

    def __init__(self, path: Path, holder: str, random: Callable[[int], bytes]) -> None:
        self.path = path
        self._holder = holder.encode()
        self._random = random
        self._keys: tuple[bytes, ...] = ()  # the current one first
        self._unlock_key = b""
        self._released = False

    # -- the file

    @property
    def is_there(self) -> bool:
        """Whether there may be something that it closes: it is not discarded."""
        return bool(self._keys) or self.path.is_symlink() or self.path.exists()

    @property
    def engaged(self) -> bool:
        """Whether what is written from now on has to be closed."""
        return not self._released and self.is_there

    @property
    def locked(self) -> bool:
        """Whether there is a lock that was not opened yet."""
        return self.is_there and not self._keys

    def is_opened_by(self, unlock_key: bytes) -> bool:
        """Whether this is the key of the lock, which is open."""
        return self.engaged and bool(self._keys) and self._unlock_key == unlock_key

    def unlock(self, unlock_key: bytes) -> None:
        """Open the lock. Raises WrongKeyError; a file that is damaged is a KeyStoreError."""
        content = read_private(self.path)
        if content is None:
            raise KeyStoreError(f"{self.path} is missing: restore it from a backup")
        salt, sealed = parse_lock(content, self.path)
        value = self._opened(self._wrapping(unlock_key, salt), sealed, self._place("lock"))
        if value is None:
            raise WrongKeyError("invalid key provided")
        if not value or len(value) % KEY_BYTES:
            raise KeyStoreError(f"{self.path} is damaged: restore it from a backup")
        self._keys = tuple(value[at : at + KEY_BYTES] for at in range(0, len(value), KEY_BYTES))
        self._unlock_key = unlock_key

    def engage(self, unlock_key: bytes) -> None:
        """Close with a new key from now on; this unlock key opens the lock, another one does not any more."""
        if self.locked:
            raise LockedError(self.path)
        self._write((self._random(KEY_BYTES), *self._keys[:1]), unlock_key)

    def settle(self) -> None:
        """Forget former keys: nothing is closed with them any more."""
        if len(self._keys) > 1:
            self._write(self._keys[:1], self._unlock_key)

    def release(self) -> None:
        """Close nothing from now on; what is closed still opens, until :meth:`discard`."""
        if self.locked:
            raise LockedError(self.path)
        self._released = True

    def discard(self) -> None:
        """Destroy the file: what is still closed cannot be opened any more."""
        atomic.shred_file(self.path)
        self._keys, self._unlock_key, self._released = (), b"", False

    # -- what it closes

    def close(self, name: str, value: bytes) -> str:
        """``value`` closed with the current key, as text; it opens with the same ``name`` only. Raises LockedError."""
        nonce = self._random(_NONCE_BYTES)
        place = self._place(name)
        return base64.b64encode(nonce + AESGCM(self._current()).encrypt(nonce, value, place)).decode("ascii")

    def open(self, name: str, closed: str) -> tuple[bytes, bool]:
        """What was closed, and whether it was with the current key. Raises LockedError, or KeyStoreError if none of the
        keys opens it."""
        self._current()
        try:
            sealed = base64.b64decode(closed, validate=True)
        except (ValueError, binascii.Error):
            raise KeyStoreError("is damaged: restore it from a backup") from None
        for key in self._keys:
            value = self._opened(key, sealed, self._place(name))
            if value is not None:
                return value, key == self._keys[0]
        raise KeyStoreError(f"does not open with the keys of {self.path}: restore both from the same backup")

    def passwords(self, name: str) -> list[bytes]:
        """What encrypts a private key of this name, as text for those who read such files; the current one first.

        Raises LockedError.
        """
        self._current()
        return [
            hashlib.sha256(b"queenright/password/" + name.encode() + b"/" + self._holder + b"/" + key)
            .hexdigest()
            .encode()
            for key in self._keys
        ]

    def _current(self) -> bytes:
        if not self._keys:
            raise LockedError(self.path)
        return self._keys[0]

    # -- format

    def _write(self, keys: tuple[bytes, ...], unlock_key: bytes) -> None:
        salt, nonce = self._random(_SALT_BYTES), self._random(_NONCE_BYTES)
        cipher = AESGCM(self._wrapping(unlock_key, salt))
        sealed = nonce + cipher.encrypt(nonce, b"".join(keys), self._place("lock"))
        data = {
            "magic": MAGIC,
            "format": FORMAT,
            "salt": base64.b64encode(salt).decode("ascii"),
            "sealed": base64.b64encode(sealed).decode("ascii"),
            "crc": zlib.crc32(salt + sealed),
        }
        atomic.replace_file(self.path, (json.dumps(data, indent=1) + "\n").encode())
        self._keys, self._unlock_key, self._released = keys, unlock_key, False

    def _opened(self, key: bytes, sealed: bytes, place: bytes) -> bytes | None:
        if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
            return None
        try:
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except InvalidTag:
            return None

    def _wrapping(self, unlock_key: bytes, salt: bytes) -> bytes:
        info = b"queenright/unlock/" + self._holder
        return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(unlock_key)

    def _place(self, name: str) -> bytes:
        return b"queenright/closed/" + name.encode() + b"/" + self._holder


def parse_lock(content: bytes, path: Path) -> tuple[bytes, bytes]:
    """Salt and sealed keys of the file ``path``, whole. Raises KeyStoreError."""
    damaged = KeyStoreError(f"{path} is damaged: restore it from a backup")
    try:
        data = json.loads(content)
        known, number = data["magic"] == MAGIC, data["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise damaged from None
    if not known:
        raise KeyStoreError(f"{path} is no lock")
    if number != FORMAT:
        raise KeyStoreError(f"{path} has format {number}, this release knows {FORMAT}: start the newer one again")
    try:
        salt = base64.b64decode(str(data["salt"]), validate=True)
        sealed = base64.b64decode(str(data["sealed"]), validate=True)
        crc = data["crc"]
    except (KeyError, ValueError):
        raise damaged from None
    if len(salt) != _SALT_BYTES or len(sealed) < _NONCE_BYTES + _TAG_BYTES or crc != zlib.crc32(salt + sealed):
        raise damaged
    return salt, sealed
