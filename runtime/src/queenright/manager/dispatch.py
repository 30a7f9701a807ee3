# SPDX-License-Identifier: Apache-2.0
"""What the leader does for agents: sessions, heartbeats, assignments and the taking of statuses.

Assignments follow commits: one watcher notes for each node which of its tasks changed, and the node's stream looks at
these only: the cost follows the change, not the number of tasks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from queenright.decide.assignments import assignments as wanted_of
from queenright.decide.assignments import changes as difference_of
from queenright.decide.base import SECOND
from queenright.decide.nodes import Beat
from queenright.lib.tasks import Background
from queenright.manager import texts
from queenright.manager.description import cleaned, cleaned_address
from queenright.manager.ports import Clock, Proposer
from queenright.manager.statuses import Statuses
from queenright.model.changes import Update
from queenright.model.errors import InvalidArgument, NotFound, NotLeading, OutOfSequence, PermissionDenied, Unavailable
from queenright.model.objects import Node, NodeDescription, NodeStatus, Object, Task, TaskStatus
from queenright.model.states import NodeState
from queenright.spec.cluster import MANAGER
from queenright.store.store import Event, Store
from queenright.wire.messages import AssignmentSet, SessionNews

log = logging.getLogger(__name__)

HEARTBEAT = 5 * SECOND
GRACE_BEATS = 3
RESTART_GRACE = 60 * SECOND
SETTLE = 0.005  # seconds in which further changes join an assignment message
SESSIONS_PER_WINDOW = 3
WINDOW = 8.0
CONFLICT_TRIES = 20
TICK = 0.5  # seconds between two looks at the clock
STOPPING = "the manager is stopping"


@dataclasses.dataclass(slots=True, eq=False)
class Session:
    """A node's open session."""

    id: str
    node_id: str
    deadline: float
    restarting_until: float | None = None
    touched: dict[str, None] = dataclasses.field(default_factory=dict)  # tasks changed since the last message, in order
    tasks_changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    node_changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    closed: str = ""  # why, once it is


class Dispatcher:
    """Runs while this manager leads: from :meth:`start` to :meth:`stop`, once for each leadership.

    ``ids`` makes session ids; ``on_beat`` is told when a deadline came into being or was shortened. ``node_id`` is this
    manager's own, ``redirect`` gives (node id, address) of the manager that leads, if another does. ``on_failure`` is
    told of a defect that ended a part of it: then agents would not hear of their tasks any more.
    """

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        clock: Clock,
        ids: Callable[[], str],
        on_beat: Callable[[], None] = lambda: None,
        *,
        node_id: str = "",
        redirect: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        self._store = store
        self._proposer = proposer
        self._clock = clock
        self._ids = ids
        self._on_beat = on_beat
        self._node_id = node_id
        self._redirect = redirect
        self._leadership = 0  # counts starts
        self._running = False
        self._since = self._seen_at = clock.mono()
        self._sessions: dict[str, Session] = {}
        self._opened: dict[str, list[float]] = {}
        self._statuses = Statuses(store, clock)
        self._background = Background(self._failed)
        self.on_failure: Callable[[str, BaseException], None] = lambda name, error: None

    # -- life

    def start(self, proposer: Proposer | None = None) -> None:
        """Begin to serve agents, with ``proposer`` (fenced to one leadership) from now on.

        What an earlier leadership knew is forgotten: every node has a fresh grace.
        """
        if self._running:
            raise RuntimeError("the dispatcher runs already: stop it first")
        self._proposer = proposer or self._proposer
        self._leadership += 1
        self._running = True
        self._since = self._seen_at = self._clock.mono()
        self._opened = {}
        self._background.start(self._follow(), "dispatcher-follow")
        self._background.start(self._statuses.write(self._proposer), "dispatcher-statuses")
        self._background.start(self._watch_clock(), "dispatcher-clock")

    async def stop(self, reason: str = STOPPING) -> None:
        """End all sessions: agents look for a manager again. No call writes anything after this was called."""
        self._running = False
        for session in list(self._sessions.values()):
            self._close(session, reason)
        await self._background.stop()
        self._statuses.forget(reason)

    def _failed(self, name: str, error: BaseException) -> None:
        self.on_failure(name, error)

    def beats(self) -> Mapping[str, Beat]:
        """Deadlines by node, for the liveness decider. Ask for ``since`` after it."""
        self._notice_lag()
        return {
            key: Beat(deadline=session.deadline, restarting_until=session.restarting_until)
            for key, session in self._sessions.items()
        }

    @property
    def since(self) -> float:
        """The monotonic time from which nodes without a session are waited for."""
        return self._since

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._notice_lag()

    def _notice_lag(self) -> None:
        """While this process stood still no heartbeat could be taken: then no node is to blame for being late.

        Asked wherever deadlines are judged, for after a standstill nobody knows which timer fires first.
        """
        now = self._clock.mono()
        lag, self._seen_at = now - self._seen_at, now
        if lag <= TICK + self.period / SECOND:
            return
        log.warning("this manager stood still for %.1f s; every node gets a fresh grace", lag)
        self._since = now
        for session in self._sessions.values():
            session.deadline = max(session.deadline, self._next_deadline())

    # -- sessions

    @property
    def period(self) -> int:
        """Nanoseconds between two heartbeats."""
        cluster = self._store.cluster
        return (cluster.spec.dispatcher.heartbeat_period if cluster is not None else None) or HEARTBEAT

    async def open(self, node_id: str, description: NodeDescription, addr: str) -> Session:
        """Begin a session: the node is READY when this returns. Ends the node's earlier session.

        Raises NotLeading where another manager is to be asked.
        """
        self._require_leading()
        if self._store.nodes.get(node_id) is None:
            raise NotFound("node not registered")
        self._limit_rate(node_id)
        leadership = self._leadership
        await self._write_node(node_id, cleaned(description), cleaned_address(addr))
        if leadership != self._leadership or not self._running:
            raise self._elsewhere()
        earlier = self._sessions.get(node_id)
        if earlier is not None:
            self._close(earlier, "a newer session of this node took its place")
        session = Session(self._ids(), node_id, self._next_deadline())
        self._sessions[node_id] = session
        self._on_beat()
        log.info("session opened", extra={"node": node_id})
        return session

    async def news(self, session: Session) -> AsyncIterator[SessionNews]:
        """First what is so now, then again after each change, until the session ends."""
        while True:
            self._check_open(session)
            session.node_changed.clear()
            node, cluster = self._store.nodes.get(session.node_id), self._store.cluster
            if node is None or cluster is None:
                raise PermissionDenied(f"node {session.node_id} was removed from swarm")
            news = (self._managers(), self.period, cluster.root_certificate, self._clock.wall())
            yield SessionNews(session.id, node, *news)
            await session.node_changed.wait()

    def _managers(self) -> tuple[tuple[str, str], ...]:
        """(node id, address) of the managers, this one, which leads, first."""
        found = ((node.id, node.manager_addr) for node in self._store.nodes.by("role", MANAGER) if node.manager_addr)
        return tuple(sorted(found, key=lambda manager: (manager[0] != self._node_id, manager[0])))

    def session(self, node_id: str, session_id: str) -> Session:
        """The caller's open session, or the errors agents know."""
        self._require_leading()
        if self._store.nodes.get(node_id) is None:
            raise NotFound("node not registered")
        session = self._sessions.get(node_id)
        if session is None or session.id != session_id:
            raise InvalidArgument("session invalid")
        return session

    def heartbeat(self, node_id: str, session_id: str) -> int:
        """Take a heartbeat; gives the time until the next one in nanoseconds."""
        session = self.session(node_id, session_id)
        session.deadline = self._next_deadline()
        session.restarting_until = None
        return self.period

    def restarting(self, node_id: str, session_id: str) -> int:
        """The agent goes away for a moment; gives the grace in nanoseconds in which it is not down."""
        session = self.session(node_id, session_id)
        session.restarting_until = self._clock.mono() + RESTART_GRACE / SECOND
        session.deadline = max(session.deadline, session.restarting_until)
        self._on_beat()
        return RESTART_GRACE

    def _require_leading(self) -> None:
        if not self._running:
            raise self._elsewhere()

    def _elsewhere(self) -> NotLeading:
        leader = self._redirect()
        return NotLeading(texts.NOT_LEADER if leader else texts.NO_LEADER, leader)

    def _next_deadline(self) -> float:
        return self._clock.mono() + GRACE_BEATS * self.period / SECOND

    def _limit_rate(self, node_id: str) -> None:
        now = self._clock.mono()
        recent = [at for at in self._opened.get(node_id, []) if now - at < WINDOW]
        if len(recent) >= SESSIONS_PER_WINDOW:
            raise Unavailable("this node opened too many sessions in a short time; it may try again in a few seconds")
        self._opened[node_id] = [*recent, now]

    async def _write_node(self, node_id: str, description: NodeDescription, addr: str) -> None:
        for _ in range(CONFLICT_TRIES):
            node = self._store.nodes.get(node_id)
            if node is None:
                raise NotFound("node not registered")
            held = node.status
            message = held.message if held.state == NodeState.READY else ""  # says nothing about sessions, see members
            status = NodeStatus(state=NodeState.READY, addr=addr or held.addr, message=message)
            if node.description == description and node.status == status:
                return
            try:
                await self._proposer.propose(
                    [Update(dataclasses.replace(node, description=description, status=status))]
                )
                return
            except OutOfSequence:
                continue
        raise Unavailable(f"node {node_id} changed too often while its session was opened; it may try again")

    def _close(self, session: Session, reason: str) -> None:
        session.closed = reason
        session.tasks_changed.set()
        session.node_changed.set()
        if self._sessions.get(session.node_id) is session:
            del self._sessions[session.node_id]

    @staticmethod
    def _check_open(session: Session) -> None:
        if session.closed:
            raise Unavailable(f"session ended: {session.closed}")

    # -- assignments

    async def assignments(self, session: Session) -> AsyncIterator[AssignmentSet]:
        """The complete set, then differences as they come, until the session ends."""
        session.tasks_changed.clear()
        session.touched.clear()
        known = wanted_of(self._store, session.node_id)
        token = str(self._store.index)
        yield AssignmentSet(True, "", token, tuple(known.values()), ())
        while True:
            await session.tasks_changed.wait()
            await asyncio.sleep(SETTLE)
            self._check_open(session)
            session.tasks_changed.clear()
            touched, session.touched = session.touched, {}
            wanted = wanted_of(self._store, session.node_id, touched)
            updates, removes = difference_of({key: known[key] for key in touched if key in known}, wanted)
            known.update(wanted)
            for key in removes:
                del known[key]
            if updates or removes:
                applies_to, token = token, f"{self._store.index}.{self._ids()}"
                yield AssignmentSet(False, applies_to, token, tuple(updates), tuple(removes))

    async def _follow(self) -> None:
        with self._store.watch() as subscription:
            while True:
                commit = await subscription.next()
                if commit.reset:
                    for session in list(self._sessions.values()):
                        self._close(session, "the manager's state was replaced by a snapshot")
                for event in commit.events:
                    value = event.object
                    if isinstance(value, Task):
                        self._mark(value)
                    elif isinstance(value, Node):
                        self._node_moved(value, event)

    def _mark(self, task: Task) -> None:
        session = self._sessions.get(task.node_id)
        if session is not None:
            session.touched[task.id] = None
            session.tasks_changed.set()

    def _node_moved(self, node: Node, event: Event) -> None:
        session = self._sessions.get(node.id)
        if session is not None:
            if event.after is None:
                self._close(session, f"node {node.id} was removed from swarm")
            elif node.status.state == NodeState.DOWN:
                self._close(session, node.status.message or "the node is down")
            else:
                session.node_changed.set()
        if _manager(event.before) != _manager(event.after):
            for other in self._sessions.values():
                other.node_changed.set()

    # -- statuses

    async def update_statuses(self, node_id: str, session_id: str, updates: Sequence[tuple[str, TaskStatus]]) -> None:
        """Take statuses of the caller's own tasks; returns when they are durable."""
        self.session(node_id, session_id)
        for task_id, _ in updates:
            task = self._store.tasks.get(task_id)
            if task is not None and task.node_id != node_id:
                raise PermissionDenied(f"task {task_id} is not on this node")
        await self._statuses.take(updates)


def _manager(node: Object | None) -> tuple[str, str] | None:
    """What agents are told of a node as a manager; None if it is none to be told of."""
    if isinstance(node, Node) and node.role == MANAGER and node.manager_addr:
        return node.id, node.manager_addr
    return None
