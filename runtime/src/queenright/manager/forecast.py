# SPDX-License-Identifier: Apache-2.0
"""What a change would do to tasks, before it is made: the deciders themselves run on a scratch store, with agents that
start everything in a second and stop it at once, in a time of their own.

Only what the change touches is looked at; the rest of the swarm stands still meanwhile. So the forecast of a service
costs what the service is large, however large the swarm is. Pure: the store is read, nothing is written.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from queenright.decide.base import SECOND, Dirty, Now, next_wake
from queenright.decide.orchestrate import DECIDERS, mark
from queenright.manager import portions
from queenright.manager.forecast_count import ServiceForecast
from queenright.model.changes import Batch, Change, Delete, Update
from queenright.model.objects import Node, Service, Stack, Task
from queenright.model.stack import StackService
from queenright.model.states import NodeState, TaskState
from queenright.store.scratch import Scratch
from queenright.store.store import Store

STARTS = 1.0  # seconds that an agent takes to start a task, and a job to run to its end
MOST_SECONDS = 86_400.0  # of the forecast's own time
MOST_QUESTIONS = 6_000  # to deciders
LOOKED_AT = frozenset({"service", "node", "task", "network", "stack"})  # kinds of objects that matter to tasks
PORTION = 100  # changes that are taken in one step


class Forecast:
    """One forecast. Use up :meth:`steps`, with pauses if it pleases, then ask for :meth:`answer`."""

    def __init__(self, store: Store, changes: Sequence[Change], wall: int) -> None:
        """``wall``: the present time in nanoseconds."""
        touched = touched_services(store, changes)
        self._view = Scratch(store, touched.__contains__, guarded=False)
        self._services = {key: ServiceForecast(store, key) for key in sorted(touched)}
        self._changes = changes
        self._wall, self._begun = wall, wall
        self._seats = {name: Dirty() for name, _ in DECIDERS}
        self._rest: dict[str, deque[portions.Portion]] = {name: deque() for name, _ in DECIDERS}  # of what is much
        self._wakes: dict[str, float] = {}
        self._agenda: dict[str, None] = {}  # tasks that their agents look at
        self._due: dict[str, float] = {}  # tasks that are being started, or run to their end
        self._numbers = itertools.count(1)
        self.complete = True

    @property
    def _mono(self) -> float:
        return (self._wall - self._begun) / SECOND

    def answer(self) -> dict[str, Any]:
        """``services``: what becomes of each that would change; ``complete``: all of it was thought to its end."""
        found = [one.answer(self._view) for one in self._services.values() if one.moved(self._view)]
        return {"complete": self.complete, "services": sorted(found, key=lambda one: one["name"])}

    def steps(self) -> Iterator[None]:
        """Think it through, in steps of a few milliseconds."""
        for key in self._services:
            self._agenda.update((task.id, None) for task in self._view.tasks.by("service", key) if _unsettled(task))
        yield from self._take([_patient(change) for change in self._changes if _kind(change) in LOOKED_AT])
        questions = 0
        while True:
            acted = False
            for name, decide in DECIDERS:
                due = self._wakes.get(name, MOST_SECONDS) <= self._mono
                if not self._seats[name] and not self._rest[name] and not due:
                    continue
                dirty = self._portion(name)
                dirty.due = due
                yield  # the question before it may have taken long
                decision = decide(self._view, dirty, Now(self._wall, self._mono), self._id)
                self._wakes[name] = min(MOST_SECONDS, next_wake(self._wakes.get(name, MOST_SECONDS), decision))
                yield from self._take(decision.changes)
                acted, questions = acted or bool(decision.changes), questions + 1
            reports = self._act()
            yield from self._take(reports)
            if acted or reports or any(self._seats.values()) or any(self._rest.values()):
                if questions > MOST_QUESTIONS:
                    self.complete = False
                    return
            elif not self._move_on():
                return

    def _portion(self, name: str) -> Dirty:
        """What a decider is asked about now: what changed, or a portion of it where that is much."""
        dirty, self._seats[name] = self._seats[name], Dirty()
        rest = self._rest[name]
        parts = portions.cut(self._view, dirty)
        if parts:
            rest.extend(parts)
            dirty = Dirty()
        if rest and not dirty:
            dirty = rest.popleft().dirty(self._view)
        return dirty

    def _move_on(self) -> bool:
        """Let time pass until somebody has something to do; False if that is the end."""
        if not self._due and self._quiet() and not self._view.stacks.count("active", True):
            return False
        times = [time for time in (*self._wakes.values(), *self._due.values()) if time > self._mono]
        moment = min(times, default=MOST_SECONDS)
        if moment >= MOST_SECONDS:
            self.complete = self._quiet()
            return False
        self._wall = max(self._wall + 1, self._begun + round(moment * SECOND))
        self._agenda.update(dict.fromkeys(key for key, due in self._due.items() if due <= self._mono))
        return True

    def _quiet(self) -> bool:
        return not (self._view.services.count("rolling", True) or self._view.tasks.count("waiting", True))

    def _take(self, changes: Sequence[Change]) -> Iterator[None]:
        for start in range(0, len(changes), PORTION):
            self._view.apply(self._view.index + 1, Batch(self._wall, tuple(changes[start : start + PORTION])))
            yield
            self._notice()
            yield
        for one in self._services.values():
            one.settle()

    def _notice(self) -> None:
        """What was taken is news for all deciders, for the agents and for who counts."""
        for commit in self._view.drain():
            for event in commit.events:
                for dirty in self._seats.values():
                    mark(dirty, event)
                row = event.object
                if isinstance(row, Task):
                    self._agenda[row.id] = None
                    counted = self._services.get(row.service_id)
                    if counted is not None:
                        counted.take(event, self._mono)

    def _id(self) -> str:
        return f"forecast{next(self._numbers):017d}"

    # -- agents

    def _act(self) -> list[Update]:
        agenda, self._agenda = self._agenda, {}
        reports = []
        for key in agenda:
            task = self._view.tasks.get(key)
            state = self._next(task) if task is not None else None
            if task is not None and state is not None:
                reports.append(Update(_reported(task, state, self._wall)))
        return reports

    def _next(self, task: Task) -> TaskState | None:
        """What its agent reports of the task now."""
        node = self._view.nodes.get(task.node_id)
        if (
            task.state.terminal
            or task.state < TaskState.ASSIGNED
            or node is None
            or node.status.state != NodeState.READY
        ):
            self._due.pop(task.id, None)
            return None
        if task.desired_state >= TaskState.SHUTDOWN:
            self._due.pop(task.id, None)
            return TaskState.SHUTDOWN
        if task.state < TaskState.READY:
            return TaskState.READY
        if task.desired_state < TaskState.RUNNING:
            return None
        if task.state == TaskState.RUNNING and task.desired_state != TaskState.COMPLETE:
            return None
        due = self._due.setdefault(task.id, self._mono + STARTS)
        if due > self._mono:
            return None
        del self._due[task.id]
        return TaskState.COMPLETE if task.state == TaskState.RUNNING else TaskState.RUNNING


def touched_services(store: Store, changes: Sequence[Change]) -> set[str]:
    """The services whose tasks a change may concern."""
    found: set[str] = set()
    for change in changes:
        row = store.get(change.kind, change.id) if isinstance(change, Delete) else change.object
        if isinstance(row, Service):
            found.add(row.id)
        elif isinstance(row, Task):
            found.add(row.service_id)
        elif isinstance(row, Stack):
            held = (one for part in row.revision.services for one in store.services.by("name", _name(part)))
            found.update(one.id for one in held if one.awaits)
        elif isinstance(row, Node):
            found.update(task.service_id for task in store.tasks.by("node", row.id) if not task.state.terminal)
            found.update(task.service_id for task in store.tasks.by("pending", True))
            for mode in ("global", "global-job"):
                found.update(service.id for service in store.services.by("mode", mode))
    return found


def _patient(change: Change) -> Change:
    """A stack has all the time in the world: what it comes to is of interest, not that it would be taken back."""
    if isinstance(change, Delete) or not isinstance(change.object, Stack):
        return change
    return dataclasses.replace(change, object=dataclasses.replace(change.object, timeout=0))


def _name(part: StackService) -> str:
    return (part.spec.name or "").lower()


def _kind(change: Change) -> str:
    return change.kind if isinstance(change, Delete) else change.object.kind


def _unsettled(task: Task) -> bool:
    return not task.state.terminal and (task.state != TaskState.RUNNING or task.desired_state != TaskState.RUNNING)


def _reported(task: Task, state: TaskState, wall: int) -> Task:
    since = wall if state == TaskState.RUNNING else task.status.running_since
    status = dataclasses.replace(
        task.status, state=state, at=wall, applied_at=wall, running_since=since, message=state.text, err=""
    )
    return dataclasses.replace(task, status=status)
