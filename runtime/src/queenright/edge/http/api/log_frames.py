# SPDX-License-Identifier: Apache-2.0
"""Lines of logs as bytes for a client: ``[TIME ][DETAILS ]TEXT``, in frames where there is no terminal."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, unquote_plus

from queenright.model.logs import STDERR

if TYPE_CHECKING:
    from queenright.manager.log_reader import LogChunk

SYSTEM = 3
_PREFIX = "com.docker.swarm"
_SECOND = 1_000_000_000


class Framing:
    """``raw``: the containers have a terminal, so there are no frames. ``wall`` gives nanoseconds since the epoch."""

    def __init__(self, *, raw: bool, timestamps: bool, details: bool, wall: Callable[[], int]) -> None:
        self._raw = raw
        self._timestamps = timestamps
        self._details = details
        self._wall = wall

    def lines(self, chunk: LogChunk) -> bytes:
        """The lines of a chunk."""
        out = bytearray()
        for line in chunk.lines:
            self._add(out, line.stream, self._prefix(chunk, line.at, line.attributes) + line.text)
        return bytes(out)

    def warning(self, chunk: LogChunk, text: str) -> bytes:
        """A line on standard error that queenright says in the name of a chunk's task."""
        out = bytearray()
        self._add(out, STDERR, self._prefix(chunk, self._wall(), "") + text.encode() + b"\n")
        return bytes(out)

    def error(self, text: str) -> bytes:
        """The end of a stream that lacks something, in Docker's form."""
        out = bytearray()
        self._add(out, SYSTEM, f"Error grabbing logs: rpc error: code = Unknown desc = {text}\n".encode())
        return bytes(out)

    def _add(self, out: bytearray, stream: int, message: bytes) -> None:
        if not self._raw:
            out += bytes((stream, 0, 0, 0))
            out += len(message).to_bytes(4)
        out += message

    def _prefix(self, chunk: LogChunk, at: int, attributes: str) -> bytes:
        prefix = b""
        if self._timestamps:
            prefix = _second(at // _SECOND) + b".%09dZ " % (at % _SECOND)
        if self._details:
            prefix += _context(chunk.node_id, chunk.service_id, chunk.task_id, attributes)
        return prefix


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").encode()


@functools.lru_cache(maxsize=1024)
def _context(node_id: str, service_id: str, task_id: str, attributes: str) -> bytes:
    """Where a line comes from, and what the log driver says of it, sorted by name. Where it comes from wins."""
    found = {}
    for pair in filter(None, attributes.split(",")):
        key, _, value = pair.partition("=")
        found[unquote_plus(key)] = unquote_plus(value)
    found |= {
        f"{_PREFIX}.node.id": node_id,
        f"{_PREFIX}.service.id": service_id,
        f"{_PREFIX}.task.id": task_id,
    }
    return (",".join(f"{quote_plus(key)}={quote_plus(found[key])}" for key in sorted(found)) + " ").encode()
