# SPDX-License-Identifier: Apache-2.0
"""JSON of stored objects, encoded once for each of their versions, so that long lists stay cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from queenright.edge.http.messages import encode
from queenright.model.objects import Service, Task

T = TypeVar("T", bound=Service | Task)

SPARE = 1000  # entries of objects that are gone, before they are looked for


class JsonCache(Generic[T]):
    """JSON text by object. An entry belongs to one frozen object and is used for no other."""

    def __init__(self, render: Callable[[T], dict[str, Any]]) -> None:
        self._render = render
        self._texts: dict[str, tuple[T, bytes]] = {}

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
        return self.text(value)[:-1] + b"," + encode({name: more})[1:]

    def forget_but(self, alive: int, ids: Iterable[str]) -> None:
        """Drop what is no more once there is much of it. ``ids``: those of the ``alive`` objects."""
        if len(self._texts) > alive + SPARE:
            known = set(ids)
            self._texts = {key: entry for key, entry in self._texts.items() if key in known}
