# SPDX-License-Identifier: Apache-2.0
"""One reader of logs, as the leader keeps it: which tasks are its, and how far each of their nodes is with them."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from collections.abc import Callable, Iterable
from typing import Protocol

from queenright.manager.log_feed import Feed
from queenright.model.logs import ALL, LogOptions, LogPublication, LogRead, LogReadRequest, WantedLog
from queenright.model.objects import Task
from queenright.model.states import NodeState, TaskState
from queenright.store.store import Store

GRACE = 6.0  # seconds for a node that is not down to (re)open its session
ANSWER = 15.0  # seconds for a node that was asked to begin
AT_ONCE = 500  # tasks that are asked for before others get their turn on the loop
MOST_AT_ONCE = 1 << 20  # bytes of lines in one message of a node

NOT_AVAILABLE = "node {} is not available"
DISCONNECTED = "node {} disconnected unexpectedly"
SILENT = "node {} was asked for its logs and does not answer"
NOT_SCHEDULED = "task {} has not been scheduled"


class Phase(enum.Enum):
    """Where a task's log is: its node is not there yet, was asked, gave all, or did not give all (which was said)."""

    WAITING = enum.auto()
    ASKED = enum.auto()
    DONE = enum.auto()
    MISSED = enum.auto()


class Ear(Protocol):
    """The way to a node."""

    def want(self, reading_id: str, options: LogOptions, wanted: Iterable[WantedLog]) -> None: ...


@dataclasses.dataclass(slots=True)
class _Place:
    """A task of this reading. ``begun``: its node was asked before, in this reading."""

    task_id: str
    node_id: str
    service_id: str
    wanted: WantedLog
    phase: Phase = Phase.WAITING
    begun: bool = False

    @property
    def open(self) -> bool:
        return self.phase in (Phase.WAITING, Phase.ASKED)


class Reading:
    """``ears`` finds the way to a node, ``reader_id`` is the other manager that reads, if one does. Belongs to the
    loop's thread, and ends when its ``feed`` does.
    """

    def __init__(
        self,
        reading_id: str,
        request: LogReadRequest,
        store: Store,
        ears: Callable[[str], Ear | None],
        reader_id: str = "",
    ) -> None:
        self.id = reading_id
        self.reader_id = reader_id
        self.request = request
        self.feed = Feed()
        self._store = store
        self._ears = ears
        self._positions = {position.task_id: position for position in request.positions}
        self._without = frozenset(request.without)
        self._places: dict[str, _Place] = {}
        self._by_node: dict[str, dict[str, _Place]] = {}
        self._giving: set[str] = set()  # nodes that have begun to give
        self._timers: set[asyncio.TimerHandle] = set()
        self._open = 0  # places of which more may come
        self._joining = False  # tasks that come now are new ones

    # -- life

    async def begin(self) -> None:
        """Ask for all that is there, some at a time."""
        store = self._store
        tasks = [task for service_id in self.request.service_ids for task in store.tasks.by("service", service_id)]
        tasks += [task for task_id in self.request.task_ids if (task := store.tasks.get(task_id)) is not None]
        for start in range(0, len(tasks), AT_ONCE):
            by_node: dict[str, list[_Place]] = {}
            for task in tasks[start : start + AT_ONCE]:
                place = self._place(task)
                if place is not None:
                    by_node.setdefault(place.node_id, []).append(place)
            for node_id, places in by_node.items():
                self._seek(node_id, places)
            await asyncio.sleep(0)
        self._joining = True
        self.settle()

    def close(self) -> None:
        """The reader went away, or has all."""
        self.feed.drop()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    @property
    def nodes(self) -> list[str]:
        """Nodes that may have been asked."""
        return list(self._by_node)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it after that time, if this still lasts then."""

        def fire() -> None:
            self._timers.discard(handle)
            call()

        handle: asyncio.TimerHandle = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(handle)

    # -- tasks

    def consider(self, task: Task) -> None:
        """A task of this reading came, or has changed: ask for its log once there is one."""
        place = self._place(task)
        if place is not None:
            self._seek(task.node_id, [place])

    def _place(self, task: Task) -> _Place | None:
        """The task as one of this reading, if it has become one just now."""
        position = self._positions.get(task.id)
        if task.id in self._places or (position is not None and position.done):
            return None
        if task.state < TaskState.RUNNING:
            if not self.request.options.follow and task.id in self.request.task_ids and not task.node_id:
                self._missing(NOT_SCHEDULED.format(task.id), LogRead(task_id=task.id, service_id=task.service_id))
            return None
        if not task.node_id or (task.state.terminal and not task.status.container_id):
            return None  # it never had a container
        if task.node_id in self._without:
            return None
        place = _Place(task.id, task.node_id, task.service_id, self._wanted(task))
        self._places[task.id] = place
        self._open += 1
        self._by_node.setdefault(task.node_id, {})[task.id] = place
        return place

    def _wanted(self, task: Task) -> WantedLog:
        """From where to give it. Whatever is new since the reader first asked is given whole."""
        options, request = self.request.options, self.request
        position = self._positions.get(task.id)
        if position is not None:
            return WantedLog(task.id, max(options.since, position.since), ALL)
        if self._joining or options.tail < 0:
            return WantedLog(task.id, options.since, ALL)
        if request.began:
            return WantedLog(task.id, max(options.since, request.began), ALL)
        return WantedLog(task.id, options.since, options.tail)

    # -- nodes

    def _seek(self, node_id: str, places: list[_Place]) -> None:
        """Ask a node, wait for it, or say that it is missing."""
        ear = self._ears(node_id)
        if ear is not None:
            ear.want(self.id, self.request.options, [place.wanted for place in places])
            for place in places:
                place.begun = True
                self._move(place, Phase.ASKED)
            self.later(ANSWER, lambda: self._unanswered(node_id))
        elif self._is_down(node_id):
            self._miss(places, NOT_AVAILABLE)
        else:
            self.later(GRACE, lambda: self._overdue(node_id))

    def _move(self, place: _Place, phase: Phase) -> None:
        self._open -= place.open
        place.phase = phase
        self._open += place.open

    def _is_down(self, node_id: str) -> bool:
        node = self._store.nodes.get(node_id)
        return node is None or node.status.state == NodeState.DOWN

    def heard(self, node_id: str) -> None:
        """The node has a session (again)."""
        held = (Phase.WAITING, Phase.MISSED) if self.request.options.follow else (Phase.WAITING,)
        places = [place for place in self._by_node.get(node_id, {}).values() if place.phase in held]
        if any(place.begun for place in places):
            self.again(node_id)
        elif places:
            self._seek(node_id, places)

    def broke(self, node_id: str) -> None:
        """The way to the node broke before it gave all: it may be back in a moment."""
        places = [place for place in self._by_node.get(node_id, {}).values() if place.phase is Phase.ASKED]
        for place in places:
            self._move(place, Phase.WAITING)
        if not places or self.feed.over:
            return
        if self._is_down(node_id):
            self._miss(places, DISCONNECTED)
        elif self._ears(node_id) is not None:
            self.again(node_id)
        else:
            self.later(GRACE, lambda: self._overdue(node_id))

    def lost(self, node_id: str) -> None:
        """The node is down, or was removed."""
        self._overdue(node_id, Phase.WAITING, Phase.ASKED)

    def _overdue(self, node_id: str, *phases: Phase) -> None:
        phases = phases or (Phase.WAITING,)
        places = [place for place in self._by_node.get(node_id, {}).values() if place.phase in phases]
        begun = any(place.begun for place in places)
        self._miss(places, DISCONNECTED if begun else NOT_AVAILABLE)

    def _unanswered(self, node_id: str) -> None:
        if node_id not in self._giving:
            asked = [place for place in self._by_node.get(node_id, {}).values() if place.phase is Phase.ASKED]
            self._miss(asked, SILENT)

    def _miss(self, places: list[_Place], reason: str) -> None:
        """Give these tasks up, for now or for good; the reader is told once."""
        for place in places:
            self._move(place, Phase.MISSED)
        if places:
            self._missing(reason.format(places[0].node_id), _of(places[0]))
            self.settle()

    def _missing(self, reason: str, of: LogRead) -> None:
        self.feed.note(dataclasses.replace(of, missing=reason))

    def again(self, node_id: str = "") -> None:
        """The reader knows how far it is: it shall ask anew, since the way to a node broke, or all did."""
        self.feed.note(LogRead(node_id=node_id, again=True))
        self.feed.end()

    # -- what nodes give

    def opened(self, node_id: str) -> None:
        """The node begins to give; a follower that has given it up meanwhile takes it up again."""
        self._giving.add(node_id)
        places = self._by_node.get(node_id, {}).values()
        if self.request.options.follow and any(place.phase is Phase.MISSED for place in places):
            self.again(node_id)

    def closed(self, node_id: str) -> None:
        """The node gives no more."""
        self._giving.discard(node_id)
        self.broke(node_id)

    def owns(self, node_id: str, task_id: str) -> bool:
        """Whether that node was asked for that task."""
        return task_id in self._by_node.get(node_id, {})

    async def take(self, node_id: str, given: LogPublication) -> None:
        """Lines of a task that the node ``owns``, or their end. Waits for the reader; raises FeedClosedError."""
        place = self._by_node[node_id][given.task_id]
        if place.phase is not Phase.ASKED:
            return  # it was given up meanwhile
        if given.lines:
            await self.feed.put(dataclasses.replace(_of(place), lines=given.lines))
        if given.done and place.phase is Phase.ASKED:
            self._move(place, Phase.DONE)
            self.feed.note(dataclasses.replace(_of(place), done=True, missing=given.error))
            if given.task_id not in self._store.tasks:
                self.forget(given.task_id)
            self.settle()

    def forget(self, task_id: str) -> None:
        """The task's record is gone; what its node still gives of it is taken."""
        place = self._places.get(task_id)
        if place is not None and not place.open:
            del self._places[task_id], self._by_node[place.node_id][task_id]

    # -- the end

    def settle(self) -> None:
        """End if nothing more can come."""
        if not self._joining or self._open:
            return
        if not self.request.options.follow or not self._may_grow():
            self.feed.end()

    def _may_grow(self) -> bool:
        """Whether a follower may yet get something."""
        store = self._store
        if any(service_id in store.services for service_id in self.request.service_ids):
            return True
        tasks = (store.tasks.get(task_id) for task_id in self.request.task_ids)
        return any(task is not None and not task.state.terminal for task in tasks)


def _of(place: _Place) -> LogRead:
    return LogRead(task_id=place.task_id, node_id=place.node_id, service_id=place.service_id)
