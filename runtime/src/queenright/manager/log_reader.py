# SPDX-License-Identifier: Apache-2.0
"""Logs for a client of this manager, whichever manager leads: what breaks on the way is taken up again where it was.

The leader's queue, the connection between the managers and the client's are the only places that hold lines; a client
that takes none makes all of them wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from queenright.lib.backoff import Backoff
from queenright.manager import texts
from queenright.manager.log_positions import Positions
from queenright.manager.ports import Clock
from queenright.model.errors import OutcomeUnknown, Refusal, Unavailable
from queenright.model.logs import LogLine, LogRead, LogReadRequest

FIRST_PATIENCE = 5.0  # seconds in which a leader has to be found before anything was answered
PATIENCE = 15.0  # the same, after a break
VAIN_TRIES = 20  # breaks with nothing new in between: of one node, or of all
VAIN_WITHIN = 60.0
LEADER_LOST = "the manager that leads was lost, and no other one gave them within {:.0f} s ({})"
BREAKS = "the connection to their nodes breaks again and again"
NODE_BREAKS = "the connection to node {} breaks again and again"

Unpack = Callable[[bytes], Sequence[LogLine]]
"""Encoded lines -> lines; raises ValueError for what is none (``wire``)."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogChunk:
    """What a client is given: lines of a task, or what is missing of it and why. ``task_id`` may be "" then."""

    task_id: str = ""
    node_id: str = ""
    service_id: str = ""
    lines: Sequence[LogLine] = ()
    missing: str = ""


class LogSource(Protocol):
    """Whoever leads: the broker of this manager, or the way to another one."""

    def read(self, request: LogReadRequest) -> AsyncGenerator[LogRead, None]:
        """First an empty part. Raises Unavailable or OutcomeUnknown when it breaks, other Refusals for good."""
        ...


class LogReader:
    """``source`` gives whoever leads now, None while nobody is known; ``dice`` gives numbers in [0, 1)."""

    def __init__(
        self, source: Callable[[], LogSource | None], unpack: Unpack, clock: Clock, dice: Callable[[], float]
    ) -> None:
        self._source = source
        self._unpack = unpack
        self._clock = clock
        self._dice = dice

    async def open(self, request: LogReadRequest) -> LogStream:
        """Begin to read. Raises Unavailable if nobody leads, or what the leader refuses with."""
        stream = LogStream(self._follow(request))
        try:
            await stream.begin()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def _follow(self, request: LogReadRequest) -> AsyncGenerator[LogChunk | None, None]:
        """None once it has begun, then what comes."""
        known, began, tries = Positions(), self._clock.wall(), _Tries(self._dice)
        asked, begun = request, False
        while True:
            broken = ""
            try:
                async with contextlib.aclosing(self._leader().read(asked)) as parts:
                    async for part in parts:
                        tries.reached()
                        if not begun:
                            begun = True
                            yield None
                        if part.again:
                            broken = part.node_id
                            break
                        for chunk in self._chunks(part, known):
                            tries.useful(part.node_id)
                            yield chunk
                    else:
                        if begun:
                            return
                        raise Unavailable("the manager that leads ended the reading before it began")
                tries.broke(BREAKS, node_id=broken)
            except (Unavailable, OutcomeUnknown) as error:
                tries.broke(str(error), reached=False)
                if tries.over and not begun:
                    raise
            except Refusal as error:
                if not begun:
                    raise
                yield LogChunk(missing=str(error))
                return
            if tries.over:
                yield LogChunk(missing=tries.reason)
                return
            if tries.gives_up(broken):
                yield LogChunk(node_id=broken, missing=NODE_BREAKS.format(broken))
            await tries.pause()
            if begun:
                without = tuple(sorted(tries.given_up))
                asked = dataclasses.replace(request, positions=known.all(), began=began, without=without)

    def _leader(self) -> LogSource:
        source = self._source()
        if source is None:
            raise Unavailable(texts.NO_LEADER, plain=True)
        return source

    def _chunks(self, part: LogRead, known: Positions) -> list[LogChunk]:
        """What a part of the leader's has that the client does not know yet."""
        chunks = []
        try:
            lines: Sequence[LogLine] = known.new(part.task_id, self._unpack(part.lines)) if part.lines else ()
        except ValueError as error:
            lines = ()
            part = dataclasses.replace(part, missing=part.missing or str(error))
        if lines:
            chunks.append(LogChunk(part.task_id, part.node_id, part.service_id, lines))
        if part.missing:
            chunks.append(LogChunk(part.task_id, part.node_id, part.service_id, missing=part.missing))
        if part.done:
            known.done(part.task_id)
        return chunks


class _Tries:
    """When to give up."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self._backoff = Backoff(dice, most=1.0)
        self._patience = FIRST_PATIENCE
        self._deadline: float | None = None  # while nobody leads
        self._vain: dict[str, list[float]] = {}  # breaks since something new came, by node; "" are those of all
        self.given_up: set[str] = set()  # nodes
        self.reason = ""

    def reached(self) -> None:
        """There is a leader."""
        self._patience, self._deadline = PATIENCE, None

    def useful(self, node_id: str) -> None:
        """Something new came of a node."""
        self._backoff.reset()
        self._vain.pop(node_id, None)
        self._vain.pop("", None)

    def broke(self, reason: str, *, reached: bool = True, node_id: str = "") -> None:
        """The reading ended too early; ``reached``: though there is a leader; ``node_id``: whose way broke."""
        now = asyncio.get_running_loop().time()
        if reached:
            self._vain[node_id] = [at for at in self._vain.get(node_id, ()) if now - at < VAIN_WITHIN] + [now]
            self.reason = reason
        else:
            self._deadline = self._deadline or now + self._patience
            self.reason = LEADER_LOST.format(self._patience, reason)

    @property
    def over(self) -> bool:
        """Whether it makes no sense any more."""
        late = self._deadline is not None and asyncio.get_running_loop().time() >= self._deadline
        return late or len(self._vain.get("", ())) >= VAIN_TRIES

    def gives_up(self, node_id: str) -> bool:
        """Whether the node's way has broken too often just now; it is left out from now on."""
        if not node_id or len(self._vain.get(node_id, ())) < VAIN_TRIES:
            return False
        del self._vain[node_id]
        self.given_up.add(node_id)
        return True

    async def pause(self) -> None:
        await asyncio.sleep(0.05 + self._backoff.next())


class LogStream:
    """Chunks as they come. Whoever got it closes it (``aclose``), or reads it to its end."""

    def __init__(self, chunks: AsyncGenerator[LogChunk | None, None]) -> None:
        self._chunks = chunks

    async def begin(self) -> None:
        """Return when the leader has begun to give."""
        await anext(self._chunks)

    def __aiter__(self) -> LogStream:
        return self

    async def __anext__(self) -> LogChunk:
        chunk = await anext(self._chunks)
        assert chunk is not None
        return chunk

    async def aclose(self) -> None:
        await self._chunks.aclose()
