# SPDX-License-Identifier: Apache-2.0
"""dockerd as our handlers ask it: whole answers over a few kept connections, and who it is."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from queenright.edge.http.errors import ApiError, EngineUnreachableError, ResponseError
from queenright.edge.http.framing import FramingError
from queenright.edge.http.heads import MAX_HEAD, ResponseHead, head_end, parse_response, parse_version
from queenright.edge.http.messages import ApiVersion, encode
from queenright.edge.http.stream import Stream, connect

MAX_IDLE = 4
MAX_ANSWER = 64 * 1024 * 1024
IDENTITY_TIMEOUT = 2.0
IDENTITY_RETRY = 1.0

_log = logging.getLogger(__name__)
_NOT_IDENTITY = frozenset({"connection", "content-length", "content-type", "date", "transfer-encoding"})


class Reply(NamedTuple):
    """An answer of dockerd; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """What dockerd says of itself: the range of its API, and the headers that each of its answers carries."""

    minimum: str
    maximum: str
    headers: dict[str, str] = field(default_factory=dict)

    def check(self, text: str) -> None:
        """Raise `ApiError` 400 in Docker's words if a client's version X.Y is out of range."""
        version: ApiVersion = parse_version(text)
        if version < parse_version(self.minimum):
            raise ApiError(
                400,
                f"client version {text} is too old. Minimum supported API version is {self.minimum}, "
                "please upgrade your client to a newer version",
            )
        if version > parse_version(self.maximum):
            raise ApiError(400, f"client version {text} is too new. Maximum supported API version is {self.maximum}")


class Upstream:
    """Client of the dockerd that listens on the unix socket ``path``."""

    def __init__(self, path: str, *, timeout: float = 30.0) -> None:
        """``timeout`` is the longest wait in seconds for one whole answer to `request`."""
        self.path = path
        self._timeout = timeout
        self._idle: list[Stream] = []
        self._identity: Identity | None = None
        self._identity_fresh = False
        self._identity_next_try = 0.0
        self._identity_lock = asyncio.Lock()

    async def connect(self) -> Stream:
        """A new connection. Raises `EngineUnreachableError`."""
        try:
            return await connect(self.path)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else "it does not accept connections"
            raise EngineUnreachableError(self.path, reason) from None

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> Reply:
        """Ask dockerd and read the whole answer (up to 64 MiB), whatever its status.

        ``path`` is the request target with version prefix and query; a body without Content-Type is JSON. Raises
        `EngineUnreachableError` when there is no answer within ``timeout`` seconds.
        """
        message = _message(method, path, body, headers or {})
        seconds = self._timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(method, message)
        except TimeoutError:
            raise EngineUnreachableError(self.path, f"no answer within {seconds:g} s") from None

    async def json(self, method: str, path: str, document: object = None) -> Any:
        """Ask dockerd with JSON for JSON. Its errors are raised as `ApiError` with its status and text."""
        reply = await self.request(method, path, None if document is None else encode(document))
        try:
            answer = json.loads(reply.body) if reply.body else None
        except ValueError:
            answer = None
        if reply.status >= 400:
            text = answer.get("message") if isinstance(answer, dict) else None
            raise ApiError(reply.status, str(text or reply.body.decode("utf-8", "replace").strip()))
        return answer

    async def identity(self) -> Identity | None:
        """Who dockerd is, from memory while a connection to it lives; the last known one while it is away.

        None if dockerd did not answer yet since the start. Takes 2 s at most, and once a second at most.
        """
        if self._identity_fresh:
            return self._identity
        async with self._identity_lock:
            if asyncio.get_running_loop().time() >= self._identity_next_try:
                await self._try_to_learn()
        return self._identity

    @property
    def last_identity(self) -> Identity | None:
        """The last known identity, without asking."""
        return self._identity

    def close(self) -> None:
        """Close the kept connections."""
        for stream in self._idle:
            stream.on_end = None
            stream.close()
        self._idle.clear()

    async def _try_to_learn(self) -> None:
        if self._identity_fresh:
            return  # another call learned it while this one waited
        try:
            await self._learn()
        except ApiError as error:
            self._identity_next_try = asyncio.get_running_loop().time() + IDENTITY_RETRY
            _log.debug("the Docker Engine does not tell its version: %s", error)

    async def _learn(self) -> None:
        reply = await self.request("GET", "/version", timeout=IDENTITY_TIMEOUT)
        try:
            document = json.loads(reply.body)
            maximum, minimum = str(document["ApiVersion"]), str(document.get("MinAPIVersion", "1.24"))
            if not parse_version(minimum) <= parse_version(maximum):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ApiError(502, f"unix://{self.path} is no Docker Engine: GET /version gives no ApiVersion") from None
        headers = {name.title(): value for name, value in reply.headers.items() if name not in _NOT_IDENTITY}
        self._identity = Identity(minimum, maximum, headers)
        self._identity_fresh = bool(self._idle)

    async def _exchange(self, method: str, message: bytes) -> Reply:
        """One question and answer; once more on a new connection if a kept one turns out to be dead."""
        while True:
            kept = self._take()
            stream = kept or await self.connect()
            done = False
            try:
                head, body = await _converse(stream, method, message)
                done = True
            except (ConnectionError, ResponseError, FramingError) as error:
                self._doubt_identity()
                if kept and not stream.buffer and method in ("GET", "HEAD"):
                    continue
                reason = f"the connection broke before the answer was whole ({error})"
                raise EngineUnreachableError(self.path, reason) from None
            finally:
                if not done:
                    stream.close()
            self._keep(stream, head)
            return Reply(head.status, head.headers, body)

    def _take(self) -> Stream | None:
        while self._idle:
            stream = self._idle.pop()
            stream.on_end = None
            if not stream.ended and not stream.buffer:
                return stream
            stream.close()
        return None

    def _keep(self, stream: Stream, head: ResponseHead) -> None:
        if not head.keep_alive or stream.ended or stream.buffer or len(self._idle) >= MAX_IDLE:
            stream.close()
            return
        stream.on_end = lambda: self._lost(stream)
        self._idle.append(stream)

    def _lost(self, stream: Stream) -> None:
        """dockerd closed a kept connection: it may come back as another version."""
        self._idle.remove(stream)
        stream.close()
        self._doubt_identity()

    def _doubt_identity(self) -> None:
        self._identity_fresh = False
        self._identity_next_try = 0.0


def _message(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    fields = {"Host": "docker", **headers}
    if body is not None:
        fields.setdefault("Content-Type", "application/json")
        fields["Content-Length"] = str(len(body))
    elif method in ("POST", "PUT"):
        fields["Content-Length"] = "0"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if any(character in line for line in lines for character in "\r\n"):
        raise ValueError("a request line or header must not contain a line break")
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + (body or b"")


async def _converse(stream: Stream, method: str, message: bytes) -> tuple[ResponseHead, bytes]:
    await stream.write(message)
    head = await read_response_head(stream)
    while head.interim:
        head = await read_response_head(stream)
    framing, body = head.framing(method), bytearray()
    while not framing.done:
        if not stream.buffer and not await stream.more():
            if head.keep_alive:
                raise ResponseError("the Docker Engine closed the connection in the middle of its answer")
            break
        stream.take(framing.feed(stream.buffer, body))
        if len(body) > MAX_ANSWER:
            raise ResponseError(f"the answer is longer than {MAX_ANSWER} bytes")
    return head, bytes(body)


async def read_response_head(stream: Stream) -> ResponseHead:
    """Read the head of a response; `ResponseError` if there is none, `ConnectionError` if the stream ends before."""
    searched = 0
    while not (length := head_end(stream.buffer, searched)):
        searched = len(stream.buffer)
        if searched > MAX_HEAD:
            raise ResponseError(f"the head of the answer is longer than {MAX_HEAD} bytes")
        if not await stream.more():
            raise ConnectionError("it closed the connection without an answer")
    return parse_response(bytes(stream.take(length)))
