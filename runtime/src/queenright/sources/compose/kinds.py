# SPDX-License-Identifier: Apache-2.0
"""Kinds of values of a Compose file, and how one that is of another kind is refused by its path."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Protocol

from queenright.sources.draft import SourceError

_SHOWN = 60
_NAME = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


class Kind(Protocol):
    """``words`` say what is expected; ``takes`` whether a value is of that kind, before one looks into it."""

    @property
    def words(self) -> str: ...

    def takes(self, value: object) -> bool: ...

    def check(self, value: object, path: str) -> None:
        """Raises SourceError with the path of what is wrong in it."""


def shown(value: object) -> str:
    """A value in an error: plain ones as they are, of others what they are."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refuse(kind: Kind, value: object, path: str) -> SourceError:
    """The error of a value that is not of that kind."""
    plain = isinstance(value, bool | int | float)
    hint = ": put it in quotes" if plain and kind.takes("text") else ""
    return SourceError(path, f"expected {kind.words}, got {shown(value)}{hint}")


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """A value without parts. ``choices``: the texts that it may be."""

    words: str
    types: tuple[type, ...]
    choices: tuple[str, ...] = ()

    def takes(self, value: object) -> bool:
        if isinstance(value, bool):
            return bool in self.types
        return isinstance(value, self.types)

    def check(self, value: object, path: str) -> None:
        if not self.takes(value):
            raise refuse(self, value, path)
        if self.choices and value not in self.choices:
            raise SourceError(path, f"{shown(value)} is none of {', '.join(one for one in self.choices if one)}")


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """A number without a fraction; a float without one counts, as in JSON."""

    words: str = "a whole number"
    least: int | None = 0

    def takes(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return isinstance(value, int) or (math.isfinite(value) and value == int(value))

    def check(self, value: object, path: str) -> None:
        if not self.takes(value):
            raise refuse(self, value, path)
        if not isinstance(value, int | float) or (self.least is not None and value < self.least):
            raise SourceError(path, f"expected a number that is not negative, got {shown(value)}")
        if abs(value) >= 1 << 63:
            raise SourceError(path, f"{shown(value)} is too large")


@dataclasses.dataclass(frozen=True, slots=True)
class Items:
    """A list; ``unique``: nothing stands in it twice."""

    item: Kind
    unique: bool = False
    words: str = "a list"

    def takes(self, value: object) -> bool:
        return isinstance(value, list)

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, list):
            raise refuse(self, value, path)
        for number, one in enumerate(value):
            self.item.check(one, f"{path}[{number}]")
            if self.unique and any(_same(one, other) for other in value[:number]):
                raise SourceError(f"{path}[{number}]", f"{shown(one)} stands there twice")


def _same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """An object with known keys. ``extras``: keys that begin with ``x-`` may be in it, for whomever."""

    keys: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    extras: bool = False
    words: str = "an object"

    def takes(self, value: object) -> bool:
        return isinstance(value, dict)

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise refuse(self, value, path)
        for key, one in value.items():
            where = f"{path}.{key}" if path else key
            if key in self.keys:
                self.keys[key].check(one, where)
            elif not (self.extras and key.startswith("x-")):
                raise SourceError(where, f"there is no such key; known are {', '.join(sorted(self.keys))}")
        for key in self.required:
            if key not in value:
                raise SourceError(f"{path}.{key}", "is required")


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """An object whose keys are names, each with a value of one kind."""

    item: Kind
    pattern: re.Pattern[str] | None = _NAME
    words: str = "an object"

    def takes(self, value: object) -> bool:
        return isinstance(value, dict)

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise refuse(self, value, path)
        for key, one in value.items():
            if not key or (self.pattern is not None and self.pattern.fullmatch(key) is None):
                raise SourceError(f"{path}.{key}", f"{key!r} is no name here")
            self.item.check(one, f"{path}.{key}")


@dataclasses.dataclass(frozen=True, slots=True)
class Either:
    """A value of one of several kinds, told apart by what they are at first sight."""

    kinds: tuple[Kind, ...]

    @property
    def words(self) -> str:
        names = list(dict.fromkeys(kind.words for kind in self.kinds))
        return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

    def takes(self, value: object) -> bool:
        return any(kind.takes(value) for kind in self.kinds)

    def check(self, value: object, path: str) -> None:
        for kind in self.kinds:
            if kind.takes(value):
                return kind.check(value, path)
        raise refuse(self, value, path)


@dataclasses.dataclass(frozen=True, slots=True)
class Anything:
    """Whatever it is, it is not looked into."""

    words: str = "anything"

    def takes(self, value: object) -> bool:
        return True

    def check(self, value: object, path: str) -> None:
        pass


TEXT = Plain("a text", (str,))
BOOL = Plain("true or false", (bool,))
NUMBER = Plain("a number", (int, float))
NULL = Plain("nothing", (type(None),))
WHOLE = Whole()
SIGNED = Whole(least=None)


def either(*kinds: Kind) -> Either:
    return Either(kinds)


def choice(*texts: str) -> Plain:
    """One of these texts, or an empty one, which is as if nothing was said."""
    return Plain("a text", (str,), (*texts, ""))
