# SPDX-License-Identifier: Apache-2.0
"""An answer of dockerd that goes on for as long as somebody reads it, on a connection of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

from queenright.edge.http.errors import ApiError, EngineUnreachableError, ResponseError
from queenright.edge.http.framing import FramingError
from queenright.edge.http.heads import ResponseHead
from queenright.edge.http.stream import PeerGoneError, Stream
from queenright.edge.http.upstream import Upstream, read_response_head

MAX_REFUSAL = 64 * 1024


class EngineGoneError(PeerGoneError):
    """dockerd broke off in the middle of its answer: whoever passes it on does the same."""


class EngineStream:
    """A GET of dockerd's under way. Close it."""

    def __init__(self, stream: Stream, head: ResponseHead) -> None:
        self.headers = head.headers
        self._stream = stream
        self._framing = head.framing("GET")

    async def parts(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Raises `EngineGoneError`."""
        stream, framing = self._stream, self._framing
        while not framing.done:
            if not stream.buffer and not await stream.more():
                raise EngineGoneError("the Docker Engine broke off its answer")
            body = bytearray()
            try:
                stream.take(framing.feed(stream.buffer, body))
            except FramingError as error:
                raise EngineGoneError(str(error)) from None
            if body:
                yield bytes(body)

    def close(self) -> None:
        self._stream.close()


async def open_stream(upstream: Upstream, target: str, headers: Mapping[str, str]) -> EngineStream:
    """Begin to ask. dockerd's refusals are raised as `ApiError` with its status and text."""
    stream = await upstream.connect()
    try:
        lines = [f"GET {target} HTTP/1.1", "Host: docker", *(f"{name}: {value}" for name, value in headers.items())]
        if any(character in line for line in lines for character in "\r\n"):
            raise ValueError("a request line or header must not contain a line break")
        await stream.write("\r\n".join(lines).encode("utf-8") + b"\r\n\r\n")
        head = await read_response_head(stream)
        while head.interim:
            head = await read_response_head(stream)
        answer = EngineStream(stream, head)
        if head.status != 200:
            raise ApiError(head.status, await _refusal(answer))
    except (ConnectionError, ResponseError) as error:
        stream.close()
        raise EngineUnreachableError(upstream.path, str(error)) from None
    except BaseException:
        stream.close()
        raise
    return answer


async def _refusal(answer: EngineStream) -> str:
    text = bytearray()
    async for part in answer.parts():
        text += part
        if len(text) > MAX_REFUSAL:
            break
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode("utf-8", "replace").strip() or "the Docker Engine says nothing"
