# SPDX-License-Identifier: Apache-2.0
"""Logs of containers, read in the event loop: a follower costs a connection and a buffer, and no thread.

The connection is read only as fast as its lines are taken; the engine waits meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import quote, urlencode

from queenright.agent.log_ports import LogGoneError
from queenright.agent.ports import EngineLostError, TaskError, TemporaryError
from queenright.edge.docker.log_frames import Frames, Plain
from queenright.model.logs import LogLine, LogOptions

READ = 64 * 1024
HEAD_SECONDS = 60.0
IDLE_SECONDS = 60.0  # between two pieces of a log that is not followed
MOST_HEADERS = 100
MOST_ERROR = 64 * 1024
GONE = (404, 409)  # no such container; one that is being removed
BUSY = (429, 503)


class DockerLogs:
    """Fulfils ``agent.log_ports.LogSource`` with the engine at ``socket``."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def read(self, container_id: str, tty: bool, options: LogOptions) -> AsyncGenerator[list[LogLine], None]:
        """Lines in the engine's order, some at a time."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=READ)
        except OSError as error:
            raise self._lost(error) from error
        try:
            writer.write(_request(container_id, options))
            await writer.drain()
            parser = Plain() if tty else Frames()
            idle = None if options.follow else IDLE_SECONDS
            async with contextlib.aclosing(_pieces(reader, idle)) as pieces:
                async for piece in pieces:
                    lines = parser.feed(piece)
                    if lines:
                        yield lines
            lines = parser.finish()
            if lines:
                yield lines
        except TimeoutError:
            raise TemporaryError("the Docker Engine was asked for a log and does not answer") from None
        except (OSError, EOFError, ValueError) as error:
            raise self._lost(error) from error
        finally:
            writer.transport.abort()

    def _lost(self, error: Exception) -> EngineLostError:
        reason = str(error) or type(error).__name__
        return EngineLostError(f"the Docker Engine at {self._socket} does not give a log: {reason}")


def _request(container_id: str, options: LogOptions) -> bytes:
    query = {
        "stdout": int(options.stdout),
        "stderr": int(options.stderr),
        "follow": int(options.follow),
        "timestamps": 1,
        "details": 1,
        "tail": "all" if options.tail < 0 else str(options.tail),
    }
    for name, value in (("since", options.since), ("until", options.until)):
        if value:
            query[name] = f"{value // 10**9}.{value % 10**9:09d}"
    target = f"/containers/{quote(container_id, safe='')}/logs?{urlencode(query)}"
    return f"GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode("ascii")


async def _pieces(reader: asyncio.StreamReader, idle: float | None) -> AsyncGenerator[bytes, None]:
    """The body of the answer, as it comes. Raises TaskError and the like for a refusal, EOFError if it breaks off."""
    async with asyncio.timeout(HEAD_SECONDS):
        status, headers = await _head(reader)
        if status != 200:
            raise _refusal(status, await _whole(_body(reader, headers)))
    body = _body(reader, headers)
    while True:
        async with asyncio.timeout(idle):
            piece = await anext(body, b"")
        if not piece:
            return
        yield piece


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status = (await _line(reader)).split(" ")
    if len(status) < 2 or not status[0].startswith("HTTP/1.") or not status[1].isdigit():
        raise ValueError("it does not speak HTTP")
    headers: dict[str, str] = {}
    while line := await _line(reader):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
        if len(headers) > MOST_HEADERS:
            raise ValueError("its answer has too many headers")
    return int(status[1]), headers


async def _line(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n"))[:-2].decode("latin-1")


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        left = int(headers["content-length"]) if "content-length" in headers else None
        while (left is None or left > 0) and (piece := await reader.read(READ if left is None else min(READ, left))):
            left = None if left is None else left - len(piece)
            yield piece
        if left:
            raise EOFError("the answer broke off")
        return
    while True:
        size = int((await _line(reader)).partition(";")[0], 16)
        if size == 0:
            return
        while size:
            piece = await reader.read(min(size, READ))
            if not piece:
                raise EOFError("the answer broke off")
            size -= len(piece)
            yield piece
        await reader.readexactly(2)


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    found = bytearray()
    async for piece in body:
        found += piece
        if len(found) > MOST_ERROR:
            break
    return bytes(found)


def _refusal(status: int, body: bytes) -> Exception:
    try:
        text = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        text = body.decode("utf-8", "replace").strip() or f"status {status}"
    if status in GONE:
        return LogGoneError(text)
    return TemporaryError(text) if status in BUSY else TaskError(text)
