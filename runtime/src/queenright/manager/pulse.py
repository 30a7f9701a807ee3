# SPDX-License-Identifier: Apache-2.0
"""The leader's hand on every node's pulse: pings go out, what comes back is noted, and a pause of its own is forgiven.

What it means is decided elsewhere (``decide.liveness``); this knows when each node was last heard.
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import logging
from collections.abc import Callable, Mapping

from queenright.decide import liveness
from queenright.decide.base import SECOND
from queenright.decide.liveness import Beat, Tuning
from queenright.manager.ports import Clock
from queenright.store.store import Store

log = logging.getLogger(__name__)

TICK = 0.1  # seconds between two looks at the clock
STANDSTILL = 1.0  # seconds without one, at most, after which no node is to blame for being late


class Pulse:
    """One for each dispatcher; :meth:`begin` forgets what an earlier leadership knew.

    ``ping`` asks a node for a sign of life, on its session stream. ``on_beat`` is told when a node may be judged
    earlier than was known.
    """

    def __init__(
        self, store: Store, clock: Clock, ping: Callable[[str], None], on_beat: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._ping = ping
        self._on_beat = on_beat
        self._beats: dict[str, Beat] = {}
        self._due: list[tuple[float, str]] = []  # a heap: when to ping whom
        self._scheduled: set[str] = set()
        self._since = self._seen_at = clock.mono()

    def begin(self) -> None:
        """A leadership begins: every node has the time to find this manager."""
        self._beats, self._due, self._scheduled = {}, [], set()
        self._since = self._seen_at = self._clock.mono()

    @property
    def tuning(self) -> Tuning:
        return liveness.tuning(self._store.cluster, len(self._store.nodes))

    @property
    def since(self) -> float:
        """The monotonic time from which nodes that were not heard are waited for."""
        return self._since

    def beats(self) -> Mapping[str, Beat]:
        """What is known, by node. Ask for ``since`` after it."""
        self._notice_standstill()
        return self._beats

    # -- what nodes do

    def knocked(self, node_id: str) -> None:
        """The node asks for a session: it lives, whether it gets one or not."""
        now = self._clock.mono()
        held = self._beats.get(node_id)
        if held is None:
            self._beats[node_id] = Beat(heard=now, broken=now)
        else:
            self._beats[node_id] = dataclasses.replace(held, heard=now)

    def opened(self, node_id: str, pinged: bool) -> None:
        """Its session is open; ``pinged``: it answers pings there."""
        now = self._clock.mono()
        self._beats[node_id] = Beat(heard=now, pinged=pinged)
        if pinged and node_id not in self._scheduled:
            self._scheduled.add(node_id)
            heapq.heappush(self._due, (now + self.tuning.ping, node_id))
        self._on_beat()

    def heard(self, node_id: str) -> None:
        """A sign of life on its session."""
        held = self._beats.get(node_id)
        if held is not None:
            self._beats[node_id] = dataclasses.replace(held, heard=self._clock.mono())

    def broke(self, node_id: str) -> None:
        """Its session stream is no more."""
        held = self._beats.get(node_id)
        if held is not None and held.broken is None:
            self._beats[node_id] = dataclasses.replace(held, broken=self._clock.mono())
            self._on_beat()

    def restarting(self, node_id: str) -> int:
        """It goes away for a moment; gives its grace in nanoseconds."""
        grace = self.tuning.restart
        held = self._beats.get(node_id)
        if held is not None:
            self._beats[node_id] = dataclasses.replace(held, restarting_until=self._clock.mono() + grace)
            self._on_beat()
        return round(grace * SECOND)

    def forget(self, node_id: str) -> None:
        """It is down, or gone: the next that is heard of it is a new session."""
        self._beats.pop(node_id, None)

    # -- time

    async def run(self) -> None:
        """Ping, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self.tick()

    def tick(self) -> None:
        """Ping those whose turn it is, and those that are suspect."""
        self._notice_standstill()
        now, tuning = self._clock.mono(), self.tuning
        while self._due and self._due[0][0] <= now:
            due, node_id = heapq.heappop(self._due)
            beat = self._beats.get(node_id)
            if beat is None or not beat.pinged or beat.broken is not None:
                self._scheduled.discard(node_id)
                continue
            if liveness.judge(beat, now, tuning).probe:
                self._beats[node_id] = dataclasses.replace(beat, probed=now)
            self._ping(node_id)
            again = due + tuning.ping if due + tuning.ping > now else now + tuning.ping
            suspect_at = beat.heard + tuning.silence  # then it is not kept waiting for its turn
            heapq.heappush(self._due, (min(again, suspect_at) if now < suspect_at else again, node_id))

    def _standstill(self) -> float:
        """Seconds without a look after which nodes are forgiven: so few that none goes down without a probe."""
        tuning = self.tuning
        return min(STANDSTILL, tuning.silence / 4, tuning.probe - 2 * TICK)

    def _notice_standstill(self) -> None:
        """While this process stood still nothing could be heard, so that time counts against nobody. Only that time: a
        node that is dead is down in the end, however often its manager stands still.

        Asked wherever nodes are judged, for after a standstill nobody knows which timer fires first.
        """
        now = self._clock.mono()
        lag, self._seen_at = now - self._seen_at, now
        if lag <= TICK + self._standstill():
            return
        log.warning("this manager stood still for %.1f s; that time counts against no node", lag)
        self._since = min(now, self._since + lag)
        for node_id, beat in self._beats.items():
            self._beats[node_id] = dataclasses.replace(
                beat,
                heard=min(now, beat.heard + lag),
                broken=None if beat.broken is None else min(now, beat.broken + lag),
                probed=None if beat.probed is None else min(now, beat.probed + lag),
            )
