# SPDX-License-Identifier: Apache-2.0
"""Asks other resolvers, from the host's own network, so that networks without a way out can resolve names too.

Each question goes out under a new number from a port of its own; an answer counts only if it is to that question.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import struct
from collections.abc import Callable, Collection, Sequence

from queenright.edge.dns.message import (
    NOERROR,
    NXDOMAIN,
    SERVFAIL,
    Question,
    answers,
    code_of,
    compose,
    is_truncated,
    with_ident,
)
from queenright.edge.dns.upstream import Upstreams

PATIENCE = 1.4  # seconds for one resolver; three of them fit into what a client of the C library waits
PORT = 53
AT_ONCE = 1024  # questions under way
OF_ONE = 256  # of these, of one asker
FINAL = (NOERROR, NXDOMAIN)  # codes after which nobody else is asked

Place = tuple[str, int]
"""Address and port."""


class Forwarder:
    """``new_ident`` gives unguessable numbers of 16 bits."""

    def __init__(self, upstreams: Upstreams, new_ident: Callable[[], int], *, port: int = PORT) -> None:
        self._upstreams = upstreams
        self._new_ident = new_ident
        self._port = port
        self._under_way: collections.Counter[str] = collections.Counter()
        self._all = 0

    async def ask(
        self,
        data: bytes,
        question: Question,
        asker: str,
        own: Sequence[str],
        *,
        udp: bool,
        ourselves: Collection[Place] = (),
    ) -> bytes:
        """The answer, or SERVFAIL if nobody gives one. ``asker`` is who may have only so many questions under way;
        ``own`` its resolvers if it has some. Who asks at one of ``ourselves`` would be asked for ever.
        """
        if self._all >= AT_ONCE or self._under_way[asker] >= OF_ONE:
            return compose(question, SERVFAIL)
        self._all += 1
        self._under_way[asker] += 1
        try:
            others = [server for server in own if (server, self._port) not in ourselves]
            return await self._ask_all(data, question, others, udp, ourselves)
        finally:
            self._all -= 1
            self._under_way[asker] -= 1
            if not self._under_way[asker]:
                del self._under_way[asker]

    async def _ask_all(
        self, data: bytes, question: Question, own: Sequence[str], udp: bool, ourselves: Collection[Place]
    ) -> bytes:
        worst: bytes | None = None
        for server in self._upstreams.order(own):
            if (server, self._port) in ourselves:
                continue
            answer = await self._ask(server, data, question, udp)
            if answer is None:
                self._upstreams.failed(server)
                continue
            self._upstreams.answered(server)
            if code_of(answer) in FINAL:
                return answer
            worst = worst or answer
        return worst or compose(question, SERVFAIL)

    async def _ask(self, server: str, data: bytes, question: Question, udp: bool) -> bytes | None:
        """What one resolver says. An answer that was cut short is fetched whole if there is room for it."""
        ident = self._new_ident()
        message = with_ident(data, ident)
        answer = None
        with contextlib.suppress(TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                answer = await self._by_udp(server, message, ident, question)
        if answer is not None and is_truncated(answer) and not udp:
            with contextlib.suppress(TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
                async with asyncio.timeout(PATIENCE):
                    answer = await self._by_tcp(server, message, ident, question)
        return None if answer is None else with_ident(answer, question.ident)

    async def _by_udp(self, server: str, message: bytes, ident: int, question: Question) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Exchange(answer, lambda data: answers(data, ident, question)), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(message)
            return await answer
        finally:
            transport.close()

    async def _by_tcp(self, server: str, message: bytes, ident: int, question: Question) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(struct.pack("!H", len(message)) + message)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            answer = await reader.readexactly(length)
            if not answers(answer, ident, question):
                raise ValueError("not the answer to what was asked")
            return answer
        finally:
            writer.close()


class _Exchange(asyncio.DatagramProtocol):
    """Waits for the datagram that counts; all others are not seen."""

    def __init__(self, answer: asyncio.Future[bytes], counts: Callable[[bytes], bool]) -> None:
        self._answer = answer
        self._counts = counts

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._answer.done() and self._counts(data):
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: no use to wait."""
        if not self._answer.done():
            self._answer.set_exception(exc)
