# SPDX-License-Identifier: Apache-2.0
"""The JSON of a bundle, and values of it by their keys in any letter case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from queenright.sources.draft import SourceError


class _Twice(dict[str, Any]):
    """An object in which a key stands twice."""

    key = ""


def parse(text: str) -> dict[str, Any]:
    """The document that a text is. Raises SourceError."""
    try:
        document = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_object, parse_constant=_no_number)
        _check(document, "")
    except json.JSONDecodeError as error:
        raise SourceError(f"line {error.lineno}, column {error.colno}", f"this is no JSON: {error.msg}") from None
    except RecursionError:
        raise SourceError("", "the document is nested too deeply") from None
    except SourceError:
        raise
    except ValueError as error:  # a number of very many digits
        raise SourceError("", f"this is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise SourceError("", f"expected an object, got {_shown(document)}")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            twice = _Twice(found)
            twice.key = key
            return twice
        seen.add(key)
    return found


def _no_number(text: str) -> object:
    raise SourceError("", f"this is no JSON: {text} is no number")


def _check(value: object, path: str) -> None:
    """Refuse what JSON can say and nobody means: a key twice, halves of characters."""
    if isinstance(value, _Twice):
        raise SourceError(_join(path, value.key), "stands there twice")
    if isinstance(value, dict):
        for key, one in value.items():
            _check_text(key, path)
            _check(one, _join(path, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            _check(one, f"{path}[{number}]")
    elif isinstance(value, str):
        _check_text(value, path)


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SourceError(path, "has half of a character in it") from None


# -- values by key, in any letter case


class Keyed:
    """An object of the document, whose keys are known. Null is as if a key was not there."""

    def __init__(self, value: object, path: str, keys: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping):
            raise SourceError(path, f"expected an object, got {_shown(value)}")
        self._at = path
        self._given: dict[str, tuple[str, Any]] = {}
        known = {key.lower(): key for key in keys}
        for key, one in value.items():
            if not isinstance(key, str) or key.lower() not in known:
                raise SourceError(_join(path, str(key)), f"there is no such key; known are {', '.join(keys)}")
            name = known[key.lower()]
            if name in self._given:
                raise SourceError(_join(path, key), f"stands there twice, as {self._given[name][0]} too")
            self._given[name] = (key, one)

    def path(self, key: str) -> str:
        """Of that key, as it is written."""
        return _join(self._at, self._given.get(key, (key,))[0])

    def _value(self, key: str, kind: type, words: str) -> Any:
        value = self._given.get(key, (key, None))[1]
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise SourceError(self.path(key), f"expected {words}, got {_shown(value)}")
        return value

    def text(self, key: str) -> str | None:
        found: str | None = self._value(key, str, "a text")
        return found

    def number(self, key: str) -> int:
        found = self._value(key, int, "a whole number")
        if found is None:
            raise SourceError(self.path(key), "is required")
        return int(found)

    def items(self, key: str) -> list[Any]:
        return self._value(key, list, "a list") or []

    def objects(self, key: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._value(key, dict, "an object")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        for number, one in enumerate(self.items(key)):
            if not isinstance(one, str):
                raise SourceError(f"{self.path(key)}[{number}]", f"expected a text, got {_shown(one)}")
        return tuple(self.items(key))

    def labels(self, key: str) -> dict[str, str]:
        found = self.objects(key) or {}
        for name, one in found.items():
            if not isinstance(one, str):
                raise SourceError(f"{self.path(key)}.{name}", f"expected a text, got {_shown(one)}")
        return dict(found)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shown(value: object) -> str:
    """What a value is; of texts nothing is quoted, as they may be long."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)[:40]
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
