# SPDX-License-Identifier: Apache-2.0
"""Seals what a node keeps on disk: AES-256-GCM with a key of its own for each file.

A file's key is derived (HKDF-SHA256) from the node's data key, the file's salt, its purpose and the node's id, so that
nothing sealed for one file, purpose or node opens in another. The label that stands at the head of a file holds the
data key's id and the salt. A nonce is eight random bytes, drawn each time a file is opened, and a counter: none comes
twice under the same key, whatever was cut off or written anew in between.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from queenright.edge.pki.data_keys import KEY_BYTES, DataKeys, KeyFile
from queenright.edge.pki.errors import KeyStoreError

ALGORITHM = 1
"""AES-256-GCM, a 12-byte nonce before what is sealed, the tag behind it."""
SALT_BYTES = 16
_HOLDER_BYTES = 8
_PREFIX_BYTES = 8
_TAG_BYTES = 16
_LABEL = struct.Struct(f"<B8s{_HOLDER_BYTES}s{SALT_BYTES}s")
_NONCE = struct.Struct(f">{_PREFIX_BYTES}sI")
_MOST = 2**32


class RecordSeal:
    """See ``edge.raft.ports.Seal``. ``key`` is the file's own."""

    overhead = _NONCE.size + _TAG_BYTES

    def __init__(
        self, key: bytes, label: bytes, random: Callable[[int], bytes], is_current: Callable[[], bool]
    ) -> None:
        self.label = label
        self._is_current = is_current
        self._cipher = AESGCM(key)
        self._random = random
        self._prefix = b""
        self._count = _MOST

    @property
    def current(self) -> bool:
        return self._is_current()

    def close(self, block: bytes, place: bytes) -> bytes:
        if self._count == _MOST:
            self._prefix, self._count = self._random(_PREFIX_BYTES), 0
        nonce = _NONCE.pack(self._prefix, self._count)
        self._count += 1
        return nonce + self._cipher.encrypt(nonce, block, place)

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        if len(sealed) < self.overhead:
            return None
        try:
            return self._cipher.decrypt(sealed[: _NONCE.size], sealed[_NONCE.size :], place)
        except InvalidTag:
            return None


class RecordSealer:
    """See ``edge.raft.ports.Sealer``. ``holder`` is the node whose files these are.

    The data key is made when the first file is sealed, never because a sealed file has lost its key. The keys are read
    once.
    """

    def __init__(self, keys: KeyFile, holder: str, random: Callable[[int], bytes]) -> None:
        self._keys = keys
        self._holder = holder.encode()
        self._random = random
        self._lock = threading.Lock()  # two files may be begun at once, and the first of them makes the key
        self._known: DataKeys | None = None

    def new(self, purpose: str) -> RecordSeal:
        """Raises KeyStoreError or OSError."""
        with self._lock:
            keys = self._load() or self._add()
        return self._seal(keys.current, self._random(SALT_BYTES), purpose)

    def rotate(self) -> None:
        """Seal new files with a new data key; files that are there are written anew when they are next. Raises
        KeyStoreError or OSError; then all is as before."""
        with self._lock:
            self._load()
            self._add()

    def conform(self) -> None:
        """Have the file of the keys closed as it is to be, or in clear. Raises KeyStoreError or OSError."""
        with self._lock:
            self._keys.conform()

    def turn(self) -> None:
        """Where the file of the keys is not closed as it is to be, close it, in one step with :meth:`rotate`: what
        could be read shall open nothing of tomorrow. Raises KeyStoreError or OSError."""
        with self._lock:
            if not self._keys.settled:
                self._add()

    @property
    def newest(self) -> bytes:
        """The id of the key that seals what is new; empty where there is none yet. Raises KeyStoreError or OSError."""
        with self._lock:
            keys = self._load()
        return keys.current_id if keys is not None else b""

    @property
    def rotating(self) -> bool:
        """Whether there are keys on their way out. Raises KeyStoreError or OSError."""
        with self._lock:
            keys = self._load()
        return keys is not None and len(keys.keys) > 1

    def settle(self) -> None:
        """Forget former keys: the caller knows that nothing is sealed with them any more. Raises KeyStoreError or
        OSError."""
        with self._lock:
            self._keys.keep_current()
            self._known = self._keys.load()

    def find(self, purpose: str, label: bytes) -> RecordSeal:
        """Raises KeyStoreError or OSError."""
        if label[:1] != bytes([ALGORITHM]):
            raise KeyStoreError(
                f"is sealed in a way that a newer release of queenright knows (number {label[:1].hex()})"
            )
        if len(label) != _LABEL.size:
            raise KeyStoreError("does not say which key it is sealed with")
        _, key_id, holder, salt = _LABEL.unpack(label)
        with self._lock:
            keys = self._load()
        path = self._keys.path
        if keys is None:
            raise KeyStoreError(f"is sealed with key {key_id.hex()}, but {path} is missing: restore it from a backup")
        key = keys.find(key_id)
        if key is None:
            raise KeyStoreError(
                f"is sealed with key {key_id.hex()}, but {path} holds another one ({keys.current_id.hex()}): "
                "restore the file of that key, or both from the same backup"
            )
        if holder != self._digest():
            raise KeyStoreError(
                f"was sealed for another node than {self._holder.decode()}: use the state directory that was made "
                "for this node"
            )
        return self._seal(key, salt, purpose)

    def _load(self) -> DataKeys | None:
        if self._known is None:
            self._known = self._keys.load()
        return self._known

    def _add(self) -> DataKeys:
        self._known = self._keys.add(self._random(KEY_BYTES))
        return self._known

    def _is_current(self, key: bytes) -> bool:
        return self._known is not None and self._known.current == key

    def _seal(self, key: bytes, salt: bytes, purpose: str) -> RecordSeal:
        label = _LABEL.pack(ALGORITHM, DataKeys.id_of(key), self._digest(), salt)
        info = b"queenright/" + purpose.encode() + b"/" + self._holder
        derived = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(key)
        return RecordSeal(derived, label, self._random, lambda: self._is_current(key))

    def _digest(self) -> bytes:
        return hashlib.sha256(b"queenright/holder/" + self._holder).digest()[:_HOLDER_BYTES]
