# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a field of a record says about itself: its row, and the codec by which its value crosses.

Three forms of a value: *api* (Engine JSON), *option* (what a playbook says) and the *value* held by the record.
An absent value is the field's default (None, or an empty tuple or dict), so that null, absent and empty are one.
Stdlib only, Python 3.8 syntax: modules and runtime share it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .errors import SpecError

META = "queenright"


class Codec:
    """How a scalar or plain container crosses.

    ``check`` gets an api value and returns the record's value; the option form may differ.
    """

    record: t.Any = None  # class of a record inside the record
    inline = False  # whether that record's options stand among those of its parent

    def __init__(
        self,
        ansible: str,
        check: t.Callable[[t.Any], t.Any],
        elements: t.Optional[str] = None,
        from_option: t.Optional[t.Callable[[t.Any], t.Any]] = None,
        to_option: t.Optional[t.Callable[[t.Any], t.Any]] = None,
        empty: t.Any = None,
    ) -> None:
        self.ansible = ansible
        self.elements = elements
        self.empty = empty
        self._check = check
        self._from_option = from_option or check
        self._to_option = to_option or plain

    def from_api(self, value: t.Any, path: str, version: t.Optional[t.Tuple[int, int]]) -> t.Any:
        return self._guard(self._check, value, path)

    def to_api(self, value: t.Any) -> t.Any:
        return plain(value)

    def from_option(self, value: t.Any, path: str, current: t.Any) -> t.Any:
        return self._guard(self._from_option, value, path)

    def to_option(self, value: t.Any) -> t.Any:
        return self._to_option(value)

    def absent(self) -> t.Any:
        """The record's value for "never set"."""
        return {} if isinstance(self.empty, dict) else self.empty

    @staticmethod
    def _guard(function: t.Callable[[t.Any], t.Any], value: t.Any, path: str) -> t.Any:
        try:
            return function(value)
        except SpecError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            raise SpecError(path, str(error)) from error


@dataclasses.dataclass(frozen=True)
class Row:
    """What one field of a record says about itself.

    ``always`` is the api value shown where the field is unset (Docker materialises a few empty ones); ``default``
    documents what applies when unset;
    ``since`` is the first Engine API version that knows the key: older clients' values are dropped, as Docker does.
    ``own`` marks a key that the Engine API does not have: its clients leave it out, and it stays (``keep_own``).
    ``level`` is the feature level of the swarm that a value here needs.
    """

    api: str
    codec: Codec
    doc: t.Tuple[str, ...]
    option: t.Optional[str] = None
    choices: t.Optional[t.Tuple[t.Any, ...]] = None
    required: bool = False
    always: t.Any = None
    since: t.Optional[t.Tuple[int, int]] = None
    no_log: t.Optional[bool] = None
    default_doc: t.Optional[str] = None
    immutable: bool = False
    own: bool = False
    level: int = 1


def opt(
    api: str,
    codec: Codec,
    doc: t.Union[str, t.Tuple[str, ...]],
    option: t.Optional[str] = None,
    choices: t.Optional[t.Sequence[t.Any]] = None,
    required: bool = False,
    always: t.Any = None,
    since: t.Optional[t.Tuple[int, int]] = None,
    no_log: t.Optional[bool] = None,
    default_doc: t.Optional[str] = None,
    immutable: bool = False,
    own: bool = False,
    level: int = 1,
) -> t.Any:
    """Declare a field. ``option=""`` hides it from playbooks; ``option=None`` names it as the field."""
    lines = (doc,) if isinstance(doc, str) else tuple(doc)
    row = Row(
        api,
        codec,
        lines,
        option,
        tuple(choices) if choices else None,
        required,
        always,
        since,
        no_log,
        default_doc,
        immutable,
        own,
        level,
    )
    if codec.inline or isinstance(codec.empty, dict):
        return dataclasses.field(  # pylint: disable=invalid-field-call
            default_factory=codec.absent, metadata={META: row}
        )
    return dataclasses.field(default=codec.empty, metadata={META: row})  # pylint: disable=invalid-field-call


def rows(record: t.Any) -> t.Tuple[t.Tuple[str, str, Row], ...]:
    """(field name, option name or "", row) for each field of a record class; computed once per class."""
    cached = record.__dict__.get("_rows")
    if cached is None:
        cached = tuple(
            (f.name, f.name if f.metadata[META].option is None else f.metadata[META].option, f.metadata[META])
            for f in dataclasses.fields(record)
        )
        record._rows = cached
    return t.cast("t.Tuple[t.Tuple[str, str, Row], ...]", cached)


# -- helpers


def join(path: str, key: str) -> str:
    return "%s.%s" % (path, key) if path else key


def plain(value: t.Any) -> t.Any:
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return dict(value) if isinstance(value, dict) else value


def check_choice(row: Row, value: t.Any, path: str) -> None:
    if row.choices and value is not None and value not in row.choices:
        raise SpecError(path, "%r is none of %s" % (value, ", ".join(str(c) for c in row.choices)))


def expect(value: t.Any, kind: t.Any, words: str, path: str) -> t.Any:
    if not isinstance(value, kind):
        raise SpecError(path, "expected %s, got %s" % (words, type(value).__name__))
    return value
