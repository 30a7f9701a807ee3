# SPDX-License-Identifier: Apache-2.0
"""Model objects and entries of the log <-> bytes. How a record becomes a message is :mod:`queenright.wire.records`'."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from google.protobuf.message import DecodeError, Message

from queenright.model import objects
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.objects import Object
from queenright.model.stack import Stack, packed, unpacked
from queenright.wire.gen import objects_pb2 as pb
from queenright.wire.records import fields_of, from_message, to_message


class CodecError(ValueError):
    """Bytes that are no message of ours."""


def _object_to(value: Object, message: pb.Object) -> None:
    to_message(packed(value) if isinstance(value, Stack) else value, getattr(message, value.kind))


def _object_from(message: pb.Object) -> Object:
    kind = message.WhichOneof("object")
    if kind is None:
        raise CodecError("an object of a kind that this version does not know")
    try:
        value = cast(Object, from_message(cast(type, objects.CLASSES[kind]), getattr(message, kind)))
        return unpacked(value) if isinstance(value, Stack) else value
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError(str(error)) from error


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


__all__ = [
    "CodecError",
    "decode_batch",
    "decode_object",
    "decode_task",
    "encode_batch",
    "encode_object",
    "encode_task",
    "fields_of",
    "from_message",
    "parse",
    "to_message",
]
