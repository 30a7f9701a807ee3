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
AGAIN_FIRST = 0.1  # seconds before the first try to come back; doubled up to AGAIN_MOST
AGAIN_MOST = 2.0
OVERLAP = 1_000_000_000  # nanoseconds: the first stream begins that much before it was asked for


class EventStream:
    """``on_event`` gets events in the engine's order, none twice; ``on_open`` is called when a stream has begun, after
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
        self._last = wall() - OVERLAP
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
        seconds, nanoseconds = divmod(self._last, 10**9)
        self._stream = self._engine.client().events(
            since=f"{seconds}.{nanoseconds:09d}", filters=self._filters, decode=True
        )
        if self._ended.is_set():  # closed while it was being opened
            self._stream.close()
            return False
        self._hand_over(self._on_open)
        for raw in self._stream:
            event = read_event(raw)
            if event is not None and event.at > self._last:
                self._last = event.at
                self._hand_over(self._on_event, event)
        return True

    def _hand_over(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, *arguments)


def read_event(raw: dict[str, Any]) -> Event | None:
    """An event that concerns a container's life, or None."""
    action, _, detail = str(raw.get("Action", "")).partition(": ")
    actor = raw.get("Actor") or {}
    if action not in ACTIONS or not actor.get("ID"):
        return None
    if action == "die":
        detail = str((actor.get("Attributes") or {}).get("exitCode", ""))
    return Event(str(actor["ID"]), action, detail, int(raw.get("timeNano") or 0))
