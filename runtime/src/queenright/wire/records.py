# SPDX-License-Identifier: Apache-2.0
"""Records <-> protobuf messages, by name.

Message and field names of ``proto/objects.proto`` equal those of the model's and spec's classes (a test compares them),
so one reflective codec serves all. What a class needs is looked up once and kept as a plan. Unknown fields of a newer
sender are dropped; unset ones get the class's default.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from queenright.spec.service import EndpointSpec, TaskSpec

T = TypeVar("T")
Read = Callable[[Any], Any]
Write = Callable[[Any, Any], None]


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """How one field crosses. ``shape``: one, optional, many, map or record; ``cls`` is the record's or enum's class.

    ``read`` makes the value out of what a message holds.
    """

    name: str
    shape: str
    cls: type | None
    is_record: bool
    read: Read


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """The fields of a class by name. ``stubborn`` ones have a default that is not the message's: they are read although
    the message does not hold them. ``values`` reads all fields of a record; ``writers`` has for each its name, whether
    a message is silent about what is zero or empty, and how it is written.
    """

    fields: dict[str, _Field]
    stubborn: tuple[_Field, ...]
    values: Callable[[Any], tuple[Any, ...]]
    writers: tuple[tuple[str, bool, Write | None], ...]

    def __iter__(self) -> Iterator[_Field]:
        return iter(self.fields.values())


_PLANS: dict[type, _Plan] = {}


def _plan(cls: type) -> _Plan:
    plan = _PLANS.get(cls)
    if plan is None:
        plan = _PLANS[cls] = _make_plan(cls)
    return plan


def _make_plan(cls: type) -> _Plan:
    hints = typing.get_type_hints(cls)
    fields: dict[str, _Field] = {}
    stubborn: list[_Field] = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if hint is type(None):
            continue
        fields[field.name] = made = _field(field.name, hint)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        # A message is silent about zeros and what is empty.
        if made.shape not in ("optional", "record") and (default is dataclasses.MISSING or default):
            stubborn.append(made)
    names = tuple(fields)
    values = attrgetter(*names) if len(names) > 1 else lambda record: tuple(getattr(record, name) for name in names)
    writers = tuple((name, each.shape not in ("optional", "record"), _writer(each)) for name, each in fields.items())
    return _Plan(fields, tuple(stubborn), values, writers)


def _field(name: str, hint: Any) -> _Field:
    shape = "one"
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
        shape = "optional"
    elif origin is tuple:
        hint = typing.get_args(hint)[0]
        shape = "many"
    elif origin is dict:
        return _Field(name, "map", None, False, dict)
    if dataclasses.is_dataclass(hint):
        record = cast(type, hint)
        read: Read = functools.partial(shared.read if record in shared.CLASSES else from_message, record)
        if shape == "many":
            return _Field(name, shape, record, True, lambda items: tuple(map(read, items)))
        return _Field(name, "record", record, True, read)
    if shape == "many":
        return _Field(name, shape, None, False, tuple)
    special = hint if isinstance(hint, type) and issubclass(hint, enum.Enum) else None
    return _Field(name, shape, special, False, special if special is not None else _same)


def fields_of(cls: type) -> tuple[str, ...]:
    """The names that cross for a class."""
    return tuple(_plan(cls).fields)


def to_message(value: Any, message: Message) -> None:
    """Fill a message from a record of the same name."""
    plan = _plan(type(value))
    for (name, silent, write), item in zip(plan.writers, plan.values(value), strict=True):
        if item is None or (silent and not item):
            continue
        if write is None:
            setattr(message, name, item)
        else:
            write(getattr(message, name), item)


def _writer(field: _Field) -> Write | None:
    """What fills the part of a message that the field is; None for a single value, which is just set."""
    if field.shape == "record":
        return _write_shared if field.cls in shared.CLASSES else _write_record
    if field.shape == "map":
        return _update
    if field.shape == "many":
        return _add_records if field.is_record else _extend
    return None


def _write_record(target: Any, item: Any) -> None:
    target.SetInParent()
    to_message(item, target)


def _write_shared(target: Any, item: Any) -> None:
    target.SetInParent()
    shared.write(item, target)


def _update(target: Any, item: Any) -> None:
    target.update(item)


def _extend(target: Any, item: Any) -> None:
    target.extend(item)


def _add_records(target: Any, item: Any) -> None:
    for element in item:
        to_message(element, target.add())


def from_message(cls: type[T], message: Any) -> T:
    """Make a record from a message of the same name. Raises ValueError for one without what it must have."""
    plan = _plan(cls)
    fields = plan.fields
    values: dict[str, Any] = {}
    for descriptor, item in message.ListFields():
        field = fields.get(descriptor.name)
        if field is not None:
            values[field.name] = field.read(item)
    for field in plan.stubborn:
        if field.name not in values:
            values[field.name] = field.read(getattr(message, field.name))
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"a {cls.__name__} without all that it must have: {error}") from error


def _same(value: Any) -> Any:
    return value


class _Shared:
    """Records that very many objects have in common (the tasks of a service have its specification): they are encoded
    once, and those that are equal are one object again when they are read.
    """

    CLASSES = frozenset({TaskSpec, EndpointSpec})
    MOST = 2048  # of each direction; then it is begun anew

    def __init__(self) -> None:
        self._written: dict[int, tuple[Any, bytes]] = {}
        self._read: dict[tuple[type, bytes], Any] = {}

    def write(self, value: Any, message: Message) -> None:
        """Fill the message, which is empty."""
        known = self._written.get(id(value))
        if known is None or known[0] is not value:
            to_message(value, message)
            if len(self._written) >= self.MOST:
                self._written.clear()
            self._written[id(value)] = (value, message.SerializeToString(deterministic=True))
        else:
            message.MergeFromString(known[1])

    def read(self, cls: type, message: Message) -> Any:
        """The record, perhaps one that was read before."""
        key = (cls, message.SerializeToString(deterministic=True))
        found = self._read.get(key)
        if found is None:
            found = from_message(cls, message)
            if len(self._read) >= self.MOST:
                self._read.clear()
            self._read[key] = found
        return found


shared = _Shared()
