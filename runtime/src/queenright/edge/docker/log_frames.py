# SPDX-License-Identifier: Apache-2.0
"""What the engine sends as a container's log -> lines. Pure: bytes in, lines out.

Asked with details and timestamps, each message is ``TIME ATTRIBUTES TEXT``. Without a terminal each comes in a frame of
its own; with one they are only strung together.
"""

from __future__ import annotations

import datetime
import re

from queenright.agent.ports import TaskError
from queenright.model.logs import STDERR, STDOUT, LogLine

MOST_FRAME = 8 << 20
PIECE = 256 * 1024  # a longer text travels in pieces
ENGINE_PART = 16 * 1024  # the engine cuts longer lines into parts of just this size
_HEAD = 8
_SYSTEM = 3
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")
_LONGEST_PREFIX = 4096


class Times:
    """Reads the engine's timestamps; the second of the last one is remembered."""

    def __init__(self) -> None:
        self._text = b""
        self._nanoseconds = 0

    def read(self, stamp: bytes) -> int:
        """Nanoseconds since the epoch; 0 for what is none."""
        second = stamp[:19] + stamp[29:]
        try:
            if second != self._text:
                moment = datetime.datetime.fromisoformat(second.decode("ascii"))
                self._nanoseconds = round(moment.timestamp()) * 10**9
                self._text = second
            return self._nanoseconds + int(stamp[20:29])
        except ValueError:
            return 0


class _Messages:
    def __init__(self) -> None:
        self._times = Times()
        self._at = 0
        self._attributes = ""

    def lines(self, stream: int, message: bytes) -> list[LogLine]:
        """One message, in pieces if it is long; one without a time goes on where the last one ended."""
        found = _STAMP.match(message)
        if found is not None:
            end = found.end()
            stamp, rest = message[: end - 1], message[end:]
            attributes, _, message = rest.partition(b" ")
            self._at = self._times.read(stamp)
            self._attributes = attributes.decode("ascii", "replace") if attributes else ""
        if len(message) <= PIECE:
            return [LogLine(self._at, stream, self._attributes, message)]
        pieces = (message[start : start + PIECE] for start in range(0, len(message), PIECE))
        return [LogLine(self._at, stream, self._attributes, piece) for piece in pieces]


class Frames:
    """The stream of a container without a terminal."""

    def __init__(self) -> None:
        self._rest = b""
        self._messages = _Messages()

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that are complete now. Raises TaskError for what is no log, or in the engine's own words."""
        data = self._rest + data
        found: list[LogLine] = []
        start, end = 0, len(data)
        while end - start >= _HEAD:
            stream = data[start]
            length = int.from_bytes(data[start + 4 : start + _HEAD])
            if stream > _SYSTEM or length > MOST_FRAME:
                raise TaskError("the Docker Engine sent a log that cannot be read: its frames are broken")
            if end - start < _HEAD + length:
                break
            message = data[start + _HEAD : start + _HEAD + length]
            start += _HEAD + length
            if stream == _SYSTEM:
                raise TaskError(message.decode("utf-8", "replace").strip())
            found += self._messages.lines(STDERR if stream == STDERR else STDOUT, message)
        self._rest = data[start:]
        return found

    def finish(self) -> list[LogLine]:
        """What is left at the end: nothing that could be read."""
        return []


class Plain:
    """The stream of a container with a terminal: all is standard output."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._messages = _Messages()
        self._searched = 0

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that are complete now."""
        self._buffer += data
        found: list[LogLine] = []
        while True:
            length = self._part() or self._buffer.find(b"\n", self._searched) + 1
            if not length and len(self._buffer) > PIECE:
                length = PIECE
            if not length:
                self._searched = len(self._buffer)
                return found
            found += self._messages.lines(STDOUT, bytes(self._buffer[:length]))
            del self._buffer[:length]
            self._searched = 0

    def _part(self) -> int:
        """Length of the message at the beginning, if it is a part of a long line: another message's time follows."""
        if len(self._buffer) < ENGINE_PART or not _STAMP.match(self._buffer):
            return 0
        attributes = self._buffer.find(b" ", 0, _LONGEST_PREFIX) + 1
        text = self._buffer.find(b" ", attributes, attributes + _LONGEST_PREFIX) + 1
        end = text + ENGINE_PART
        if self._buffer.find(b"\n", text, end) >= 0 or not _STAMP.match(self._buffer, end):
            return 0
        return end

    def finish(self) -> list[LogLine]:
        """What came after the last line break."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return self._messages.lines(STDOUT, rest) if rest else []
