# SPDX-License-Identifier: Apache-2.0
"""JSON of stored objects, encoded once for each of their versions, so that long lists stay cheap."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from typing import Any, Generic, TypeVar

from queenright.edge.http.messages import encode
from queenright.model.objects import Node, Service, Task

T = TypeVar("T", bound=Node | Service | Task)

SPARE = 1000  # entries of objects that are gone, before they are looked for
LOOKS = 2000  # entries that are looked at in one go: a millisecond


def with_key(text: bytes, name: str, more: dict[str, Any]) -> bytes:
    """An object's JSON with one key more."""
    return text[:-1] + b"," + encode({name: more})[1:]


class JsonCache(Generic[T]):
    """JSON text by object. An entry belongs to one frozen object and is used for no other."""

    def __init__(self, render: Callable[[T], dict[str, Any]]) -> None:
        self._render = render
        self._texts: OrderedDict[str, tuple[T, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, value: T) -> bytes:
        """The object's JSON."""
        known = self._texts.get(value.id)
        if known is not None and known[0] is value:
            return known[1]
        text = encode(self._render(value))
        self._texts[value.id] = (value, text)
        return text

    def text_with(self, value: T, name: str, more: dict[str, Any]) -> bytes:
        """The object's JSON with one key more."""
        return with_key(self.text(value), name, more)

    def forget_but(self, alive: int, ids: Container[str]) -> None:
        """Drop some of what is no more, once there is much of it. ``ids``: those of the ``alive`` objects."""
        if len(self._texts) <= alive + SPARE:
            return
        for _ in range(min(LOOKS, len(self._texts))):
            key, entry = self._texts.popitem(last=False)
            if key in ids:
                self._texts[key] = entry  # its turn comes again after all others
