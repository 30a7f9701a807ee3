# SPDX-License-Identifier: Apache-2.0
"""What the leader does for logs: tells each node which of its logs are wanted, and gives what comes to who asked.

Nothing is kept: a reader that does not take its lines makes their nodes wait, see ``manager.log_feed``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

from queenright.lib.tasks import Background
from queenright.manager import texts
from queenright.manager.log_feed import FeedClosedError
from queenright.manager.log_reading import MOST_AT_ONCE, Reading
from queenright.manager.ports import Clock
from queenright.model.errors import InvalidArgument, NotLeading, PermissionDenied, Unavailable
from queenright.model.logs import LogOptions, LogPublication, LogRead, LogReadRequest, LogSubscription, WantedLog
from queenright.model.objects import Node, Service, Task
from queenright.model.states import NodeState
from queenright.spec.cluster import MANAGER
from queenright.store.store import Commit, Store

log = logging.getLogger(__name__)

MOST_READERS = 256
MOST_IN_MESSAGE = 1000  # tasks
SECOND = 1_000_000_000
AFTER_UNTIL = 5.0  # seconds for the last lines of a follower with an end
STOPPING = "the manager is stopping"


class _Listener:
    """A node that is told what is wanted: at most one message for each subscription waits."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._wanted: dict[str, tuple[LogOptions, list[WantedLog]]] = {}
        self._told: set[str] = set()
        self._over: list[str] = []
        self._news = asyncio.Event()
        self._closed = ""

    def want(self, reading_id: str, options: LogOptions, wanted: Iterable[WantedLog]) -> None:
        self._wanted.setdefault(reading_id, (options, []))[1].extend(wanted)
        self._news.set()

    def over(self, reading_id: str) -> None:
        self._wanted.pop(reading_id, None)
        if reading_id in self._told:
            self._told.discard(reading_id)
            self._over.append(reading_id)
            self._news.set()

    def close(self, reason: str) -> None:
        self._closed = reason
        self._news.set()

    async def messages(self) -> AsyncIterator[LogSubscription]:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._closed:
                raise Unavailable(f"session ended: {self._closed}")
            while self._over:
                yield LogSubscription(id=self._over.pop(0), over=True)
            while self._wanted:  # a reader may leave at any yield: what is not yet told is then not told at all
                reading_id = next(iter(self._wanted))
                options, tasks = self._wanted.pop(reading_id)
                self._told.add(reading_id)
                for start in range(0, len(tasks), MOST_IN_MESSAGE):
                    part = tuple(tasks[start : start + MOST_IN_MESSAGE])
                    yield LogSubscription(id=reading_id, options=options, wanted=part)


class LogBroker:
    """Runs while this manager leads: from :meth:`start` to :meth:`stop`, once for each leadership.

    ``ids`` names subscriptions, ``redirect`` gives (node id, address) of the manager that leads, if another does.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Callable[[], str],
        *,
        redirect: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._redirect = redirect
        self._running = False
        self._listeners: dict[str, _Listener] = {}
        self._readings: dict[str, Reading] = {}
        self._of_service: dict[str, set[Reading]] = {}
        self._of_task: dict[str, set[Reading]] = {}
        self._background = Background(self._failed)

    # -- life

    def start(self) -> None:
        """Begin to serve nodes and readers."""
        if self._running:
            raise RuntimeError("the log broker runs already: stop it first")
        self._running = True
        self._background.start(self._follow(), "logs-follow")

    async def stop(self, reason: str = STOPPING) -> None:
        """End all: readers ask the next leader."""
        self._running = False
        for reading in list(self._readings.values()):
            reading.feed.end(NotLeading(reason))
        for listener in self._listeners.values():
            listener.close(reason)
        self._listeners.clear()
        await self._background.stop()

    @property
    def running(self) -> bool:
        return self._running

    def counts(self) -> tuple[int, int]:
        """(nodes that listen, readers)."""
        return len(self._listeners), len(self._readings)

    def _failed(self, name: str, error: BaseException) -> None:
        """A defect (which was logged): what was followed is not known any more, so all is begun anew."""
        for reading in list(self._readings.values()):
            reading.again()
        if self._running:
            self._background.start(self._follow(), name)

    def _require_leading(self) -> None:
        if not self._running:
            leader = self._redirect()
            raise NotLeading(texts.NOT_LEADER if leader else texts.NO_LEADER, leader)

    # -- nodes

    async def listen(self, node_id: str, session_id: str) -> AsyncGenerator[LogSubscription, None]:
        """What is wanted of a node, as long as its session (which the caller has checked) lasts."""
        self._require_leading()
        earlier = self._listeners.get(node_id)
        if earlier is not None:
            earlier.close("a newer session of this node took its place")
        listener = self._listeners[node_id] = _Listener(session_id)
        try:
            for reading in list(self._readings.values()):
                if earlier is not None:
                    reading.broke(node_id)
                reading.heard(node_id)
            async for subscription in listener.messages():
                yield subscription
        finally:
            if self._listeners.get(node_id) is listener:
                del self._listeners[node_id]
                for reading in list(self._readings.values()):
                    reading.broke(node_id)

    async def publish(
        self, node_id: str, session_id: str, subscription_id: str, given: AsyncIterator[LogPublication]
    ) -> None:
        """Take the lines of a subscription from a node; returns when they end, or are wanted no more."""
        self._require_leading()
        listener = self._listeners.get(node_id)
        if listener is None or listener.session_id != session_id:
            raise InvalidArgument("session invalid")
        reading = self._readings.get(subscription_id)
        if reading is None:
            return
        if node_id not in reading.nodes:
            raise PermissionDenied(f"subscription {subscription_id} wants nothing of this node")
        reading.opened(node_id)
        try:
            async for part in given:
                if not reading.owns(node_id, part.task_id):
                    raise PermissionDenied(f"task {part.task_id} is not on this node, or its log is not wanted")
                if self._listeners.get(node_id) is not listener:
                    raise Unavailable("session ended: the node is down, or has a newer session")
                if len(part.lines) > MOST_AT_ONCE:
                    raise InvalidArgument(f"more than {MOST_AT_ONCE} bytes of lines in one message")
                await reading.take(node_id, part)
                if reading.feed.over:
                    return
        except FeedClosedError:
            return
        finally:
            reading.closed(node_id)

    # -- readers

    async def read(self, request: LogReadRequest, reader_id: str = "") -> AsyncGenerator[LogRead, None]:
        """First an empty part, then all that comes. Raises NotLeading, at any time. ``reader_id`` is the other manager
        that asks; it reads as long as it is one.
        """
        self._require_leading()
        if len(self._readings) >= MOST_READERS:
            raise Unavailable(f"{MOST_READERS} readers of logs are there already; end some of them")
        reading = Reading(self._ids(), request, self._store, self._listeners.get, reader_id)
        self._readings[reading.id] = reading
        for index, keys in ((self._of_service, request.service_ids), (self._of_task, request.task_ids)):
            for key in keys:
                index.setdefault(key, set()).add(reading)
        try:
            yield LogRead()
            self._limit(reading)
            await reading.begin()
            while (part := await reading.feed.get()) is not None:
                yield part
        finally:
            self._forget(reading)

    def _limit(self, reading: Reading) -> None:
        """A follower with an end ends then, whatever comes."""
        options = reading.request.options
        if options.follow and options.until:
            left = max(0.0, (options.until - self._clock.wall()) / SECOND)
            reading.later(left + AFTER_UNTIL, reading.feed.end)

    def _forget(self, reading: Reading) -> None:
        reading.close()
        self._readings.pop(reading.id, None)
        request = reading.request
        for index, keys in ((self._of_service, request.service_ids), (self._of_task, request.task_ids)):
            for key in keys:
                held = index.get(key, set())
                held.discard(reading)
                if not held:
                    index.pop(key, None)
        for node_id in reading.nodes:
            listener = self._listeners.get(node_id)
            if listener is not None:
                listener.over(reading.id)

    # -- what the log tells

    async def _follow(self) -> None:
        with self._store.watch() as subscription:
            while True:
                self._take(await subscription.next())

    def _take(self, commit: Commit) -> None:
        if commit.reset:
            for reading in list(self._readings.values()):
                reading.again()
        for event in commit.events:
            value = event.object
            if isinstance(value, Task):
                if not self._readings:
                    continue
                self._task_moved(value, gone=event.after is None)
            elif isinstance(value, Service) and event.after is None:
                for reading in list(self._of_service.get(value.id, ())):
                    reading.settle()
            elif isinstance(value, Node):
                self._node_moved(value, gone=event.after is None)

    def _task_moved(self, task: Task, *, gone: bool) -> None:
        readings = self._of_service.get(task.service_id, set()) | self._of_task.get(task.id, set())
        for reading in readings:
            if not gone and reading.request.options.follow:
                reading.consider(task)
            if gone:
                reading.forget(task.id)
            if gone or task.state.terminal:
                reading.settle()

    def _node_moved(self, node: Node, *, gone: bool) -> None:
        readings = list(self._readings.values())
        if gone or node.role != MANAGER:
            for reading in readings:
                if reading.reader_id == node.id:
                    reading.feed.end(PermissionDenied(f"node {node.id} is no manager any more"))
        if gone or node.status.state == NodeState.DOWN:
            listener = self._listeners.pop(node.id, None)
            if listener is not None:
                listener.close("the node was removed from swarm" if gone else "the node is down")
            for reading in readings:
                reading.lost(node.id)
