# SPDX-License-Identifier: Apache-2.0
"""The real sealer with a key that needs no file: whoever has the same key and name opens what was sealed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from queenright.edge.pki.data_keys import DataKeys
from queenright.edge.pki.sealing import RecordSealer

KEY = bytes(range(32))


class HeldKeys:
    """Stands for the key file."""

    def __init__(self, *keys: bytes) -> None:
        self.path = Path("held.key")
        self._keys = keys

    def load(self) -> DataKeys | None:
        return DataKeys(self._keys) if self._keys else None

    def add(self, key: bytes) -> DataKeys:
        self._keys = (key, *self._keys)
        return DataKeys(self._keys)


def sealer(holder: str = "m1", *keys: bytes, random: Callable[[int], bytes] = os.urandom) -> RecordSealer:
    return RecordSealer(HeldKeys(*(keys or (KEY,))), holder, random)  # type: ignore[arg-type]
