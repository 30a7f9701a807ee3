# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One declaration per option, many readers.

A record (a frozen dataclass whose fields are made by :func:`opt`) has the shape of the Engine API's JSON. Each row says
the JSON key, how the value
crosses (its codec), the option's name and documentation on the Ansible side. From the rows alone come: the decoder and
encoder of the Engine JSON, the
argument_spec, the documentation and the merge of a playbook's options into what is stored. Stdlib only, Python 3.8
syntax: modules and runtime share it.

Three forms of a value: *api* (Engine JSON), *option* (what a playbook says) and the *value* held by the record.
An absent value is the field's default (None, or an empty tuple or dict), so that null, absent and empty are one.
"""

from __future__ import annotations

import dataclasses
import typing as t

META = "queenright"
T = t.TypeVar("T")


class SpecError(ValueError):
    """A value that cannot be taken.

    ``path`` names the key (``TaskTemplate.Resources.Limits.Pids``), ``reason`` says what is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        ValueError.__init__(self, "%s: %s" % (path, reason) if path else reason)
        self.path = path
        self.reason = reason


class Codec:
    """How a scalar or plain container crosses.

    ``check`` gets an api value and returns the record's value; the option form may differ.
    """

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
        self._to_option = to_option or _plain

    def from_api(self, value: t.Any, path: str, version: t.Optional[t.Tuple[int, int]]) -> t.Any:
        return self._guard(self._check, value, path)

    def to_api(self, value: t.Any) -> t.Any:
        return _plain(value)

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


class Nested(Codec):
    """A record inside a record: a JSON object, and a dict with suboptions."""

    many = False

    def __init__(
        self, record: t.Any, ansible: str = "dict", elements: t.Optional[str] = None, empty: t.Any = None
    ) -> None:
        Codec.__init__(self, ansible, check=_plain, elements=elements, empty=empty)
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

    def absent(self) -> t.Any:
        return self.record()


class NestedList(Nested):
    """A list of records. A playbook's list replaces the stored one as a whole."""

    many = True

    def __init__(self, record: t.Any) -> None:
        Nested.__init__(self, record, "list", elements="dict", empty=())

    def from_api(self, value: t.Any, path: str, version: t.Optional[t.Tuple[int, int]]) -> t.Any:
        items = _expect(value, list, "a list", path)
        return tuple(
            decode(self.record, item, path="%s[%d]" % (path, i), version=version) for i, item in enumerate(items)
        )

    def to_api(self, value: t.Any) -> t.Any:
        return [encode(item) for item in value]

    def from_option(self, value: t.Any, path: str, current: t.Any) -> t.Any:
        items = _expect(value, (list, tuple), "a list", path)
        return tuple(merge(self.record, None, item, path="%s[%d]" % (path, i)) for i, item in enumerate(items))

    def to_option(self, value: t.Any) -> t.Any:
        return [options_of(item) for item in value]


@dataclasses.dataclass(frozen=True)
class Row:
    """What one field of a record says about itself.

    ``always`` is the api value shown where the field is unset (Docker materialises a few empty ones); ``default``
    documents what applies when unset;
    ``since`` is the first Engine API version that knows the key: older clients' values are dropped, as Docker does.
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
    )
    if isinstance(codec, Inline) or isinstance(codec.empty, dict):
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


# -- Engine JSON


def decode(record: t.Type[T], value: t.Any, path: str = "", version: t.Optional[t.Tuple[int, int]] = None) -> T:
    """Engine JSON -> record.

    Keys are matched without regard to case, unknown ones are ignored (as Docker does); ``REFUSED`` keys of the record
    are errors.
    """
    value = _expect({} if value is None else value, dict, "an object", path)
    custom = getattr(record, "from_api", None)
    if custom is not None:
        return t.cast("T", custom(value, path, version))
    given = {key.lower(): item for key, item in value.items()}
    for key, reason in getattr(record, "REFUSED", {}).items():
        if given.get(key.lower()):
            raise SpecError(_join(path, key), reason)
    values: t.Dict[str, t.Any] = {}
    for name, _option, row in rows(record):
        item = given.get(row.api.lower())
        if item is None or item == row.always or (row.since and version and version < row.since):
            continue  # what the Engine always shows comes back from every client: it is unset, not said
        decoded = row.codec.from_api(item, _join(path, row.api), version)
        _check_choice(row, decoded, _join(path, row.api))
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
                out[row.api] = _plain(row.always)
            continue
        out[row.api] = row.codec.to_api(item)
    return out


# -- playbook options


def merge(record: t.Type[T], current: t.Optional[T], options: t.Any, path: str = "") -> T:
    """Options of a playbook laid over the stored record: an absent key leaves as it is, null clears, anything else
    replaces.
    """
    options = _expect(options, dict, "a dictionary", path)
    unknown = sorted(set(options) - set(option_names(record)))
    if unknown:
        raise SpecError(
            _join(path, unknown[0]), "there is no such option; known are %s" % ", ".join(sorted(option_names(record)))
        )
    return _merge(record, current, options, path)


def _merge(record: t.Type[T], current: t.Optional[T], options: t.Dict[str, t.Any], path: str) -> T:
    base = record() if current is None else current
    changes: t.Dict[str, t.Any] = {}
    for name, option, row in rows(record):
        held = getattr(base, name)
        if isinstance(row.codec, Inline):
            sub = {key: options[key] for key in option_names(row.codec.record) if key in options}
            if sub:
                changes[name] = _normal(row, _merge(row.codec.record, held, sub, path))
        elif option and option in options:
            changes[name] = _option_value(row, options[option], _join(path, option), held)
    missing = [o for n, o, r in rows(record) if r.required and o and changes.get(n, getattr(base, n)) in (None, ())]
    if missing and current is None and path:
        raise SpecError(_join(path, missing[0]), "is required")
    merged = dataclasses.replace(t.cast("t.Any", base), **changes)
    custom = getattr(record, "after_merge", None)
    return t.cast("T", custom(merged, options, path) if custom is not None else merged)


def _option_value(row: Row, value: t.Any, path: str, held: t.Any) -> t.Any:
    if value is None:
        return row.codec.absent()
    decoded = row.codec.from_option(value, path, held)
    _check_choice(row, decoded, path)
    return _normal(row, decoded)


def options_of(value: t.Any) -> t.Dict[str, t.Any]:
    """Record -> the options that would declare it (unset ones left out)."""
    out: t.Dict[str, t.Any] = {}
    for name, option, row in rows(type(value)):
        item = getattr(value, name)
        if item is None or item == row.codec.absent():
            continue
        if isinstance(row.codec, Inline):
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
            if isinstance(row.codec, Inline):
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
        if isinstance(row.codec, Inline):
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
            out.update(difference(before.get(key), after.get(key), _join(path, key)))
        return out
    return {} if before == after else {path: {"before": before, "after": after}}


# -- helpers


def _join(path: str, key: str) -> str:
    return "%s.%s" % (path, key) if path else key


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, dict) else value


def _normal(row: Row, value: t.Any) -> t.Any:
    """Empty records and containers count as absent, so that equality is equality of meaning."""
    if isinstance(row.codec, Nested) and not row.codec.many and value == row.codec.record():
        return row.codec.absent()
    return value


def _check_choice(row: Row, value: t.Any, path: str) -> None:
    if row.choices and value is not None and value not in row.choices:
        raise SpecError(path, "%r is none of %s" % (value, ", ".join(str(c) for c in row.choices)))


def _expect(value: t.Any, kind: t.Any, words: str, path: str) -> t.Any:
    if not isinstance(value, kind):
        raise SpecError(path, "expected %s, got %s" % (words, type(value).__name__))
    return value
