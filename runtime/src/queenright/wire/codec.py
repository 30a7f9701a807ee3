# SPDX-License-Identifier: Apache-2.0
"""Model objects <-> protobuf messages, by name.

Message and field names of ``proto/objects.proto`` equal those of the model's and spec's classes (a test compares them),
so one reflective codec serves all.
What a class needs is looked up once and kept as a plan. Unknown fields of a newer sender are dropped by protobuf; unset
ones get the class's default.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError, Message

from queenright.model import objects
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.objects import Object
from queenright.wire.gen import objects_pb2 as pb

T = TypeVar("T")


class CodecError(ValueError):
    """Bytes that are no message of ours."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """How one field crosses. ``shape``: one, optional, many, map or record; ``cls`` is the record's or enum's class."""

    name: str
    shape: str
    cls: type | None
    is_record: bool


_PLANS: dict[type, tuple[_Field, ...]] = {}


def _plan(cls: type) -> tuple[_Field, ...]:
    plan = _PLANS.get(cls)
    if plan is None:
        plan = _PLANS[cls] = _make_plan(cls)
    return plan


def _make_plan(cls: type) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if hint is type(None):
            continue
        fields.append(_field(field.name, hint))
    return tuple(fields)


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
        return _Field(name, "map", None, False)
    is_record = dataclasses.is_dataclass(hint)
    special = hint if is_record or (isinstance(hint, type) and issubclass(hint, enum.Enum)) else None
    return _Field(name, shape, special, is_record)


def fields_of(cls: type) -> tuple[str, ...]:
    """The names that cross for a class."""
    return tuple(field.name for field in _plan(cls))


def to_message(value: Any, message: Message) -> None:
    """Fill a message from a record of the same name."""
    for field in _plan(type(value)):
        item = getattr(value, field.name)
        if item is None or item == () or item == {}:
            continue
        if field.shape == "map":
            getattr(message, field.name).update(item)
        elif field.shape == "many":
            target = getattr(message, field.name)
            if field.is_record:
                for element in item:
                    to_message(element, target.add())
            else:
                target.extend(item)
        elif field.is_record:
            target = getattr(message, field.name)
            target.SetInParent()
            to_message(item, target)
        else:
            setattr(message, field.name, item)


def from_message(cls: type[T], message: Any) -> T:
    """Make a record from a message of the same name."""
    values: dict[str, Any] = {}
    for field in _plan(cls):
        if field.shape == "map":
            values[field.name] = dict(getattr(message, field.name))
        elif field.shape == "many":
            items = getattr(message, field.name)
            make = functools.partial(from_message, cast(type, field.cls)) if field.is_record else _same
            values[field.name] = tuple(make(item) for item in items)
        elif field.is_record:
            if message.HasField(field.name):
                values[field.name] = from_message(cast(type, field.cls), getattr(message, field.name))
        elif field.shape == "one" or message.HasField(field.name):
            item = getattr(message, field.name)
            values[field.name] = field.cls(item) if field.cls is not None else item
    return cls(**values)


def _same(value: Any) -> Any:
    return value


def _object_to(value: Object, message: pb.Object) -> None:
    to_message(value, getattr(message, value.kind))


def _object_from(message: pb.Object) -> Object:
    kind = message.WhichOneof("object")
    if kind is None:
        raise CodecError("an object of a kind that this version does not know")
    return cast(Object, from_message(cast(type, objects.CLASSES[kind]), getattr(message, kind)))


def encode_object(value: Object) -> bytes:
    message = pb.Object()
    _object_to(value, message)
    return message.SerializeToString(deterministic=True)


def decode_object(data: bytes) -> Object:
    return _object_from(parse(pb.Object, data))


def encode_task(task: objects.Task) -> bytes:
    """One task, as the agent keeps it."""
    return encode_object(task)


def decode_task(data: bytes) -> objects.Task:
    value = decode_object(data)
    if not isinstance(value, objects.Task):
        raise CodecError(f"expected a task, found a {value.kind}")
    return value


def encode_batch(batch: Batch) -> bytes:
    """A log entry."""
    message = pb.Batch(at=batch.at)
    for change in batch.changes:
        target = message.changes.add()
        if isinstance(change, Create):
            _object_to(change.object, target.create)
        elif isinstance(change, Update):
            _object_to(change.object, target.update)
        else:
            target.delete.kind = change.kind
            target.delete.id = change.id
            if change.version is not None:
                target.delete.version = change.version
    return message.SerializeToString(deterministic=True)


def decode_batch(data: bytes) -> Batch:
    message = parse(pb.Batch, data)
    return Batch(at=message.at, changes=tuple(_change_from(change) for change in message.changes))


def _change_from(message: pb.Change) -> Change:
    kind = message.WhichOneof("change")
    if kind == "create":
        return Create(_object_from(message.create))
    if kind == "update":
        return Update(_object_from(message.update))
    if kind == "delete":
        gone = message.delete
        return Delete(gone.kind, gone.id, gone.version if gone.HasField("version") else None)
    raise CodecError("a change of a kind that this version does not know")


M = TypeVar("M", bound=Message)


def parse(make: Callable[[], M], data: bytes) -> M:
    """A message out of its bytes. Raises CodecError."""
    message = make()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise CodecError(f"{len(data)} bytes are no {message.DESCRIPTOR.name} message") from error
    return message
