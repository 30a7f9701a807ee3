# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One declaration per option, many readers.

A record (a frozen dataclass whose fields are made by :func:`opt`) has the shape of the Engine API's JSON. From its rows
alone come: the decoder and encoder of the Engine JSON, the argument_spec, the documentation and the merge of a
playbook's options into what is stored. Stdlib only, Python 3.8 syntax: modules and runtime share it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .errors import SpecError
from .rows import META, Codec, Row, check_choice, expect, join, opt, plain, rows

__all__ = (
    "META",
    "Codec",
    "Inline",
    "Nested",
    "NestedList",
    "Row",
    "SpecError",
    "argument_spec",
    "decode",
    "difference",
    "documentation",
    "encode",
    "keep_own",
    "level_of",
    "merge",
    "opt",
    "option_names",
    "options_of",
    "rows",
)

T = t.TypeVar("T")


class Nested(Codec):
    """A record inside a record: a JSON object, and a dict with suboptions."""

    many = False

    def __init__(
        self, record: t.Any, ansible: str = "dict", elements: t.Optional[str] = None, empty: t.Any = None
    ) -> None:
        Codec.__init__(self, ansible, check=plain, elements=elements, empty=empty)
        self.record = record

    def from_api(self, value: t.Any, path: str, version: t.Optional[t.Tuple[int, int]]) -> t.Any:
        return decode(self.record, value, path=path, version=version)

    def to_api(self, value: t.Any) -> t.Any:
        return encode(value)

    def from_option(self, value: t.Any, path: str, current: t.Any) -> t.Any:
        return merge(self.record, current, value, path=path)

    def to_option(self, value: t.Any) -> t.Any:
        return options_of(value)


class Inline(Nested):
    """A record of its own in the JSON whose options stand directly among the parent's.

    Never None: unset is the record with nothing set.
    """

    inline = True

    def absent(self) -> t.Any:
        return self.record()


class NestedList(Nested):
    """A list of records. A playbook's list replaces the stored one as a whole."""

    many = True

    def __init__(self, record: t.Any) -> None:
        Nested.__init__(self, record, "list", elements="dict", empty=())

    def from_api(self, value: t.Any, path: str, version: t.Optional[t.Tuple[int, int]]) -> t.Any:
        items = expect(value, list, "a list", path)
        return tuple(
            decode(self.record, item, path="%s[%d]" % (path, i), version=version) for i, item in enumerate(items)
        )

    def to_api(self, value: t.Any) -> t.Any:
        return [encode(item) for item in value]

    def from_option(self, value: t.Any, path: str, current: t.Any) -> t.Any:
        items = expect(value, (list, tuple), "a list", path)
        return tuple(merge(self.record, None, item, path="%s[%d]" % (path, i)) for i, item in enumerate(items))

    def to_option(self, value: t.Any) -> t.Any:
        return [options_of(item) for item in value]


# -- Engine JSON


def decode(record: t.Type[T], value: t.Any, path: str = "", version: t.Optional[t.Tuple[int, int]] = None) -> T:
    """Engine JSON -> record.

    Keys are matched without regard to case, unknown ones are ignored (as Docker does); ``REFUSED`` keys of the record
    are errors.
    """
    value = expect({} if value is None else value, dict, "an object", path)
    custom = getattr(record, "from_api", None)
    if custom is not None:
        return t.cast("T", custom(value, path, version))
    given = {key.lower(): item for key, item in value.items()}
    for key, reason in getattr(record, "REFUSED", {}).items():
        if given.get(key.lower()):
            raise SpecError(join(path, key), reason)
    values: t.Dict[str, t.Any] = {}
    for name, _option, row in rows(record):
        item = given.get(row.api.lower())
        if item is None or _only_shown(row, item) or (row.since and version and version < row.since):
            continue
        if item == "" and row.choices:  # Go's clients say so of a choice that was not made
            continue
        decoded = row.codec.from_api(item, join(path, row.api), version)
        check_choice(row, decoded, join(path, row.api))
        values[name] = _normal(row, decoded)
    return record(**values)


def encode(value: t.Any) -> t.Dict[str, t.Any]:
    """Record -> Engine JSON; unset fields are left out except those the Engine always shows."""
    custom = getattr(value, "to_api", None)
    if custom is not None:
        return t.cast("t.Dict[str, t.Any]", custom())
    out: t.Dict[str, t.Any] = {}
    for name, _option, row in rows(type(value)):
        item = getattr(value, name)
        if item is None or item == row.codec.absent():
            if row.always is not None:
                out[row.api] = plain(row.always)
            continue
        out[row.api] = row.codec.to_api(item)
    return out


def keep_own(before: t.Optional[T], after: T) -> T:
    """``after`` with the keys of our own that it leaves out, as ``before`` has them.

    Clients of the Engine API do not know those keys: what they read, alter and send back lacks them. Items of a list
    are the same if they agree in the fields that the record names in ``IDENTITY``.
    """
    changes: t.Dict[str, t.Any] = {}
    for name, _option, row in rows(type(after)):
        held, given = getattr(before, name), getattr(after, name)
        if row.own:
            if given == row.codec.absent():
                changes[name] = held
        elif row.codec.record is not None and held and _has_own(row.codec.record):
            changes[name] = _keep_own_within(row, held, given)
    return t.cast("T", dataclasses.replace(t.cast("t.Any", after), **changes))


def _keep_own_within(row: Row, held: t.Any, given: t.Any) -> t.Any:
    record = row.codec.record
    if not isinstance(held, tuple):
        return _normal(row, keep_own(held, record() if given is None else given))
    identity = record.IDENTITY
    known = {tuple(getattr(item, name) for name in identity): item for item in held}
    found = [(known.get(tuple(getattr(item, name) for name in identity)), item) for item in given]
    return tuple(item if old is None else keep_own(old, item) for old, item in found)


def _has_own(record: t.Any) -> bool:
    """Whether a record, or one within it, has keys of our own; computed once per class."""
    cached = record.__dict__.get("_own")
    if cached is None:
        cached = record._own = any(
            row.own or (row.codec.record is not None and _has_own(row.codec.record)) for _n, _o, row in rows(record)
        )
    return t.cast("bool", cached)


def level_of(value: t.Any) -> int:
    """The feature level of the swarm that a record needs by what is said in it."""
    custom = getattr(value, "needs_level", None)
    level: int = custom() if custom is not None else 1
    for name, row in _levelled(type(value)):
        item = getattr(value, name)
        if not item and item == row.codec.absent():
            continue
        if row.level > 1:
            level = max(level, row.level)
        elif isinstance(item, tuple):
            level = max([level] + [level_of(each) for each in item])
        else:
            level = max(level, level_of(item))
    return level


def _levelled(record: t.Any) -> t.Tuple[t.Tuple[str, Row], ...]:
    """The fields of a record whose values, or something in them, may need more than the first level."""
    cached = record.__dict__.get("_levels")
    if cached is None:
        cached = record._levels = tuple(
            (name, row)
            for name, _option, row in rows(record)
            if row.level > 1 or (row.codec.record is not None and _may_need(row.codec.record))
        )
    return t.cast("t.Tuple[t.Tuple[str, Row], ...]", cached)


def _may_need(record: t.Any) -> bool:
    return hasattr(record, "needs_level") or bool(_levelled(record))


# -- playbook options


def merge(record: t.Type[T], current: t.Optional[T], options: t.Any, path: str = "") -> T:
    """Options of a playbook laid over the stored record: an absent key leaves as it is, null clears, anything else
    replaces.
    """
    options = expect(options, dict, "a dictionary", path)
    unknown = sorted(set(options) - set(option_names(record)))
    if unknown:
        raise SpecError(
            join(path, unknown[0]), "there is no such option; known are %s" % ", ".join(sorted(option_names(record)))
        )
    return _merge(record, current, options, path)


def _merge(record: t.Type[T], current: t.Optional[T], options: t.Dict[str, t.Any], path: str) -> T:
    base = record() if current is None else current
    changes: t.Dict[str, t.Any] = {}
    for name, option, row in rows(record):
        held = getattr(base, name)
        if row.codec.inline:
            sub = {key: options[key] for key in option_names(row.codec.record) if key in options}
            if sub or current is None:
                changes[name] = _normal(row, _merge(row.codec.record, None if current is None else held, sub, path))
        elif option and option in options:
            changes[name] = _option_value(row, options[option], join(path, option), held)
    missing = [
        o for n, o, r in rows(record) if r.required and o and changes.get(n, getattr(base, n)) == r.codec.absent()
    ]
    if missing and current is None and path:
        raise SpecError(join(path, missing[0]), "is required")
    merged = dataclasses.replace(t.cast("t.Any", base), **changes)
    custom = getattr(record, "after_merge", None)
    return t.cast("T", custom(merged, options, path) if custom is not None else merged)


def _option_value(row: Row, value: t.Any, path: str, held: t.Any) -> t.Any:
    if value is None:
        return row.codec.absent()
    decoded = row.codec.from_option(value, path, held)
    check_choice(row, decoded, path)
    return _normal(row, decoded)


def options_of(value: t.Any) -> t.Dict[str, t.Any]:
    """Record -> the options that would declare it (unset ones left out)."""
    out: t.Dict[str, t.Any] = {}
    for name, option, row in rows(type(value)):
        item = getattr(value, name)
        if item is None or item == row.codec.absent():
            continue
        if row.codec.inline:
            out.update(options_of(item))
        elif option:
            out[option] = row.codec.to_option(item)
    return out


def option_names(record: t.Any) -> t.Tuple[str, ...]:
    """All option names of a record, those of its inline records included."""
    cached = record.__dict__.get("_option_names")
    if cached is None:
        names: t.List[str] = []
        for _name, option, row in rows(record):
            if row.codec.inline:
                names.extend(option_names(row.codec.record))
            elif option:
                names.append(option)
        cached = record._option_names = tuple(names)
    return t.cast("t.Tuple[str, ...]", cached)


def argument_spec(record: t.Any) -> t.Dict[str, t.Any]:
    """The argument_spec of a record's options."""
    return _declare(record, "options", with_docs=False)


def documentation(record: t.Any) -> t.Dict[str, t.Any]:
    """The ``options:`` of a module's documentation for a record."""
    return _declare(record, "suboptions", with_docs=True)


def _declare(record: t.Any, sub: str, with_docs: bool) -> t.Dict[str, t.Any]:
    out: t.Dict[str, t.Any] = {}
    for _name, option, row in rows(record):
        if row.codec.inline:
            out.update(_declare(row.codec.record, sub, with_docs))
        elif option:
            out[option] = _declare_row(row, sub, with_docs)
    return out


def _declare_row(row: Row, sub: str, with_docs: bool) -> t.Dict[str, t.Any]:
    item: t.Dict[str, t.Any] = {"type": row.codec.ansible}
    if with_docs:
        item["description"] = list(row.doc) + (
            ["If it was never set, %s applies." % row.default_doc] if row.default_doc else []
        )
    if row.codec.elements:
        item["elements"] = row.codec.elements
    if row.choices:
        item["choices"] = list(row.choices)
    if row.required:
        item["required"] = True
    if row.no_log is not None and not with_docs:
        item["no_log"] = row.no_log
    if isinstance(row.codec, Nested):
        item[sub] = _declare(row.codec.record, sub, with_docs)
    return item


# -- differences


def difference(before: t.Any, after: t.Any, path: str = "") -> t.Dict[str, t.Dict[str, t.Any]]:
    """Leaves in which two JSON values differ: {"TaskTemplate.ForceUpdate": {"before": 0, "after": 1}}."""
    if isinstance(before, dict) and isinstance(after, dict):
        out: t.Dict[str, t.Dict[str, t.Any]] = {}
        for key in sorted(set(before) | set(after)):
            out.update(difference(before.get(key), after.get(key), join(path, key)))
        return out
    return {} if before == after else {path: {"before": before, "after": after}}


# -- helpers


def _normal(row: Row, value: t.Any) -> t.Any:
    """Empty records and containers count as absent, so that equality is equality of meaning."""
    if isinstance(row.codec, Nested) and not row.codec.many and value == row.codec.record():
        return row.codec.absent()
    return value


def _only_shown(row: Row, value: t.Any) -> bool:
    """Whether it is what the Engine shows of an unset field: it comes back from every client, and is not said by it.

    ``0`` is not ``False``. An object with something in it is decoded as any other.
    """
    return type(value) is type(row.always) and value == row.always and not (isinstance(value, dict) and value)
