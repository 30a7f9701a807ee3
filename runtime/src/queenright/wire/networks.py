# SPDX-License-Identifier: Apache-2.0
"""The networks' rows and what nodes say of them, in their protobuf forms (what they mean: ``model.mesh_rows``)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, NetworksState, Row
from queenright.wire.codec import from_message, parse, to_message
from queenright.wire.gen import dispatcher_pb2 as pb

PART_BYTES = 1 << 16  # a message stays below this, so that nobody is long at work with one
KEPT = 1 << 16  # rows whose bytes are kept: all nodes of a network are told the same
_FIELDS: dict[type, str] = {Link: "links", Endpoint: "endpoints", Face: "faces"}


def networks_messages(told: NetworksSet, part_bytes: int = PART_BYTES) -> Iterator[pb.NetworksMessage]:
    """The set in one or more messages, each below ``part_bytes``; all but the last say ``more``."""
    part, size = _begin(told), 0
    for piece in _pieces(told):
        if size and size + len(piece) > part_bytes:
            part.more = True
            yield part
            part, size = _begin(told), 0
        part.MergeFromString(piece)
        size += len(piece)
    yield part


def _begin(told: NetworksSet) -> pb.NetworksMessage:
    kind = pb.NetworksMessage.COMPLETE if told.complete else pb.NetworksMessage.INCREMENTAL
    return pb.NetworksMessage(type=kind, applies_to=told.applies_to, results_in=told.results_in)


def _pieces(told: NetworksSet) -> Iterator[bytes]:
    """Messages of one thing each."""
    yield from map(encode_row, told.rows)
    for key in told.removes:
        yield pb.NetworksMessage(removes=[key]).SerializeToString()


@functools.lru_cache(maxsize=KEPT)
def encode_row(row: Row) -> bytes:
    """A message of nothing but that row; so the agent keeps it."""
    message = pb.NetworksMessage()
    to_message(row, getattr(message, _FIELDS[type(row)]).add())
    return message.SerializeToString(deterministic=True)


def _rows(message: pb.NetworksMessage) -> Iterator[Row]:
    for cls, name in _FIELDS.items():
        for item in getattr(message, name):
            row: Any = from_message(cls, item)
            yield row


class Joining:
    """Joins the parts of sets; each is read when it comes."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._removes: list[str] = []

    def take(self, part: pb.NetworksMessage) -> NetworksSet | None:
        """The set, with its last part."""
        self._rows.extend(_rows(part))
        self._removes.extend(part.removes)
        if part.more:
            return None
        rows, removes = tuple(self._rows), tuple(self._removes)
        self._rows, self._removes = [], []
        complete = part.type == pb.NetworksMessage.COMPLETE
        return NetworksSet(complete, part.applies_to, part.results_in, rows, removes)


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
