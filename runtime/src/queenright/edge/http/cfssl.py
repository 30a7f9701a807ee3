# SPDX-License-Identifier: Apache-2.0
"""Asks an authority outside of the swarm to sign, by the protocol of cfssl: one POST of JSON over mutual TLS.

No redirect is followed, and no proxy of the environment is used. What comes back is not judged here.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any
from urllib.parse import SplitResult, urlsplit

import h11

TIMEOUT = 5.0  # seconds for one exchange, from the connection to the last byte
MOST = 256 * 1024  # bytes of an answer
_SHUTDOWN = 1.0


class AwayError(Exception):
    """Nothing came back that could be used: it may be different at the next try."""


class RefusedError(Exception):
    """It said no."""


async def sign(url: str, body: bytes, context: ssl.SSLContext) -> bytes:
    """The certificate (PEM, unchecked) that was asked for. Raises AwayError or RefusedError."""
    status, answer = await _exchange(url, body, context)
    try:
        told = json.loads(answer)
    except ValueError:
        raise AwayError(f"{url} answered with status {status}, and not in JSON") from None
    if not isinstance(told, dict) or not isinstance(told.get("success"), bool):
        raise AwayError(f"{url} answered with status {status}, and not as cfssl does")
    if not told["success"]:
        if status >= 500 or status in (401, 403, 404, 408, 429):  # of what stands before it, or of its own trouble
            raise AwayError(f"{url} answered with status {status}: {_words(told)}")
        raise RefusedError(f"{url} refused: {_words(told)}")
    result = told.get("result")
    certificate = result.get("certificate") if isinstance(result, dict) else None
    if status != 200 or not isinstance(certificate, str) or not certificate.isascii():
        raise AwayError(f"{url} answered with status {status}, and without a certificate")
    return certificate.encode("ascii")


async def reach(url: str, context: ssl.SSLContext) -> None:
    """Return if there is somebody whose certificate ``context`` accepts. Raises AwayError."""
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await _connect(_parts(url), context)
            await _close(writer)
    except (OSError, TimeoutError) as error:
        raise AwayError(f"{url} is not reached: {str(error) or 'no answer in time'}") from None


async def _exchange(url: str, body: bytes, context: ssl.SSLContext) -> tuple[int, bytes]:
    parts = _parts(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = [
        ("host", parts.netloc),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await _connect(parts, context)
            try:
                state = h11.Connection(h11.CLIENT)
                data = state.send(h11.Request(method="POST", target=target, headers=head)) or b""
                data += state.send(h11.Data(data=body)) or b""
                writer.write(data + (state.send(h11.EndOfMessage()) or b""))
                await writer.drain()
                return await _answer(state, reader)
            finally:
                await _close(writer)
    except TimeoutError:
        raise AwayError(f"{url} did not answer within {TIMEOUT:g} s") from None
    except (OSError, h11.ProtocolError) as error:
        raise AwayError(f"{url} could not be asked: {error}") from None


async def _answer(state: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            state.receive_data(await reader.read(16 * 1024))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MOST:
                raise OSError(f"its answer is longer than {MOST} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise OSError("it closed the connection")


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise AwayError(f"{url} is no URL of an external CA: it must begin with https://")
    return parts


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


def _words(told: dict[str, Any]) -> str:
    """Why not, as it says; bounded, and in one line."""
    errors = told.get("errors")
    said = [error.get("message") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    text = "; ".join(message for message in said if isinstance(message, str)) or "it does not say why"
    return " ".join(text.split())[:300]
