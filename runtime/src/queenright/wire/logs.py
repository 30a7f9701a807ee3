# SPDX-License-Identifier: Apache-2.0
"""Logs of tasks <-> protobuf. Lines are packed once on their node and unpacked once where they are read."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from queenright.model.logs import (
    LogLine,
    LogOptions,
    LogPosition,
    LogPublication,
    LogRead,
    LogReadRequest,
    LogSubscription,
)
from queenright.wire.codec import CodecError, from_message, to_message
from queenright.wire.gen import logs_pb2 as pb


def pack_lines(lines: Iterable[LogLine]) -> bytes:
    """Lines as they travel."""
    message = pb.LogLines()
    for line in lines:
        message.lines.add(at=line.at, stream=line.stream, attributes=line.attributes, text=line.text)
    return message.SerializeToString()


def unpack_lines(data: bytes) -> list[LogLine]:
    """The lines. Raises CodecError for bytes that are none."""
    try:
        message = pb.LogLines.FromString(data)
    except DecodeError as error:
        raise CodecError("these bytes are no lines of a log") from error
    return [LogLine(line.at, line.stream, line.attributes, line.text) for line in message.lines]


def subscription_message(subscription: LogSubscription) -> pb.LogSubscription:
    message = pb.LogSubscription()
    to_message(subscription, message)
    return message


def read_subscription(message: pb.LogSubscription) -> LogSubscription:
    return from_message(LogSubscription, message)


def publication_message(publication: LogPublication) -> pb.LogPublication:
    return pb.LogPublication(
        task_id=publication.task_id, lines=publication.lines, done=publication.done, error=publication.error
    )


def read_publication(message: pb.LogPublication) -> LogPublication:
    return LogPublication(task_id=message.task_id, lines=message.lines, done=message.done, error=message.error)


def read_request_message(request: LogReadRequest) -> pb.LogReadRequest:
    message = pb.LogReadRequest()
    to_message(request, message)
    return message


def read_read_request(message: pb.LogReadRequest) -> LogReadRequest:
    return LogReadRequest(
        service_ids=tuple(message.service_ids),
        task_ids=tuple(message.task_ids),
        options=from_message(LogOptions, message.options),
        positions=tuple(LogPosition(each.task_id, each.since, each.done) for each in message.positions),  # maybe many
        began=message.began,
        without=tuple(message.without),
    )


def read_message(part: LogRead) -> pb.LogRead:
    return pb.LogRead(
        task_id=part.task_id,
        node_id=part.node_id,
        service_id=part.service_id,
        lines=part.lines,
        done=part.done,
        missing=part.missing,
        again=part.again,
    )


def read_read(message: pb.LogRead) -> LogRead:
    return LogRead(
        task_id=message.task_id,
        node_id=message.node_id,
        service_id=message.service_id,
        lines=message.lines,
        done=message.done,
        missing=message.missing,
        again=message.again,
    )
