# SPDX-License-Identifier: Apache-2.0
"""JSON of stored objects, encoded once for each of their versions, so that long lists stay cheap."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Generic, TypeVar

from queenright.edge.http.messages import encode
from queenright.model.objects import Node, Service, Task

T = TypeVar("T", bound=Node | Service | Task)

SPARE = 1000  # entries of objects that are gone, before they are looked for
LOOKS = 2000  # entries that are looked at in one go: a millisecond
MOST_BYTES = 64 << 20
ENTRY = 300  # bytes of an entry besides its text
PARTS = 64  # tables of entries: one that grows is copied, which takes as long as it is long


def with_key(text: bytes, name: str, more: dict[str, Any]) -> bytes:
    """An object's JSON with one key more."""
    return text[:-1] + b"," + encode({name: more})[1:]


class JsonCache(Generic[T]):
    """JSON text by object. An entry belongs to one frozen object and is used for no other.

    It holds ``most`` bytes. What comes when it is full is encoded each time: lists are read from one end to the other,
    so that to drop the oldest for the newest would be to find nothing ever.
    """

    def __init__(self, render: Callable[[T], dict[str, Any]], most: int = MOST_BYTES) -> None:
        self._render = render
        self._most = most
        self._bytes = 0
        self._parts: list[dict[str, tuple[T, bytes]]] = [{} for _ in range(PARTS)]
        self._count = 0
        self._turn = 0  # of the parts, to be looked through next

    def __len__(self) -> int:
        return self._count

    def text(self, value: T) -> bytes:
        """The object's JSON."""
        part = self._part(value.id)
        known = part.get(value.id)
        if known is not None and known[0] is value:
            return known[1]
        text = encode(self._render(value))
        if known is not None:
            self._drop(part, value.id)
        if self._bytes + len(text) + ENTRY <= self._most:
            part[value.id] = (value, text)
            self._count += 1
            self._bytes += len(text) + ENTRY
        return text

    def text_with(self, value: T, name: str, more: dict[str, Any]) -> bytes:
        """The object's JSON with one key more."""
        return with_key(self.text(value), name, more)

    def forget_but(self, alive: int, ids: Container[str]) -> None:
        """Drop some of what is no more, once there is much of it or no room. ``ids``: of the ``alive`` objects."""
        full = self._bytes > self._most - self._most // 8
        if self._count <= alive + SPARE and not full:
            return
        looked = 0
        for _ in range(PARTS):
            part = self._parts[self._turn]
            self._turn = (self._turn + 1) % PARTS
            looked += len(part)
            for key in [key for key in part if key not in ids]:
                self._drop(part, key)
            if looked >= LOOKS:
                return

    def _part(self, key: str) -> dict[str, tuple[T, bytes]]:
        return self._parts[hash(key) % PARTS]

    def _drop(self, part: dict[str, tuple[T, bytes]], key: str) -> None:
        self._bytes -= len(part.pop(key)[1]) + ENTRY
        self._count -= 1
