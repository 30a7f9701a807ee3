# SPDX-License-Identifier: Apache-2.0
"""The engine's event stream: one thread that reads it, comes back when it breaks, and hands each event to the loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from docker.types.daemon import CancellableStream

from queenright.edge.docker.client import Engine, reason_of
from queenright.edge.docker.containers import Event

ACTIONS = ("die", "destroy", "oom", "health_status")
REMEMBERED = 1000
AGAIN_FIRST = 0.1  # seconds before the first try to come back; doubled up to AGAIN_MOST
AGAIN_MOST = 2.0
OVERLAP = 1_000_000_000  # nanoseconds: a stream begins that much before what is known; events may overtake each other


class EventStream:
    """``on_event`` gets each event once, as the engine sends them; ``on_open`` is called when a stream has begun, after
    which nothing is missed that the engine still remembers; ``on_lost`` with the reason when it ended or could not be
    opened. All run on the loop.
    """

    def __init__(
        self,
        engine: Engine,
        labels: list[str],
        *,
        wall: Callable[[], int],
        on_event: Callable[[Event], None],
        on_open: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._filters = {"type": ["container"], "event": list(ACTIONS), "label": labels}
        self._recent = Recent(wall())
        self._on_event = on_event
        self._on_open = on_open
        self._on_lost = on_lost
        self._ended = threading.Event()
        self._stream: CancellableStream | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="docker-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; a stream that is being read is shut down under it."""
        self._ended.set()
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(Exception):  # it may be ending by itself at this very moment
                stream.close()

    # -- the thread's side

    def _run(self) -> None:
        delay = AGAIN_FIRST
        while not self._ended.is_set():
            try:
                if self._read():
                    delay = AGAIN_FIRST
                    self._hand_over(self._on_lost, "its event stream ended")
            except Exception as error:  # any end of the stream is mended in the same way
                self._hand_over(self._on_lost, reason_of(error))
            self._engine.lost()
            self._ended.wait(delay)
            delay = min(AGAIN_MOST, 2 * delay)

    def _read(self) -> bool:
        """Read one stream to its end. Whether it ever began."""
        self._stream = self._engine.client().events(since=self._recent.since, filters=self._filters, decode=True)
        if self._ended.is_set():  # closed while it was being opened
            self._stream.close()
            return False
        self._hand_over(self._on_open)
        for raw in self._stream:
            event = read_event(raw)
            if event is not None and self._recent.is_new(event):
                self._hand_over(self._on_event, event)
        return True

    def _hand_over(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, *arguments)


class Recent:
    """Which events were had already. The engine stamps them before it sends them, so their order is not that of their
    times: what was had is remembered for a while.
    """

    def __init__(self, now: int) -> None:
        self._newest = now
        self._had: set[Event] = set()

    @property
    def since(self) -> str:
        """Where the next stream has to begin, as the engine wants it: seconds with nine decimals."""
        seconds, nanoseconds = divmod(self._newest - OVERLAP, 10**9)
        return f"{seconds}.{nanoseconds:09d}"

    def is_new(self, event: Event) -> bool:
        """Whether it is had for the first time; from now on it is had."""
        if event in self._had:
            return False
        self._had.add(event)
        self._newest = max(self._newest, event.at)
        if len(self._had) > REMEMBERED:
            self._had = {had for had in self._had if had.at >= self._newest - OVERLAP}
        return True


def read_event(raw: dict[str, Any]) -> Event | None:
    """An event that concerns a container's life, or None."""
    action, _, detail = str(raw.get("Action", "")).partition(": ")
    actor = raw.get("Actor") or {}
    if action not in ACTIONS or not actor.get("ID"):
        return None
    if action == "die":
        detail = str((actor.get("Attributes") or {}).get("exitCode", ""))
    return Event(str(actor["ID"]), action, detail, int(raw.get("timeNano") or 0))
