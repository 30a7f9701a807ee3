# SPDX-License-Identifier: Apache-2.0
"""A cluster in a nutshell: the real store and deciders, a virtual clock, and agents that only pretend."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from laws import invariants, kit
from laws.builders import SECOND, cluster, counter
from queenright.decide import nodes as liveness
from queenright.decide.base import Decision, Dirty, Now, next_wake
from queenright.decide.liveness import Beat
from queenright.decide.orchestrate import DECIDERS, mark
from queenright.manager import revisions
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.objects import Node, Service, Task, TaskStatus
from queenright.model.states import NodeState, TaskState
from queenright.spec.service import ServiceSpec
from queenright.store.store import Event, Store

START = 1_700_000_000 * SECOND
ROUNDS = 500
FOREVER = float("inf")


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """What containers of an image do: run for ``lives`` seconds, then end with ``code``; stop within ``stops``.

    ``pull`` is the error of a pull that fails; ``starts`` the seconds until the task is RUNNING.
    """

    lives: float = FOREVER
    code: int = 1
    stops: float = 0.0
    starts: float = 0.0
    pull: str = ""


class World:
    """``laws``: hold each question to each decider to the five laws (slow; for small scenes)."""

    def __init__(self, *members: Node, laws: bool = True, **swarm: object) -> None:
        self.store = Store()
        self.wall = START
        self.mono = 1000.0
        self.since = self.mono
        self.ids = counter("t")
        self.laws = laws
        self.behaviours: dict[str, Behaviour] = {}
        self.beats: dict[str, Beat] = {}
        self.dead: set[str] = set()  # nodes whose agents do nothing
        self.seen: list[tuple[int, Event]] = []  # with the wall time
        self._agents: dict[str, tuple[str, float]] = {}  # task id -> (what its container does, until when)
        self._seats = {name: Dirty(everything=True) for name in ("nodes", *(name for name, _ in DECIDERS))}
        self._wakes: dict[str, float] = {}
        self.do(Create(cluster(**swarm)), *(Create(member) for member in members))
        for member in members:
            if member.status.state == NodeState.READY:
                self.beat(member.id)

    # -- what users and nodes do

    @property
    def now(self) -> Now:
        return Now(wall=self.wall, mono=self.mono)

    def do(self, *changes: Change) -> None:
        """Write changes, one entry each; invariants are checked after each."""
        self._note(kit.apply(self.store, changes, self.wall))

    def write(self, *changes: Change) -> list[Event]:
        """Write changes as one entry."""
        events = kit.apply_whole(self.store, changes, self.wall)
        self._note(events)
        return events

    def _note(self, events: list[Event]) -> None:
        self.seen.extend((self.wall, event) for event in events)
        for event in events:
            for dirty in self._seats.values():
                mark(dirty, event)

    def create(self, spec: ServiceSpec) -> Service:
        self.do(Create(revisions.created(spec.name or "", spec, "", self.wall)))
        return self.service(spec.name or "")

    def service(self, name: str) -> Service:
        return self.store.service(name)

    def update(self, spec: ServiceSpec) -> None:
        self.do(Update(revisions.updated(self.service(spec.name or ""), spec, "", self.wall)))

    def change(self, name: str, **fields: object) -> None:
        """Update fields of a service's specification."""
        self.update(dataclasses.replace(self.service(name).spec, **fields))

    def rollback(self, name: str) -> None:
        self.do(Update(revisions.rolled_back(self.service(name), self.wall)))

    def remove(self, name: str) -> None:
        self.do(Delete("service", self.service(name).id))

    def set_node(self, name: str, **fields: object) -> None:
        """Update fields of a node's specification."""
        held = self.store.node(name)
        self.do(Update(dataclasses.replace(held, spec=dataclasses.replace(held.spec, **fields))))

    def describe(self, name: str, **facts: object) -> None:
        """Update what a node's agent says of its machine."""
        held = self.store.node(name)
        self.do(Update(dataclasses.replace(held, description=dataclasses.replace(held.description, **facts))))

    def remove_node(self, name: str) -> None:
        self.beats.pop(name, None)
        self.do(*liveness.remove_node(self.store, self.store.node(name), self.wall))

    def beat(self, name: str) -> None:
        """The node opens a session, and is heard from now on; one that was away is ready again."""
        self.dead.discard(name)
        self.beats[name] = Beat(heard=FOREVER)
        held = self.store.node(name)
        if held.status.state != NodeState.READY:
            status = liveness.moved(held.status, NodeState.READY, "", self.wall)
            self.do(Update(dataclasses.replace(held, status=status)))

    def silence(self, name: str, **known: float | None) -> None:
        """The node falls silent: its agent does nothing from now on. ``known``: what else its manager knows of it."""
        self.dead.add(name)
        self.beats[name] = Beat(heard=self.mono, **known)  # type: ignore[arg-type]
        self._wakes["nodes"] = self.mono

    def breaks(self, name: str) -> None:
        """The node's agent dies, and its host says so."""
        self.silence(name, broken=self.mono)

    def restarts(self, name: str, grace: float = 60.0) -> None:
        """The node's agent says that it restarts."""
        self.silence(name, broken=self.mono, restarting_until=self.mono + grace)

    def tasks(self, name: str) -> list[Task]:
        """A service's tasks by slot, old to new."""
        found = self.store.tasks.by("service", self.service(name).id)
        return sorted(found, key=lambda task: (task.slot, task.node_id if not task.slot else "", task.created_at))

    def running(self, name: str) -> list[Task]:
        return [task for task in self.tasks(name) if task.wanted and task.state == TaskState.RUNNING]

    # -- time

    def settle(self) -> None:
        """Let deciders and agents act until there is nothing to do now."""
        for _ in range(ROUNDS):
            if not self._decide_all() and not self._act_all():
                if self.laws:
                    invariants.check_aggregates(self.store)
                return
        raise kit.Lawless("deciders and agents do not settle")

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping wherever a decider or an agent wants to act."""
        end = self.mono + seconds
        self.settle()
        while True:
            times = [*self._wakes.values(), *(until for _, until in self._agents.values())]
            moment = min((time for time in times if time > self.mono), default=end)
            self._move(min(moment, end))
            self.settle()
            if self.mono >= end:
                return

    def until(self, condition: Callable[[], bool], seconds: float = 300.0) -> None:
        """Advance second by second until the condition holds."""
        self.settle()
        for _ in range(int(seconds)):
            if condition():
                return
            self.advance(1)
        raise AssertionError(f"it did not come about within {seconds} s")

    def _move(self, mono: float) -> None:
        self.wall += round((mono - self.mono) * SECOND)
        self.mono = mono

    def turn_back(self, seconds: float) -> None:
        """The wall clock goes back, as it does where the next leader's clock is behind that of the last one."""
        self.wall -= round(seconds * SECOND)

    # -- deciders

    def _decide_all(self) -> bool:
        acted = False
        live = liveness.decider(lambda: self.beats, self.since)
        for name, decide in (("nodes", live), *DECIDERS):
            held = self._wakes.get(name, FOREVER)
            due = held <= self.mono
            if not self._seats[name] and not due:
                continue
            dirty, self._seats[name] = self._seats[name], Dirty()
            dirty.due = due
            if self.laws:
                kit.check(name, decide, self.store, dirty, self.now, held)
            decision: Decision = decide(self.store, dirty, self.now, self.ids)
            self._wakes[name] = next_wake(held, decision)
            self.do(*decision.changes)
            acted = acted or bool(decision.changes)
        return acted

    def change_leader(self, *lost: str) -> None:
        """A new leader: nothing is remembered but the store (as a snapshot would bring it). Nodes find it at once, but
        for those that are ``lost`` or silent.
        """
        self.store = kit.clone(self.store)
        self.since = self.mono
        self.dead.update(lost)
        self.beats = {name: beat for name, beat in self.beats.items() if name not in self.dead}
        self._seats = {name: Dirty(everything=True) for name in self._seats}
        self._wakes = {}

    # -- agents

    def _act_all(self) -> bool:
        acted = False
        for member in list(self.store.nodes):
            if member.id in self.dead or member.status.state != NodeState.READY:
                continue
            for task in self.store.tasks.by("node", member.id):
                acted = self._act(task) or acted
        return acted

    def _act(self, task: Task) -> bool:
        if task.state.terminal or task.state < TaskState.ASSIGNED:
            return False
        behaviour = self.behaviours.get(task.spec.container.image or "", Behaviour())
        if task.desired_state >= TaskState.SHUTDOWN:
            return self._stop(task, behaviour)
        if behaviour.pull:
            return self.report(task, TaskState.REJECTED, err=behaviour.pull)
        if task.state < TaskState.READY:
            return self.report(task, TaskState.READY, message="prepared")
        if task.desired_state < TaskState.RUNNING:
            return False
        if task.state == TaskState.READY:
            self._agents[task.id] = ("start", self.mono + behaviour.starts)
            return self.report(task, TaskState.STARTING, message="starting")
        what, until = self._agents.get(task.id, ("start", self.mono))
        if self.mono < until:
            return False
        if what == "start":
            self._agents[task.id] = ("live", self.mono + behaviour.lives)
            return self.report(task, TaskState.RUNNING, message="started")
        return self.end(task, behaviour.code)

    def _stop(self, task: Task, behaviour: Behaviour) -> bool:
        what, until = self._agents.get(task.id, ("", 0.0))
        if task.state < TaskState.STARTING or (what == "stop" and until <= self.mono):
            return self.report(task, TaskState.SHUTDOWN, message="shutdown")
        if what != "stop":
            self._agents[task.id] = ("stop", self.mono + behaviour.stops)
            return True
        return False

    def end(self, task: Task, code: int) -> bool:
        """The task's container exits."""
        if code == 0:
            return self.report(task, TaskState.COMPLETE, message="finished", code=0)
        return self.report(task, TaskState.FAILED, err=f"task: non-zero exit ({code})", code=code)

    def report(
        self, task: Task, state: TaskState, *, message: str = "started", err: str = "", code: int | None = None
    ) -> bool:
        """Write what an agent says of a task, as the dispatcher would."""
        held = self.store.tasks.get(task.id)
        if held is None or held.state >= state:
            return False
        since = held.status.running_since or (self.wall if state == TaskState.RUNNING else 0)
        status = TaskStatus(
            state=state,
            at=self.wall,
            applied_at=self.wall,
            running_since=since,
            message=message,
            err=err,
            exit_code=code,
            container_id=f"c-{task.id}",
        )
        if state.terminal:
            self._agents.pop(task.id, None)
        self.do(Update(dataclasses.replace(held, status=status)))
        return True
