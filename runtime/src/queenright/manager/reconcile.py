# SPDX-License-Identifier: Apache-2.0
"""The one loop that runs deciders: watch, decide, propose, sleep until something changes or a decider's time has come.

Each decider is asked about the keys that changed since it was last asked. Its answer says when it wants to be asked
again though nothing changes; then it finds by the store's indexes what is due. A decision that did not fit (somebody
else wrote first), or of which nobody knows whether it was written, is dropped; its keys stay dirty and the decider
decides again from what is there now. Whoever leads no more decides nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence

from queenright.decide.base import Dirty, Now, next_wake
from queenright.decide.orchestrate import Decider, mark
from queenright.manager import portions, slices
from queenright.manager.portions import Portion
from queenright.manager.ports import Clock, Proposer
from queenright.model.errors import OutcomeUnknown, OutOfSequence, Unavailable
from queenright.store.store import Commit, Store

log = logging.getLogger(__name__)

BUSY = 0.2  # seconds until a log that took nothing is tried again; longer each time
MOST_BUSY = 5.0
NODES_ONLY = frozenset({"nodes"})  # deciders to which changes of tasks and services are nothing
MOST_ROUNDS = 1000  # rounds without a pause; deciders settle in a handful, so more is a defect worth a loud line


@dataclasses.dataclass(slots=True)
class _Seat:
    """A decider with what it has still to look at and when it wants to be asked again."""

    name: str
    decide: Decider
    dirty: Dirty
    wake_at: float = math.inf  # monotonic seconds
    rest: deque[Portion] = dataclasses.field(default_factory=deque)  # of what is too much to be looked at at once


class Reconciler:
    """Runs while this manager leads. ``deciders`` are (name, decider) in the order in which they are asked."""

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        clock: Clock,
        ids: Callable[[], str],
        deciders: Sequence[tuple[str, Decider]],
    ) -> None:
        self._store = store
        self._proposer = proposer
        self._clock = clock
        self._ids = ids
        self._seats = [_Seat(name, decide, Dirty(everything=True)) for name, decide in deciders]
        self._poke = asyncio.Event()
        self._busy = BUSY

    def poke(self) -> None:
        """Something outside the store changed (a heartbeat's deadline): look again."""
        self._poke.set()

    async def run(self) -> None:
        """Until cancelled, or until this manager leads no more."""
        with self._store.watch() as subscription:
            getter: asyncio.Future[Commit] = asyncio.ensure_future(subscription.next())
            try:
                while True:
                    await self._settle(subscription.drain)
                    if not self._proposer.is_leader:
                        return
                    getter = await self._sleep(getter)
                    if getter.done():
                        self._mark(getter.result())
                        getter = asyncio.ensure_future(subscription.next())
            finally:
                getter.cancel()

    async def _settle(self, drain: Callable[[], list[Commit]]) -> None:
        for round_number in itertools.count():
            for commit in drain():
                self._mark(commit)
            if not any(self._is_due(seat) for seat in self._seats):
                return
            if round_number % MOST_ROUNDS == MOST_ROUNDS - 1 and not any(seat.rest for seat in self._seats):
                log.error("deciders do not settle", extra={"deciders": [s.name for s in self._seats if s.dirty]})
            for seat in self._seats:
                if not self._proposer.is_leader:
                    return
                await self._ask(seat)
                for commit in drain():
                    self._mark(commit)
            await asyncio.sleep(0)

    async def _ask(self, seat: _Seat) -> None:
        if not self._is_due(seat):
            return
        now = Now(self._clock.wall(), self._clock.mono())
        dirty = self._next(seat)
        dirty.due = dirty.due or seat.wake_at <= now.mono
        decision = seat.decide(self._store, dirty, now, self._ids)
        seat.wake_at = next_wake(seat.wake_at, decision)
        try:
            await slices.write(self._proposer, decision.changes)
        except OutOfSequence:
            _merge(seat.dirty, dirty)
        except (Unavailable, OutcomeUnknown) as error:
            _merge(seat.dirty, dirty)
            if self._proposer.is_leader:
                log.warning("what %s decided could not be written and is decided anew: %s", seat.name, error)
                await asyncio.sleep(self._busy)
                self._busy = min(MOST_BUSY, 2 * self._busy)
        else:
            self._busy = BUSY
        if seat.rest:
            await asyncio.sleep(0)  # others have their turn between two portions

    def _next(self, seat: _Seat) -> Dirty:
        """What the decider is asked about now: what changed, or a portion of it where that is much."""
        dirty, seat.dirty = seat.dirty, Dirty()
        parts = portions.cut(self._store, dirty)
        if parts:
            if dirty.everything:
                seat.rest.clear()
            seat.rest.extend(parts)
            dirty = Dirty()
        if seat.rest:
            _merge(dirty, seat.rest.popleft().dirty(self._store))
        return dirty

    async def _sleep(self, getter: asyncio.Future[Commit]) -> asyncio.Future[Commit]:
        wake_at = min((seat.wake_at for seat in self._seats), default=math.inf)
        timeout = None if wake_at == math.inf else max(0.0, wake_at - self._clock.mono())
        poked = asyncio.ensure_future(self._poke.wait())
        try:
            await asyncio.wait((getter, poked), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            poked.cancel()
        if self._poke.is_set():
            self._poke.clear()
            for seat in self._seats:
                seat.wake_at = min(seat.wake_at, self._clock.mono())
        return getter

    def _is_due(self, seat: _Seat) -> bool:
        return bool(seat.dirty or seat.rest) or seat.wake_at <= self._clock.mono()

    def _mark(self, commit: Commit) -> None:
        touched = Dirty(everything=commit.reset)
        for event in commit.events:
            mark(touched, event)
        of_nodes = Dirty(nodes=touched.nodes, everything=touched.everything)
        for seat in self._seats:
            _merge(seat.dirty, of_nodes if seat.name in NODES_ONLY else touched)


def _merge(into: Dirty, other: Dirty) -> None:
    into.services |= other.services
    into.nodes |= other.nodes
    into.tasks |= other.tasks
    into.networks |= other.networks
    into.stacks |= other.stacks
    into.everything = into.everything or other.everything
    into.due = into.due or other.due
