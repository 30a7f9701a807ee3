# SPDX-License-Identifier: Apache-2.0
"""One HTTPS request as a client, on a connection of its own: no redirect, no proxy, everything bounded."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import SplitResult, urlsplit

import h11

_SHUTDOWN = 1.0


class NoAnswerError(Exception):
    """Nothing whole came back; the text says why."""


async def ask(
    method: str, url: str, body: bytes, context: ssl.SSLContext, *, timeout: float, most: int
) -> tuple[int, bytes]:
    """Status and body of the answer. ``timeout`` in seconds is for all of it, ``most`` bytes for its body.

    Raises NoAnswerError.
    """
    parts = split(url)
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _connect(parts, context)
            try:
                return await _exchange(method, parts, body, reader, writer, most)
            finally:
                await _close(writer)
    except TimeoutError:
        raise NoAnswerError(f"{url} did not answer within {timeout:g} s") from None
    except (OSError, h11.ProtocolError) as error:
        raise NoAnswerError(f"{url} could not be asked: {error}") from None


async def reach(url: str, context: ssl.SSLContext, *, timeout: float) -> None:
    """Return if there is somebody whose certificate ``context`` accepts. Raises NoAnswerError."""
    try:
        async with asyncio.timeout(timeout):
            _, writer = await _connect(split(url), context)
            await _close(writer)
    except (OSError, TimeoutError) as error:
        raise NoAnswerError(f"{url} is not reached: {str(error) or 'no answer in time'}") from None


def split(url: str) -> SplitResult:
    """Raises NoAnswerError for what cannot be asked."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise NoAnswerError(f"{url} cannot be asked: it must begin with https:// and name a host")
    return parts


async def _exchange(
    method: str,
    parts: SplitResult,
    body: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    most: int,
) -> tuple[int, bytes]:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = [("host", parts.netloc), ("connection", "close")]
    if body:
        head += [("content-type", "application/json"), ("content-length", str(len(body)))]
    state = h11.Connection(h11.CLIENT)
    data = state.send(h11.Request(method=method, target=target, headers=head)) or b""
    if body:
        data += state.send(h11.Data(data=body)) or b""
    writer.write(data + (state.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    return await _answer(state, reader, most)


async def _answer(state: h11.Connection, reader: asyncio.StreamReader, most: int) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            state.receive_data(await reader.read(16 * 1024))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most:
                raise OSError(f"its answer is longer than {most} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise OSError("it closed the connection")


async def _connect(parts: SplitResult, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        parts.hostname, parts.port or 443, ssl=context, ssl_shutdown_timeout=_SHUTDOWN, limit=64 * 1024
    )


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(2 * _SHUTDOWN):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()
