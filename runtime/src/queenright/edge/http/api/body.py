# SPDX-License-Identifier: Apache-2.0
"""Reading the JSON bodies of requests: keys in any case of letters, null as absent, wrong types refused by name."""

from __future__ import annotations

from typing import Any, TypeVar

from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request

T = TypeVar("T")
_KINDS = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "an object"}


class Body:
    """The object in a request's body."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._values = {key.lower(): value for key, value in document.items()}

    @classmethod
    def of(cls, request: Request) -> Body:
        return cls(request.json())

    def text(self, name: str, default: str = "") -> str:
        return self._get(name, str, default)

    def integer(self, name: str) -> int:
        value = self._get(name, int, 0)
        if not 0 <= value < 1 << 32:
            raise ApiError(400, f"invalid JSON: {name}: {value} is out of range")
        return value

    def flag(self, name: str) -> bool:
        return self._get(name, bool, False)

    def object(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._get(name, dict, {})
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        found: list[Any] = self._get(name, list, [])
        for item in found:
            if not isinstance(item, str):
                raise ApiError(400, f"invalid JSON: {name}: expected a list of strings")
        return tuple(found)

    def objects(self, name: str) -> list[dict[str, Any]]:
        """A list of objects."""
        found: list[Any] = self._get(name, list, [])
        for number, item in enumerate(found):
            if not isinstance(item, dict):
                raise ApiError(400, f"invalid JSON: {name}[{number}]: expected an object")
        return found

    def labels(self, name: str) -> dict[str, str]:
        """An object of strings."""
        found = self.object(name)
        for value in found.values():
            if not isinstance(value, str):
                raise ApiError(400, f"invalid JSON: {name}: expected an object of strings")
        return found

    def _get(self, name: str, kind: type[T], default: T) -> T:
        value = self._values.get(name.lower())
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ApiError(400, f"invalid JSON: {name}: expected {_KINDS[kind]}")
        return value


def get(document: dict[str, Any], *path: str) -> Any:
    """What stands at a path of keys, in any case of letters; None where there is nothing."""
    value: Any = document
    for key in path:
        if not isinstance(value, dict):
            return None
        value = next((item for name, item in value.items() if name.lower() == key.lower()), None)
    return value
