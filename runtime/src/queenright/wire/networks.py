# SPDX-License-Identifier: Apache-2.0
"""The networks' rows and what nodes say of them, in their protobuf forms (what they mean: ``model.mesh_rows``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, NetworksState, Row
from queenright.wire.codec import from_message, parse, to_message
from queenright.wire.gen import dispatcher_pb2 as pb

PART_BYTES = 1 << 20  # a message stays below this
_FIELDS: dict[type, str] = {Link: "links", Endpoint: "endpoints", Face: "faces"}


def networks_messages(told: NetworksSet, part_bytes: int = PART_BYTES) -> Iterator[pb.NetworksMessage]:
    """The set in one or more messages, each below ``part_bytes``; all but the last say ``more``."""
    part, size = _begin(told), 0
    for piece in _pieces(told):
        weight = piece.ByteSize()
        if size and size + weight > part_bytes:
            part.more = True
            yield part
            part, size = _begin(told), 0
        part.MergeFrom(piece)
        size += weight
    yield part


def _begin(told: NetworksSet) -> pb.NetworksMessage:
    kind = pb.NetworksMessage.COMPLETE if told.complete else pb.NetworksMessage.INCREMENTAL
    return pb.NetworksMessage(type=kind, applies_to=told.applies_to, results_in=told.results_in)


def _pieces(told: NetworksSet) -> Iterator[pb.NetworksMessage]:
    for row in told.rows:
        yield _message(row)
    for key in told.removes:
        yield pb.NetworksMessage(removes=[key])


def _message(row: Row) -> pb.NetworksMessage:
    """A message of nothing but that row."""
    message = pb.NetworksMessage()
    to_message(row, getattr(message, _FIELDS[type(row)]).add())
    return message


def _rows(message: pb.NetworksMessage) -> Iterator[Row]:
    for cls, name in _FIELDS.items():
        for item in getattr(message, name):
            row: Any = from_message(cls, item)
            yield row


def read_networks(parts: Sequence[pb.NetworksMessage]) -> NetworksSet:
    """Join the parts of one set."""
    last = parts[-1]
    return NetworksSet(
        complete=last.type == pb.NetworksMessage.COMPLETE,
        applies_to=last.applies_to,
        results_in=last.results_in,
        rows=tuple(row for part in parts for row in _rows(part)),
        removes=tuple(key for part in parts for key in part.removes),
    )


def encode_row(row: Row) -> bytes:
    """One row, as the agent keeps it."""
    return _message(row).SerializeToString(deterministic=True)


def decode_row(data: bytes) -> Row:
    """Raises CodecError (a ValueError) for what is none."""
    rows = list(_rows(parse(pb.NetworksMessage, data)))
    if len(rows) != 1:
        raise ValueError(f"expected one row of a network, found {len(rows)}")
    return rows[0]


def applied_request(session_id: str, state: NetworksState) -> pb.NetworksAppliedRequest:
    return pb.NetworksAppliedRequest(
        session_id=session_id,
        applied=state.applied,
        errors=state.errors,
        ports=[
            pb.PortState(protocol=protocol, port=port, error=error) for (protocol, port), error in state.ports.items()
        ],
    )


def read_applied(message: pb.NetworksAppliedRequest) -> NetworksState:
    ports = {(item.protocol, item.port): item.error for item in message.ports}
    return NetworksState(message.applied, dict(message.errors), ports)
