# SPDX-License-Identifier: Apache-2.0
"""One client connection: requests of ours and dockerd's after one another, as they come."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from queenright.edge.http.caller import NOBODY, Caller
from queenright.edge.http.calling import MapError, answered, written
from queenright.edge.http.errors import ApiError, RequestError
from queenright.edge.http.framing import FramingError, Sized
from queenright.edge.http.heads import MAX_HEAD, RequestHead, head_end, parse_request
from queenright.edge.http.messages import Request, Response, error_response
from queenright.edge.http.proxy import Proxy
from queenright.edge.http.router import Pass, Route, Router
from queenright.edge.http.stream import PeerGoneError, Stream
from queenright.edge.http.upstream import Upstream
from queenright.edge.http.writing import send_response
from queenright.manager.audit import acting, record

T = TypeVar("T")

_log = logging.getLogger(__name__)
HEAD_TIME = 30.0  # seconds for the rest of a head, once its first byte came
BODY_TIME = 60.0  # and for the body of a call of ours, of which there are at most some megabytes
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Site:
    """What all connections of a server share. ``max_body`` limits the bodies of our own routes, in bytes."""

    router: Router
    upstream: Upstream
    map_error: MapError
    max_body: int


class Phase(enum.Enum):
    """What a connection is doing: waiting for a request, or in a call that may be cut soon, or not.

    Calls of dockerd's, and calls of ours that only wait or stream, lose nothing when they are cut.
    """

    IDLE = "idle"
    OWN = "own"
    STREAM = "stream"


class Connection:
    """Serves one client until it or the server ends the connection."""

    def __init__(self, stream: Stream, site: Site, caller: Caller = NOBODY) -> None:
        self.phase = Phase.IDLE
        self._stream = stream
        self._site = site
        self._caller = caller
        self._proxy = Proxy(stream, site.upstream)
        self._last = False
        self._unread = False  # some of the request may still be on its way, though it was answered

    def finish(self) -> None:
        """Take no further request: an idle connection closes now, a busy one after its call."""
        self._last = True
        if self.phase is Phase.IDLE:
            self._stream.close()

    async def serve(self) -> None:
        """Serve requests one after another. Does not raise but for cancellation, which cuts the connection."""
        try:
            while await self._one() and not self._last:
                self.phase = Phase.IDLE
            self._proxy.close()
            if self._unread and not self._stream.ended:
                await self._stream.close_gently()
        except PeerGoneError:
            pass  # the client went away
        except Exception:
            _log.exception("a connection of the host socket failed")
        finally:
            self._proxy.close()
            self._stream.close()

    async def _one(self) -> bool:
        """Serve one request; True if another may follow."""
        head = None
        self._unread = True
        try:
            if not await self._begun():
                return False
            raw = await self._in_time(self._read_head(), HEAD_TIME, "head")
            if not raw:
                return False
            head = parse_request(raw)
            self._unread = not head.framing().done
            return await self._dispatch(head)
        except ApiError as error:  # nothing was answered yet
            keep = not self._unread and not isinstance(error, RequestError)
            return await self._respond(head, error_response(error), keep=keep)

    async def _dispatch(self, head: RequestHead) -> bool:
        found = self._site.router.find(head.method, head.path)
        if found is None:
            self.phase = Phase.STREAM
            return await self._proxy.exchange(head)
        route, params = found
        if route.root and not self._caller.is_root:
            raise self._not_root(head)
        self.phase = Phase.STREAM if route.abandon else Phase.OWN
        raw, body = await self._in_time(self._read_body(head), BODY_TIME, "body")
        self._unread = False
        identity = await self._site.upstream.identity()
        if identity is not None and head.version_text:
            identity.check(head.version_text)
        request = Request(head.method, head.path, head.version, head.query(), head.headers, body, params)
        request.caller = self._caller
        response = await self._call(route, request)
        if isinstance(response, Pass):
            self.phase = Phase.STREAM
            return await self._proxy.exchange(head, raw)
        return await self._respond(head, response, keep=True)

    @staticmethod
    async def _in_time(reading: Coroutine[Any, Any, T], seconds: float, what: str) -> T:
        """What is read; a client that is too slow is told so, and does not hold its connection."""
        try:
            async with asyncio.timeout(seconds):
                return await reading
        except TimeoutError:
            raise RequestError(408, f"the {what} of the request did not arrive within {seconds:g} s") from None

    async def _begun(self) -> bool:
        """Whether a request begins; False if the client ends instead. An empty line before one is allowed: clients of
        old send it after a body, and then rest.
        """
        stream = self._stream
        while True:
            while stream.buffer.startswith((b"\r", b"\n")):
                del stream.buffer[:1]
            if stream.buffer:
                return True
            if not await stream.more():
                return False

    async def _read_head(self) -> bytes:
        """The bytes of the next head; none if the client ended before it."""
        stream, searched = self._stream, 0
        while True:
            length = head_end(stream.buffer, searched)
            searched = len(stream.buffer)
            if length > MAX_HEAD or (not length and searched > MAX_HEAD):
                raise RequestError(431, f"the head of the request is longer than {MAX_HEAD} bytes")
            if length:
                return bytes(stream.take(length))
            if not await stream.more():
                return b""

    async def _read_body(self, head: RequestHead) -> tuple[bytes, bytes]:
        """The body of a request of ours: (as it came, decoded)."""
        framing, stream = head.framing(), self._stream
        limit = self._site.max_body
        if isinstance(framing, Sized) and framing.left > limit:
            raise self._too_large()
        if head.expects_continue and not framing.done and not stream.buffer:
            await stream.write(_CONTINUE)
        raw, body = bytearray(), bytearray()
        while not framing.done:
            if not stream.buffer and not await stream.more():
                raise RequestError(400, "the request ended in the middle of its body")
            try:
                raw += stream.take(framing.feed(stream.buffer, body))
            except FramingError as error:
                raise RequestError(400, f"malformed HTTP request body: {error}") from None
            if len(body) > limit or len(raw) > 4 * limit:
                raise self._too_large()
        return bytes(raw), bytes(body)

    def _not_root(self, head: RequestHead) -> ApiError:
        with acting(self._caller.actor):
            record("write", outcome=403, method=head.method, path=head.path)
        who = f"user {self._caller.uid}" if self._caller.uid >= 0 else "an unknown user"
        return ApiError(403, f"{head.method} {head.path} is for root only, and {who} asks: use sudo")

    def _too_large(self) -> RequestError:
        return RequestError(413, f"the body of the request is longer than {self._site.max_body} bytes")

    async def _call(self, route: Route, request: Request) -> Response | Pass:
        """Run the handler; whatever it raises becomes an `ApiError`."""
        call = route.handler(request)
        if route.abandon:
            call = self._stream.while_present(call)
        with acting(replace(self._caller.actor, agent=request.headers.get("user-agent", ""))):
            answer = answered(call, self._site.map_error, f"{request.method} {request.path}")
            return await (answer if route.reads else written(request, answer))

    async def _respond(self, head: RequestHead | None, response: Response, *, keep: bool) -> bool:
        """Send the answer to a call of ours; True if another request may follow."""
        if not isinstance(response.body, bytes):
            self.phase = Phase.STREAM
        identity = self._site.upstream.last_identity
        return await send_response(
            self._stream,
            head,
            response,
            engine_headers=identity.headers if identity else {},
            keep_alive=keep and not self._last,
        )
