# SPDX-License-Identifier: Apache-2.0
"""Relays for what the kernel cannot hand over by itself: TCP connections and UDP conversations, to one target each."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

OpenSocket = Callable[[Callable[[], socket.socket]], Awaitable[socket.socket]]
"""Runs a function that makes a socket where the host's sockets are made."""
Target = tuple[str, int]

MOST = 1024  # connections, or UDP clients, of one port at a time
BACKLOG = 1024  # connections that wait to be taken
IDLE = 60.0  # seconds after which a UDP client is forgotten
_CHUNK = 1 << 16
_CONNECT = 10.0  # seconds
_RESET = struct.pack("ii", 1, 0)  # linger: closing resets
_WAITING = 32  # datagrams of a new client that are kept while its socket is made


class Streams:
    """Relays the connections of one listening socket."""

    def __init__(self, open_socket: OpenSocket, target: Target) -> None:
        self._open = open_socket
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def serve(self, sock: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accepted, sock=sock, backlog=BACKLOG)

    def close(self) -> None:
        """Stop listening and end what is relayed."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > MOST or not await self._relay(reader, writer):
                _reset(writer)
        except asyncio.CancelledError:
            _reset(writer)  # the port is given back; the server has no use for the word
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether it came to a good end; the client of one that did not is told by a reset."""
        try:
            sock = await self._open(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        except OSError:
            return False
        try:
            async with asyncio.timeout(_CONNECT):
                await asyncio.get_running_loop().sock_connect(sock, self._target)
            there, back = await asyncio.open_connection(sock=sock)
        except (OSError, TimeoutError):
            sock.close()
            return False
        ways = [asyncio.ensure_future(_pour(reader, back)), asyncio.ensure_future(_pour(there, writer))]
        try:
            await asyncio.gather(*ways)
        except OSError:
            _reset(back)
            return False
        finally:
            for way in ways:
                way.cancel()
            back.close()
        return True


class Datagrams(asyncio.DatagramProtocol):
    """Relays what comes to one bound socket, with a socket of its own for each client, so that answers find back."""

    def __init__(self, open_socket: OpenSocket, target: Target) -> None:
        self._open = open_socket
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[Any, _Client] = {}

    async def serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)

    def close(self) -> None:
        """Let go of the port and forget the clients."""
        if self._transport is not None:
            self._transport.close()
        for client in list(self._clients.values()):
            client.close()

    def datagram_received(self, data: bytes, address: Any) -> None:
        client = self._clients.get(address)
        if client is None:
            if len(self._clients) >= MOST:
                return
            client = self._clients[address] = _Client(self._answer, self._clients, address)
            client.start(self._open, self._target)
        client.send(data)

    def _answer(self, data: bytes, address: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)


class _Client(asyncio.DatagramProtocol):
    """One client's way to the target; forgotten when nothing was said for a while."""

    def __init__(self, answer: Callable[[bytes, Any], None], clients: dict[Any, _Client], address: Any) -> None:
        self._answer = answer
        self._clients = clients
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(IDLE, self.close)

    def start(self, open_socket: OpenSocket, target: Target) -> None:
        self._task = self._loop.create_task(self._connect(open_socket, target))

    def send(self, data: bytes) -> None:
        self._spoke()
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._waiting) < _WAITING:
            self._waiting.append(data)

    def close(self) -> None:
        self._timer.cancel()
        self._clients.pop(self._address, None)
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._spoke()
        self._answer(data, self._address)

    def error_received(self, error: Exception) -> None:
        """The target refuses: the next datagram may find it."""

    def _spoke(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(IDLE, self.close)

    async def _connect(self, open_socket: OpenSocket, target: Target) -> None:
        try:
            sock = await open_socket(lambda: _connected(target))
        except OSError:
            self._task = None
            self.close()
            return
        self._transport, _ = await self._loop.create_datagram_endpoint(lambda: self, sock=sock)
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._transport.sendto(data)


def _connected(target: Target) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All of one side to the other, and its end too."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
