# SPDX-License-Identifier: Apache-2.0
"""One unix stream socket in the event loop, with each direction on its own.

asyncio's transports end both directions when one of them fails, and lose what was not read by then. A splice must
not: a container that closed its standard input may still have output on the way. So this class works on the socket
itself. It holds no output (`write` ends when the kernel has taken all), and reads ahead up to `READ_AHEAD` bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

READ_AHEAD = 256 * 1024
READ_SIZE = 128 * 1024


class PeerGoneError(ConnectionError):
    """The other end of a stream takes no more data, or is gone."""


class Stream:
    """A connected, non-blocking stream socket. Must be made and used in the thread of the running event loop.

    ``buffer`` holds what was read and not yet taken. ``ended`` says that nothing more will come (the peer closed its
    sending side, or the connection broke); bytes may still be in ``buffer`` then.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.buffer = bytearray()
        self.ended = False
        self.closed = False
        self.on_end: Callable[[], object] | None = None
        """Called once when the peer ends, even while nobody reads (as long as ``buffer`` is not full)."""
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._listening = False
        self._listen()

    async def more(self) -> bool:
        """Wait until ``buffer`` has grown; False when the peer has ended instead."""
        before = len(self.buffer)
        while len(self.buffer) == before:
            if self.ended:
                return False
            self._listen()
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return True

    def take(self, count: int) -> bytes | bytearray:
        """Remove and return the first ``count`` bytes of ``buffer``."""
        if count == len(self.buffer):
            data, self.buffer = self.buffer, bytearray()
            return data
        head = bytes(memoryview(self.buffer)[:count])
        del self.buffer[:count]
        return head

    async def write(self, data: bytes | bytearray) -> None:
        """Hand all of ``data`` to the kernel. Raises `PeerGoneError` when the peer takes no more."""
        view = memoryview(data)
        while view:
            if self.closed:
                raise PeerGoneError("the connection is closed")
            try:
                view = view[self._sock.send(view) :]
            except (BlockingIOError, InterruptedError):
                await self._writable()
            except OSError as error:
                raise PeerGoneError(f"the peer takes no more data: {error}") from None

    async def while_present(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work``; if the peer ends meanwhile, cancel it and raise `PeerGoneError`."""
        task = asyncio.ensure_future(work)
        if self.ended:
            task.cancel()
        self.on_end = task.cancel
        try:
            await asyncio.wait({task})
        finally:
            self.on_end = None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise PeerGoneError("the peer went away")
        return task.result()

    def end(self) -> None:
        """Close our sending side: the peer reads an end, and may still send."""
        self._shutdown(socket.SHUT_WR)

    def refuse(self) -> None:
        """Close our receiving side: the peer's writes fail."""
        self._shutdown(socket.SHUT_RD)

    def end_as(self, source: Stream) -> None:
        """Repeat here what the peer of ``source`` did there: end its sending side, or hang up."""
        self._shutdown(socket.SHUT_RDWR if source.hung_up() else socket.SHUT_WR)

    def hung_up(self) -> bool:
        """True if the peer is gone altogether, not only its sending side."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self._sock, 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    def close(self) -> None:
        """Close the socket; what the kernel has taken is still delivered. Ends waiting readers and writers."""
        if self.closed:
            return
        self.closed = True
        self._unlisten()
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._set_ended()
        _wake(self._writer)

    async def close_gently(self, seconds: float = 1.0) -> None:
        """Close after a last answer to a peer that may still be sending: end, take what comes for a moment, close.

        Otherwise a peer that writes on gets an error before it has read the answer.
        """
        self.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                self.buffer.clear()
                while await self.more():
                    self.buffer.clear()
        self.close()

    def _listen(self) -> None:
        if not self._listening and not self.ended and len(self.buffer) < READ_AHEAD:
            self._loop.add_reader(self._sock, self._readable)
            self._listening = True

    def _unlisten(self) -> None:
        if self._listening:
            self._loop.remove_reader(self._sock)
            self._listening = False

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._unlisten()
            self._set_ended()
            return
        self.buffer += data
        if len(self.buffer) >= READ_AHEAD:
            self._unlisten()
        _wake(self._reader)

    def _set_ended(self) -> None:
        if self.ended:
            return
        self.ended = True
        _wake(self._reader)
        if self.on_end is not None:
            self.on_end()

    async def _writable(self) -> None:
        self._writer = self._loop.create_future()
        self._loop.add_writer(self._sock, _wake, self._writer)
        try:
            await self._writer
        finally:
            self._writer = None
            if not self.closed:
                self._loop.remove_writer(self._sock)

    def _shutdown(self, how: int) -> None:
        if self.closed:
            return
        with contextlib.suppress(OSError):  # the peer is gone already, which is what the caller wants to tell it
            self._sock.shutdown(how)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def connect(path: str) -> Stream:
    """Connect to a unix socket. Raises `OSError`, or `TimeoutError` when its queue stays full for 10 s."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    sock.connect(path)
                    return Stream(sock)
                except BlockingIOError:  # the queue of the listener is full; unix sockets do not signal its end
                    await asyncio.sleep(0.01)
    except BaseException:
        sock.close()
        raise
