# SPDX-License-Identifier: Apache-2.0
"""Requests that are dockerd's: heads are read for the framing alone, every byte is passed on as it came.

What the client does to its connection (ends its sending side, hangs up) is done to dockerd's, and the other way round.
So dockerd cancels an abandoned call just as it would without us between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from queenright.edge.http.errors import EngineUnreachableError, RequestError, ResponseError
from queenright.edge.http.framing import FramingError, Sized, UntilClose
from queenright.edge.http.heads import RequestHead, ResponseHead
from queenright.edge.http.stream import PeerGoneError, Stream
from queenright.edge.http.upstream import Upstream, read_response_head

_log = logging.getLogger(__name__)


class _NoAnswerError(Exception):
    """dockerd closed the connection before the first byte of an answer."""


class Proxy:
    """The way to dockerd of one client connection. Keeps one connection there for as long as both sides allow."""

    def __init__(self, client: Stream, upstream: Upstream) -> None:
        self._client = client
        self._upstream = upstream
        self._engine: Stream | None = None

    async def exchange(self, head: RequestHead, body: bytes | None = None) -> bool:
        """Pass one request on and its answer back. True if the client connection can take another request.

        ``body`` are the raw bytes of the request's body if they were read already. Raises `EngineUnreachableError` or
        `RequestError` as long as nothing was answered; later failures end the connection.
        """
        while True:
            engine, kept = await self._open()
            exchange = _Exchange(self._client, engine, head, body)
            keep = False
            try:
                keep = await exchange.run()
                return keep
            except _NoAnswerError:
                if not (kept and exchange.repeatable):
                    raise EngineUnreachableError(
                        self._upstream.path, "it closed the connection without an answer"
                    ) from None
            except ResponseError as error:
                raise EngineUnreachableError(self._upstream.path, f"its answer is not understood ({error})") from None
            finally:
                if not keep:
                    self.close()

    def close(self) -> None:
        """Close the connection to dockerd."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    async def _open(self) -> tuple[Stream, bool]:
        """A connection to dockerd, and whether it was used before."""
        engine = self._engine
        if engine is not None and not engine.ended and not engine.buffer:
            return engine, True
        self.close()
        self._engine = await self._upstream.connect()
        return self._engine, False


class _Exchange:
    """One request and its answer."""

    def __init__(self, client: Stream, engine: Stream, head: RequestHead, body: bytes | None) -> None:
        self._client = client
        self._engine = engine
        self._head = head
        self._body = body
        self._framing = head.framing() if body is None else Sized(0)
        self._upload: asyncio.Task[None] | None = None
        self._continued = False
        self._fault: FramingError | None = None

    @property
    def repeatable(self) -> bool:
        """True if sending the same request once more can do no harm."""
        return self._head.method in ("GET", "HEAD") and self._upload is None and not self._client.ended

    async def run(self) -> bool:
        """True if both connections can take another request."""
        self._client.on_end = self._mirror
        try:
            await self._send()
            return await self._answer(await self._final_head())
        except PeerGoneError:
            return False  # it is the client that is gone: writes to dockerd are guarded where they are
        finally:
            self._client.on_end = None
            if self._upload is not None:
                self._upload.cancel()
                await asyncio.wait({self._upload})

    async def _send(self) -> None:
        """Send the head (and a body that was read before); the body goes in a task of its own, beside the answer."""
        with contextlib.suppress(PeerGoneError):  # dockerd may have answered before it closed
            await self._engine.write(self._head.raw + (self._body or b""))
        if not self._framing.done:
            self._upload = asyncio.create_task(self._send_body())
        elif self._client.ended:
            self._mirror()

    async def _send_body(self) -> None:
        client, engine = self._client, self._engine
        try:
            while not self._framing.done:
                if not client.buffer and not await client.more():
                    break
                await engine.write(client.take(self._framing.feed(client.buffer)))
        except PeerGoneError:
            return  # dockerd reads no more of it: its answer says why
        except FramingError as error:
            self._fault = error
            engine.close()
            return
        if client.ended:
            self._mirror(uploaded=True)

    def _mirror(self, uploaded: bool = False) -> None:
        """Do to dockerd's connection what the client did to its own, after all that the client has sent."""
        if self._client.buffer or not (uploaded or self._upload is None or self._upload.done()):
            return
        self._engine.end_as(self._client)

    async def _final_head(self) -> ResponseHead:
        """The head of the answer; interim ones before it are passed on."""
        while True:
            try:
                head = await read_response_head(self._engine)
            except ConnectionError:
                if self._fault is not None:
                    raise RequestError(400, f"malformed HTTP request body: {self._fault}") from None
                raise _NoAnswerError from None
            if not head.interim:
                return head
            self._continued = True
            if self._body is None or head.status != 100:
                await self._client.write(head.raw)

    async def _answer(self, answer: ResponseHead) -> bool:
        framing = answer.framing(self._head.method)
        if answer.status == 101 or isinstance(framing, UntilClose):
            await self._hijack(answer)
            return False
        engine, prefix = self._engine, answer.raw
        try:
            while True:
                await self._client.write(prefix + engine.take(framing.feed(engine.buffer)))
                if framing.done:
                    return self._head.keep_alive and answer.keep_alive and await self._body_sent()
                prefix = b""
                if not engine.buffer and not await engine.more():
                    raise FramingError("the connection was closed")
        except FramingError as error:
            if prefix:
                raise ResponseError(str(error)) from None
            if not self._client.ended:
                _log.warning("answer of the Docker Engine to %s %s cut: %s", self._head.method, self._head.path, error)
            return False

    async def _hijack(self, answer: ResponseHead) -> None:
        """From here on the connection is no HTTP any more: raw bytes both ways until both sides have ended."""
        self._client.on_end = None
        await self._client.write(answer.raw)

        async def upwards() -> None:
            if self._upload is not None:
                await asyncio.wait({self._upload})
            await copy(self._client, self._engine)

        await asyncio.gather(upwards(), copy(self._engine, self._client))

    async def _body_sent(self) -> bool:
        """After the answer: True once the rest of the request's body is through, False if it never will be."""
        if self._upload is not None and not self._upload.done():
            waits_for_continue = self._head.expects_continue and not self._continued
            if waits_for_continue or self._engine.ended:
                return False
            self._engine.on_end = self._upload.cancel
            await asyncio.wait({self._upload})
            self._engine.on_end = None
        return self._framing.done


async def copy(source: Stream, sink: Stream) -> None:
    """Pass bytes on until ``source`` ends, then end ``sink`` likewise; if ``sink`` takes no more, refuse ``source``."""
    try:
        while source.buffer or await source.more():
            await sink.write(source.take(len(source.buffer)))
    except ConnectionError:
        source.refuse()
    else:
        sink.end_as(source)
