# SPDX-License-Identifier: Apache-2.0
"""One server for all networks of a node: each network's sockets were opened in its namespace and say which it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, cast

from queenright.decide.names import Answer, Verdict
from queenright.edge.dns import message
from queenright.edge.dns.forward import Forwarder
from queenright.edge.dns.message import MalformedError, Question
from queenright.lib.tasks import Background

log = logging.getLogger(__name__)

IDLE = 10.0  # seconds after which a connection is closed
CONNECTIONS = 256  # at once, in a network
QUERY = 0


class Names(Protocol):
    """Who knows the names (``decide.names.NameTable``)."""

    def answer(self, network_id: str, source: str, name: str, kind: str) -> Answer: ...


class DnsServer:
    """Belongs to the event loop's thread.

    ``nameservers`` gives the resolvers that a task names itself, by its id; none means the host's. ``shuffle`` gives
    addresses in another order each time, so that who takes the first does not always take the same.
    """

    def __init__(
        self,
        names: Names,
        forwarder: Forwarder,
        nameservers: Callable[[str], Sequence[str]],
        shuffle: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        self._names = names
        self._forwarder = forwarder
        self._nameservers = nameservers
        self._shuffle = shuffle
        self._networks: dict[str, _Sockets] = {}
        self._background = Background()

    async def serve(self, network_id: str, sockets: Iterable[socket.socket]) -> None:
        """Answer on these from now on, UDP and TCP (listening), and close those that were there before. They are
        closed if this raises OSError.
        """
        opened = _Sockets(self, network_id)
        try:
            await opened.open(sockets)
        except BaseException:
            await opened.close()
            raise
        before = self._networks.get(network_id)
        self._networks[network_id] = opened
        if before is not None:
            await before.close()

    async def stop(self, network_id: str) -> None:
        """Close the network's sockets; one that has none is fine."""
        opened = self._networks.pop(network_id, None)
        if opened is not None:
            await opened.close()

    async def close(self) -> None:
        for network_id in tuple(self._networks):
            await self.stop(network_id)
        await self._background.stop()

    # -- questions

    def take(self, network_id: str, source: str, data: bytes, reply: Callable[[bytes], None]) -> None:
        """A datagram: what can be said at once is said at once."""
        said = self._prompt(network_id, source, data, udp=True)
        if isinstance(said, bytes):
            reply(said)
        elif said is not None:
            self._background.start(self._forward(data, *said, source, reply), "dns-forward")

    async def _forward(
        self, data: bytes, question: Question, answer: Answer, source: str, reply: Callable[[bytes], None]
    ) -> None:
        reply(await self._ask_others(data, question, answer, source, udp=True))

    async def whole(self, network_id: str, source: str, data: bytes) -> bytes | None:
        """The answer for a connection, where all of it has room; None if there is none."""
        said = self._prompt(network_id, source, data, udp=False)
        if said is None or isinstance(said, bytes):
            return said
        return await self._ask_others(data, *said, source, udp=False)

    def _prompt(
        self, network_id: str, source: str, data: bytes, *, udp: bool
    ) -> bytes | tuple[Question, Answer] | None:
        """The answer; or what is to be asked of others; or None for what deserves no answer."""
        try:
            question = message.parse(data)
        except MalformedError as error:
            return None if error.ident is None else message.refuse(error.ident)
        refusal = _refusal(question)
        if refusal is not None:
            return message.compose(question, refusal)
        kind = message.KINDS.get(question.kind, "")
        answer = self._names.answer(network_id, source, question.name, kind)
        if answer.verdict == Verdict.FORWARD:
            return question, answer
        return self._compose(question, answer, udp)

    def _compose(self, question: Question, answer: Answer, udp: bool) -> bytes:
        code = _CODES[answer.verdict]
        records: list[bytes] = []
        for value in self._shuffle(answer.values):
            try:
                records.append(_record(value, answer.ttl))
            except ValueError as error:
                log.debug("left out of an answer: %s", error)
        return message.compose(question, code, records, message.limit_of(question, udp))

    async def _ask_others(self, data: bytes, question: Question, answer: Answer, source: str, *, udp: bool) -> bytes:
        own = self._nameservers(answer.asker) if answer.asker else ()
        ourselves = {place for opened in self._networks.values() for place in opened.places}
        said = await self._forwarder.ask(data, question, source, own, udp=udp, ourselves=ourselves)
        if answer.doubt and message.code_of(said) == message.NXDOMAIN:
            return message.compose(question, message.SERVFAIL)  # it may yet be a name of ours
        return said


_CODES = {Verdict.FOUND: message.NOERROR, Verdict.ABSENT: message.NXDOMAIN, Verdict.UNSURE: message.SERVFAIL}


def _record(value: str, ttl: int) -> bytes:
    """Of an address, or of the name of one. Raises ValueError."""
    try:
        return message.address_record(value, ttl)
    except ValueError:
        return message.pointer_record(value, ttl)


def _refusal(question: Question) -> int | None:
    """The code for what is no plain question for a name."""
    if question.opcode != QUERY:
        return message.NOTIMP
    if question.version > 0:
        return message.BADVERS
    if question.domain != message.INTERNET or question.kind in (message.AXFR, message.IXFR, message.OPT):
        return message.REFUSED
    return None


class _Sockets:
    """The sockets of one network."""

    def __init__(self, server: DnsServer, network_id: str) -> None:
        self._server = server
        self._network_id = network_id
        self._transports: list[asyncio.BaseTransport] = []
        self._listeners: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self.places: set[tuple[str, int]] = set()

    async def open(self, sockets: Iterable[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        waiting = list(sockets)
        try:
            while waiting:
                item = waiting[0]
                self.places.add(item.getsockname()[:2])
                if item.type == socket.SOCK_DGRAM:
                    transport, _ = await loop.create_datagram_endpoint(
                        lambda: _Datagrams(self._server, self._network_id), sock=item
                    )
                    self._transports.append(transport)
                else:
                    self._listeners.append(await asyncio.start_server(self._connected, sock=item))
                del waiting[0]
        finally:
            for item in waiting:
                item.close()

    async def close(self) -> None:
        for transport in self._transports:
            transport.close()
        for listener in self._listeners:
            listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        except asyncio.CancelledError:
            pass  # this server stops: asyncio's own callback must not see it as a failure
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question after the other, until the asker has no more or says nothing for long."""
        source = str(writer.get_extra_info("peername")[0])
        while True:
            async with asyncio.timeout(IDLE):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                data = await reader.readexactly(length)
            answer = await self._server.whole(self._network_id, source, data)
            if answer is None:
                return
            async with asyncio.timeout(IDLE):
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer, network_id: str) -> None:
        self._server = server
        self._network_id = network_id
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # not one by its class, in Python 3.11

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        def reply(answer: bytes) -> None:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(answer, addr)

        self._server.take(self._network_id, str(addr[0]), data, reply)

    def error_received(self, exc: Exception) -> None:
        """An asker is gone; nobody waits for that answer."""
        log.debug("an answer could not be sent: %s", exc)
