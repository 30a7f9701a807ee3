# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange of the join listener: a request comes in, bounded; an answer goes out; the connection ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import h11

from queenright.edge.http import join_messages

SHUTDOWN = 1.0  # seconds for the peer to answer the end of TLS


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out; ``headers`` beside those that every answer has."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class MalformedError(Exception):
    """A request that cannot be taken, with the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def receive(
    state: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int
) -> tuple[h11.Request, bytes]:
    """Read one request with at most ``limit`` bytes of body. Raises MalformedError, or OSError at an early end."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        try:
            event = state.next_event()
        except h11.RemoteProtocolError as error:
            raise MalformedError(error.error_status_hint, "the request is not valid HTTP") from None
        if event is h11.NEED_DATA:
            if state.they_are_waiting_for_100_continue:
                writer.write(state.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            state.receive_data(await reader.read(16 * 1024))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > limit:
                raise MalformedError(413, f"the request body is larger than {limit} bytes")
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            raise ConnectionError("the peer closed the connection")


async def send(state: h11.Connection, writer: asyncio.StreamWriter, answer: Answer) -> None:
    headers = [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("connection", "close"),
        *answer.headers,
    ]
    if state.our_state is h11.ERROR:
        return
    data = state.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    data += state.send(h11.Data(data=answer.body)) or b""
    data += state.send(h11.EndOfMessage()) or b""
    writer.write(data)
    await writer.drain()


def error_answer(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, join_messages.encode_error(message), headers=headers)


async def close(writer: asyncio.StreamWriter) -> None:
    """End the connection: politely, and by force for a peer that does not let go."""
    writer.close()
    try:
        async with asyncio.timeout(2 * SHUTDOWN):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()
