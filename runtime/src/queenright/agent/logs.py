# SPDX-License-Identifier: Apache-2.0
"""Gives the logs of this node's tasks to the leader, as long as it wants them.

Beside each session runs one stream that says what is wanted. For each subscription one stream goes the other way, over
a connection of their own: a reader that takes nothing must not make heartbeats wait. It makes those who read wait, down
to the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence

from queenright.agent.link import LinkError
from queenright.agent.log_ports import LogConnector, LogGoneError, LogLink, LogPipe, LogSource, LogTasks
from queenright.agent.ports import Clock, ExecutorError
from queenright.lib.tasks import Background
from queenright.model.logs import LogLine, LogOptions, LogPublication, LogSubscription, WantedLog
from queenright.wire.logs import pack_lines

log = logging.getLogger(__name__)

RATE = 10 << 20  # bytes a second of one task's log
BURST = RATE // 10
MOST_BYTES = 32 * 1024  # of text in one message, but for a single line that is longer
AT_ONCE = 32  # logs that are read at the same time, of those that are not followed
AGAIN = 1.0  # seconds until it is asked anew what is wanted, and offered anew what was not taken
AGAIN_MOST = 8.0  # the latter grows to this
SELDOM = 60.0  # the same, of a manager of an older version that does not know of logs
SECOND = 1_000_000_000
AFTER_UNTIL = 1.0


class Bucket:
    """Holds a log back that comes faster than ``rate`` bytes a second, ``burst`` bytes apart. ``now`` in seconds."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst / rate
        self._paid_until = 0.0

    def wait(self, size: int, now: float) -> float:
        """Seconds to wait before that many bytes more."""
        self._paid_until = max(self._paid_until, now - self._burst) + size / self._rate
        return max(0.0, self._paid_until - now)


class LogPublisher:
    """Belongs to the loop's thread. Runs beside each session, see :meth:`run`."""

    def __init__(self, source: LogSource, tasks: LogTasks, connector: LogConnector, clock: Clock) -> None:
        self._source = source
        self._tasks = tasks
        self._connector = connector
        self._clock = clock

    async def run(self, link: LogLink, session_id: str, manager: tuple[str, str]) -> None:
        """Serve what the ``manager`` (node id, ``host:port``) of a session wants, until cancelled. That logs cannot be
        given is no reason to end a session.
        """
        while True:
            pause = AGAIN
            giving = _Giving(self._source, self._tasks, self._connector, self._clock, session_id, manager)
            try:
                async for subscription in link.log_subscriptions(session_id):
                    await giving.take(subscription)
            except LinkError as error:
                log.debug("the manager does not say which logs it wants: %s", error)
                pause = SELDOM if error.code == "Unimplemented" else AGAIN
            except Exception:
                log.exception("the logs of this node's tasks cannot be given")
            finally:
                await giving.stop()
            await asyncio.sleep(pause)


class _Giving:
    """All subscriptions of one session. They share a connection, which is there while there are any."""

    def __init__(
        self,
        source: LogSource,
        tasks: LogTasks,
        connector: LogConnector,
        clock: Clock,
        session_id: str,
        manager: tuple[str, str],
    ) -> None:
        self._source = source
        self._tasks = tasks
        self._connector = connector
        self._clock = clock
        self._session_id = session_id
        self._manager = manager
        self._link: LogLink | None = None
        self._subscriptions: dict[str, _Subscription] = {}

    async def take(self, told: LogSubscription) -> None:
        if told.over:
            await self._end(told.id)
            return
        subscription = self._subscriptions.get(told.id)
        if subscription is None:
            if self._link is None:
                self._link = self._connector.connect(*self._manager)
            ways = functools.partial(self._link.publish_logs, self._session_id, told.id)
            subscription = _Subscription(ways, self._source, self._tasks, self._clock)
            self._subscriptions[told.id] = subscription
        subscription.add(told.options, told.wanted)

    async def _end(self, subscription_id: str) -> None:
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is not None:
            await subscription.stop()
        if not self._subscriptions and self._link is not None:
            link, self._link = self._link, None
            await link.close()

    async def stop(self) -> None:
        for subscription_id in list(self._subscriptions):
            await self._end(subscription_id)


class _Subscription:
    """The tasks of one subscription, each read on its own, taking turns with the one way to the leader. ``ways`` makes
    such a way.
    """

    def __init__(self, ways: Callable[[], LogPipe], source: LogSource, tasks: LogTasks, clock: Clock) -> None:
        self._ways = ways
        self._pipe = ways()
        self._source = source
        self._tasks = tasks
        self._clock = clock
        self._turn = asyncio.Lock()
        self._few = asyncio.Semaphore(AT_ONCE)
        self._background = Background()
        self._opening = self._background.start(self._open(), "log-open")

    def add(self, options: LogOptions, wanted: Sequence[WantedLog]) -> None:
        for item in wanted:
            own = dataclasses.replace(options, since=item.since, tail=item.tail)
            self._background.start(self._give(item.task_id, own), f"log-{item.task_id}")

    async def stop(self) -> None:
        self._pipe.close()
        await self._background.stop()

    async def _open(self) -> None:
        """Until the leader takes it, or wants it no more."""
        pause = AGAIN
        while True:
            try:
                await self._pipe.open()
                return
            except LinkError as error:
                log.debug("the leader does not take the logs that it wanted, trying again: %s", error)
            self._pipe.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_MOST)
            self._pipe = self._ways()

    async def _give(self, task_id: str, options: LogOptions) -> None:
        error = ""
        await asyncio.shield(self._opening)
        try:
            if options.follow:
                await self._read_until(task_id, options)
            else:
                async with self._few:
                    await self._read(task_id, options)
        except LogGoneError as gone:
            place = self._tasks.log_place(task_id)
            if place is not None and not place.ended:
                error = f"task {task_id}: {gone}"
        except ExecutorError as failed:
            error = f"task {task_id}: {failed}"
        except LinkError:
            return
        except Exception:
            log.exception("the log of task %s cannot be given", task_id)
            error = f"task {task_id}: its log cannot be given, see what the daemon of its node says"
        with contextlib.suppress(LinkError):
            await self._write(LogPublication(task_id=task_id, done=True, error=error))

    async def _read_until(self, task_id: str, options: LogOptions) -> None:
        """A log that is followed to a certain time ends then, though no line may come that is younger."""
        seconds = None
        if options.until:
            seconds = max(0.0, (options.until - self._clock.wall()) / SECOND) + AFTER_UNTIL
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await self._read(task_id, options)
        except TimeoutError:
            if not limit.expired():
                raise

    async def _read(self, task_id: str, options: LogOptions) -> None:
        place = self._tasks.log_place(task_id)
        if place is None:
            return  # removed with its log, just now
        bucket, loop = Bucket(), asyncio.get_running_loop()
        async with contextlib.aclosing(self._source.read(place.container_id, place.tty, options)) as chunks:
            async for lines in chunks:
                for part in _parts(lines):
                    data = pack_lines(part)
                    pause = bucket.wait(len(data), loop.time())
                    if pause:
                        await asyncio.sleep(pause)
                    await self._write(LogPublication(task_id=task_id, lines=data))

    async def _write(self, given: LogPublication) -> None:
        async with self._turn:
            await self._pipe.write(given)


def _parts(lines: Sequence[LogLine]) -> list[Sequence[LogLine]]:
    """The lines in messages that are not too long."""
    parts: list[Sequence[LogLine]] = []
    start = size = 0
    for number, line in enumerate(lines):
        if size and size + len(line.text) > MOST_BYTES:
            parts.append(lines[start:number])
            start, size = number, 0
        size += len(line.text)
    return [*parts, lines[start:]]
