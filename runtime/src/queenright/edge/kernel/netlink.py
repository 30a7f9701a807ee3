# SPDX-License-Identifier: Apache-2.0
"""Netlink for what comes in thousands: neighbours, forwarding entries, tracked connections.

Links and addresses go through pyroute2. These tables do not: it decodes an entry in about a millisecond of the
interpreter's time, which all threads share, and here an entry is a few bytes at known places.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

from queenright.edge.kernel.errors import KernelError

ROUTE, NETFILTER = 0, 12  # protocols
REQUEST, ACK, REPLACE, EXCL, CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
DUMP = 0x300
NESTED = 0x8000

_SOL_NETLINK = 270
_EXT_ACK, _STRICT = 11, 12
_SO_RCVBUFFORCE = 33
_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED = 0x10
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_CODE = struct.Struct("=i")
_RECEIVE_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 20
_BATCH = 100  # messages in one send: their answers must find room in the buffer
_PATIENCE = 30.0  # seconds for the kernel to answer


class Message(NamedTuple):
    """One request of a batch; the errors in ``fine`` are as good as success."""

    kind: int
    flags: int
    body: bytes
    fine: tuple[int, ...] = ()


class NetlinkSocket:
    """A socket of one netlink protocol, in the namespace of the thread that makes it. Used by one thread at a time."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            if protocol == ROUTE:
                self._socket.setsockopt(_SOL_NETLINK, _STRICT, 1)  # dumps are filtered by the kernel (since 4.20)
            self._socket.bind((0, 0))
            self._socket.settimeout(_PATIENCE)
        except OSError as error:
            self._socket.close()
            raise KernelError(f"netlink cannot be used ({error.strerror}): the agent needs root (CAP_NET_ADMIN)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def batch(self, messages: Iterable[Message]) -> list[tuple[Message, int]]:
        """Do all of them, a failing one does not stop the others. Those that failed, with their errno."""
        failed: list[tuple[Message, int]] = []
        portion: list[Message] = []
        for message in messages:
            portion.append(message)
            if len(portion) == _BATCH:
                failed += self._portion(portion)
                portion = []
        return failed + self._portion(portion)

    def dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        """All entries that the kernel answers, as (message type, body); asked again if the table changed meanwhile.

        Raises OSError with the kernel's error.
        """
        for _ in range(10):
            found, whole = self._dump(kind, body)
            if whole:
                break
        return found  # of a table that never rests: some entry may be missing, and the next look finds it

    def ask(self, kind: int, body: bytes) -> bytes:
        """The body of the one answer to a request. Raises OSError."""
        number = self._send([Message(kind, 0, body)])
        for _, _, _, answer in self._receive(number):
            return answer
        raise OSError(errno.ENODATA, "no answer")  # pragma: no cover - _receive ends only by raising

    def _portion(self, messages: list[Message]) -> list[tuple[Message, int]]:
        if not messages:
            return []
        last = self._send(messages, acknowledge=True)
        first = last - len(messages) + 1
        failed = []
        for kind, sequence, _, body in self._receive(first, last, raising=False):
            if kind != _ERROR:
                continue
            code = -_CODE.unpack_from(body)[0]
            message = messages[sequence - first]
            if code and code not in message.fine:
                failed.append((message, code))
            if sequence == last:
                break
        return failed

    def _dump(self, kind: int, body: bytes) -> tuple[list[tuple[int, bytes]], bool]:
        number = self._send([Message(kind, DUMP, body)])
        found: list[tuple[int, bytes]] = []
        whole = True
        for got, _, flags, answer in self._receive(number):
            whole = whole and not flags & _DUMP_INTERRUPTED
            if got == _DONE:
                break
            found.append((got, answer))
        return found, whole

    def _send(self, messages: list[Message], *, acknowledge: bool = False) -> int:
        parts = []
        for number, message in enumerate(messages, 1):
            self._sequence += 1
            flags = REQUEST | message.flags | (ACK if acknowledge and number == len(messages) else 0)
            length = _HEADER.size + len(message.body)
            parts.append(_HEADER.pack(length, message.kind, flags, self._sequence, 0) + message.body)
            parts.append(bytes(-length % 4))
        self._socket.send(b"".join(parts))
        return self._sequence

    def _receive(self, first: int, last: int = 0, *, raising: bool = True) -> Iterator[tuple[int, int, int, bytes]]:
        """(type, sequence number, flags, body) of the answers to these requests, for ever; ``raising``: errors are
        raised. What comes late, to a request that was given up, is passed over.
        """
        last = max(first, last)
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
                if length < _HEADER.size:
                    break
                body = data[offset + _HEADER.size : offset + length]
                offset += (length + 3) & ~3
                if not first <= sequence <= last:
                    continue
                if raising and kind == _ERROR:
                    code = -_CODE.unpack_from(body)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                yield kind, sequence, flags, body


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """(number without flags, value) of each attribute from ``offset`` on."""
    end = len(data)
    while offset + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
