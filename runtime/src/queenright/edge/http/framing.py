# SPDX-License-Identifier: Apache-2.0
"""Where a message body ends: the three framings of HTTP/1.1 as scanners over bytes that pass through.

A scanner never holds body bytes; it says how many of the given bytes still belong to the body. So a body of any
size streams through, and the first byte after it is known.
"""

from __future__ import annotations

from typing import Protocol

MAX_LINE = 8 * 1024
MAX_TRAILERS = 64 * 1024


class FramingError(ValueError):
    """A chunked body breaks the rules of its encoding."""


class Framing(Protocol):
    """Scanner of one body. ``done`` is True as soon as nothing more belongs to it."""

    done: bool

    def feed(self, data: bytearray, payload: bytearray | None = None) -> int:
        """Number of leading bytes of ``data`` that belong to the body: all of them unless the body ends within.

        The decoded content is appended to ``payload`` where one is given. Raises `FramingError`.
        """


class Sized:
    """A body of a known length; ``left`` bytes of it are still to come."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def feed(self, data: bytearray, payload: bytearray | None = None) -> int:
        count = min(self.left, len(data))
        if payload is not None:
            payload += memoryview(data)[:count]
        self.left -= count
        self.done = self.left == 0
        return count


class UntilClose:
    """A body that lasts until the sender closes its side."""

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytearray, payload: bytearray | None = None) -> int:
        if payload is not None:
            payload += data
        return len(data)


class Chunked:
    """A body in chunks, with extensions and trailers."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._expect = self._size
        self._line = bytearray()
        self._trailers = 0

    def feed(self, data: bytearray, payload: bytearray | None = None) -> int:
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._left:
                count = min(self._left, end - position)
                if payload is not None:
                    payload += memoryview(data)[position : position + count]
                self._left -= count
                position += count
            else:
                position = self._collect(data, position)
        return position

    def _collect(self, data: bytearray, position: int) -> int:
        """Move on to the end of the current line, and judge the line when it is whole."""
        newline = data.find(b"\n", position)
        stop = len(data) if newline < 0 else newline + 1
        self._line += memoryview(data)[position:stop]
        if len(self._line) > MAX_LINE:
            raise FramingError(f"a line between chunks is longer than {MAX_LINE} bytes")
        if newline >= 0:
            line = bytes(self._line).rstrip(b"\r\n")
            self._line.clear()
            self._expect(line)
        return stop

    def _size(self, line: bytes) -> None:
        digits = line.partition(b";")[0].strip(b" \t")
        if not 0 < len(digits) <= 16 or digits.strip(b"0123456789abcdefABCDEF"):
            raise FramingError("a chunk does not start with its size in hexadecimal")
        self._left = int(digits, 16)
        self._expect = self._end_of_chunk if self._left else self._trailer

    def _end_of_chunk(self, line: bytes) -> None:
        if line:
            raise FramingError("a chunk is longer than its size says")
        self._expect = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS:
            raise FramingError(f"the trailers are longer than {MAX_TRAILERS} bytes")
        self.done = not line
