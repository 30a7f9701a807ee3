# SPDX-License-Identifier: Apache-2.0
"""``/events``: what happens in the swarm, and what dockerd tells of this host, in one stream.

Every manager serves it from its own memory; a worker passes the call to dockerd. When dockerd goes away the stream
breaks off as dockerd's own would: clients ask again with ``since``, and find here what happened in the swarm meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.swarm_events import EventFilter, SwarmEvent, events_of, managers_moved
from queenright.edge.http.engine_stream import EngineGoneError, EngineStream, open_stream
from queenright.edge.http.errors import ApiError
from queenright.edge.http.filters import parse_filters
from queenright.edge.http.messages import Request, Response, encode
from queenright.edge.http.router import PASS, Pass, Router
from queenright.edge.http.upstream import Upstream
from queenright.manager.control import Control
from queenright.manager.ports import Host
from queenright.manager.views import ManagerStatus, manager_statuses
from queenright.store.history import ForgottenError

LOOK = 1.0  # seconds between two looks at who leads: that is no commit of the store
QUIET = 0.05  # seconds without a word after which dockerd has told of all that was
LONGEST = 1.0  # seconds for which is waited for that: a busy engine may never be quiet
MOST_TOLD = 1000  # its events that are put in order with ours; dockerd remembers a quarter as many
MOST_LINE = 4 * 1024 * 1024
RECORD = b"\x1e"  # before each record of application/json-seq

_SECOND = 1_000_000_000
_FORWARDED = ("accept", "user-agent")


class EventHandlers(Handlers):
    """Handler of ``/events``."""

    def __init__(self, host: Host, upstream: Upstream) -> None:
        super().__init__(host)
        self._upstream = upstream

    def register(self, router: Router) -> None:
        router.add("GET", "/events", self.events, abandon=True, local=True)

    async def events(self, request: Request) -> Response | Pass:
        """The merged stream; dockerd's alone where there is nothing of ours in it."""
        control = self.running()
        if control is None:
            return PASS
        filters = parse_filters(request.text("filters"))
        chosen = EventFilter(filters)
        since, until = moment(request, "since"), moment(request, "until")
        if since is not None and until is not None and until < since:
            raise ApiError(400, f"`since` time ({since // _SECOND}) cannot be after `until` time ({until // _SECOND})")
        if not chosen.swarm:
            return PASS
        source = _Swarm(self, control, chosen, since, until)
        engine = await self._engine(request) if chosen.engine else None
        content = engine.headers.get("content-type", "application/json") if engine is not None else "application/json"
        return Response(200, _Body(source, engine, content), {"Content-Type": content})

    async def _engine(self, request: Request) -> EngineStream:
        prefix = f"/v{request.version[0]}.{request.version[1]}" if request.version else ""
        query = urlencode(request.query, doseq=True)
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        return await open_stream(self._upstream, f"{prefix}/events" + (f"?{query}" if query else ""), headers)


def moment(request: Request, name: str) -> int | None:
    """``since`` or ``until`` in wall nanoseconds: seconds since the epoch, with a fraction or without."""
    text = request.text(name)
    if not text:
        return None
    try:
        value = Decimal(text)
        if not text.isascii() or not value.is_finite() or abs(value) >= 1 << 40:
            raise InvalidOperation
    except InvalidOperation:
        raise ApiError(400, f"invalid {name} '{text[:64]}': expected seconds since the epoch") from None
    return int(value * _SECOND)


class _Swarm:
    """The swarm's part: what was, and what comes."""

    def __init__(
        self, handlers: Handlers, control: Control, chosen: EventFilter, since: int | None, until: int | None
    ) -> None:
        self._handlers = handlers
        self._control = control
        self._chosen = chosen
        self._since = since
        self._until = until
        self._index = control.store.index
        self.began = control.context.clock.wall()
        self._managers = self._standing()

    def past(self) -> list[SwarmEvent]:
        """What is remembered of the time that is asked for."""
        if self._since is None and self._until is None:
            return []
        found = []
        for commit in self._control.store.history:
            if (
                commit.index <= self._index
                and (self._since is None or commit.at >= self._since)
                and not self._late(commit.at)
            ):
                found += [event for event in events_of(commit) if self._chosen.takes(event)]
        return found

    async def live(self) -> AsyncIterator[list[SwarmEvent]]:
        """What happens from the beginning of the call on. Ends at ``until``, or when this host is no manager any more
        (`EngineGoneError`: the client shall ask again).
        """
        history, clock = self._control.store.history, self._control.context.clock
        while True:
            now = clock.wall()
            left = None if self._until is None else (self._until - now) / _SECOND
            if left is not None and left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK if left is None else min(LOOK, left)):
                    await history.wait(self._index)
            if self._handlers.running() is not self._control:
                raise EngineGoneError("this host does not manage the swarm any more")
            found = [*self._committed(), *self._moved(clock.wall())]
            if found:
                yield found

    def _committed(self) -> Iterable[SwarmEvent]:
        """A listener who is too slow, or a store that was replaced, misses what happened meanwhile and is told so."""
        try:
            commits = self._control.store.history.since(self._index)
        except ForgottenError as error:
            raise EngineGoneError(str(error)) from None
        for commit in commits:
            self._index = commit.index
            for event in events_of(commit):
                if self._chosen.takes(event) and not self._late(event.at):
                    yield event

    def _moved(self, now: int) -> Iterable[SwarmEvent]:
        before, self._managers = self._managers, self._standing()
        if before == self._managers:
            return
        names = {key: node.hostname for key in self._managers if (node := self._control.store.nodes.get(key))}
        yield from (event for event in managers_moved(before, self._managers, names, now) if self._chosen.takes(event))

    def _standing(self) -> Mapping[str, ManagerStatus]:
        context = self._control.context
        return manager_statuses(context.store, context.consensus)

    def _late(self, at: int) -> bool:
        return self._until is not None and at > self._until


class _Body:
    """The answer's parts. A generator that was never begun runs no ``finally``, so the engine's stream is closed here:
    the client may go before the first part.
    """

    def __init__(self, source: _Swarm, engine: EngineStream | None, content: str) -> None:
        self._engine = engine
        self._parts = _merged(source, engine, content)

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._parts)

    async def aclose(self) -> None:
        try:
            await self._parts.aclose()
        finally:
            if self._engine is not None:
                self._engine.close()


Item = bytes | BaseException | None  # what a source says: a text, why it broke off, that it has ended


async def _merged(source: _Swarm, engine: EngineStream | None, content: str) -> AsyncGenerator[bytes, None]:
    """What was, in order of time; then everything as it comes."""
    mark = RECORD if "json-seq" in content else b""
    queue: asyncio.Queue[Item] = asyncio.Queue(maxsize=256)
    tasks: list[asyncio.Task[None]] = []
    try:
        told: list[Item] = []
        if engine is not None:
            tasks.append(asyncio.create_task(_feed(queue, _lines(engine)), name="events of the engine"))
        past = source.past()
        if past:
            if engine is not None:
                told = await _told(queue, source.began)
            yield _in_order(past, [line for line in told if isinstance(line, bytes)], mark)
        tasks.append(asyncio.create_task(_feed(queue, _texts(source, mark)), name="events of the swarm"))
        ended = 0
        rest = [item for item in told if not isinstance(item, bytes)]
        while ended < len(tasks):
            item = rest.pop(0) if rest else await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                ended += 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if engine is not None:
            engine.close()


async def _feed(queue: asyncio.Queue[Item], source: AsyncIterator[bytes]) -> None:
    """Put what a source says into the queue, and how it ended: whoever waits there is told in any case."""
    end: Item = None
    try:
        async for part in source:
            await queue.put(part)
    except Exception as error:
        end = error
    await queue.put(end)


async def _texts(source: _Swarm, mark: bytes) -> AsyncIterator[bytes]:
    async for events in source.live():
        yield _text(events, mark)


async def _lines(engine: EngineStream) -> AsyncIterator[bytes]:
    """dockerd's events, each whole: ours go in between."""
    buffer = bytearray()
    async for part in engine.parts():
        buffer += part
        end = buffer.rfind(b"\n") + 1
        for line in bytes(buffer[:end]).splitlines(keepends=True):
            yield line
        del buffer[:end]
        if len(buffer) > MOST_LINE:
            raise EngineGoneError("the Docker Engine tells of an event without an end")
    if buffer:
        yield bytes(buffer)


async def _told(queue: asyncio.Queue[Item], began: int) -> list[Item]:
    """What dockerd has to tell of the time before ``began`` (wall nanoseconds), at most with a little of what came
    after: it tells of the past at once, without a pause and in order. What is still to come stays in the queue.
    """
    told: list[Item] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST):
            while len(told) < MOST_TOLD:
                async with asyncio.timeout(QUIET):
                    item = await queue.get()
                told.append(item)
                if not isinstance(item, bytes) or _time(item) >= began:
                    break
    return told


def _in_order(past: list[SwarmEvent], lines: list[bytes], mark: bytes) -> bytes:
    both = [(event.at, _text([event], mark)) for event in past] + [(_time(line), line) for line in lines]
    return b"".join(text for _, text in sorted(both, key=lambda pair: pair[0]))


def _text(events: Iterable[SwarmEvent], mark: bytes) -> bytes:
    return b"".join(mark + encode(event.document()) + b"\n" for event in events)


def _time(line: bytes) -> int:
    try:
        document = json.loads(line.strip(RECORD))
        return int(document.get("timeNano") or document["time"] * _SECOND)
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0
