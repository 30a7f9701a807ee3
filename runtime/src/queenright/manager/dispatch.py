# SPDX-License-Identifier: Apache-2.0
"""What the leader does for agents: sessions, assignments and the taking of statuses (their pulse: ``manager.pulse``,
their networks: ``manager.networking``).

Assignments follow commits: one watcher notes for each node which of its tasks changed, and the node's stream looks at
these only: the cost follows the change, not the number of tasks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from queenright.decide import defaults
from queenright.decide.base import SECOND
from queenright.decide.liveness import Beat
from queenright.lib.tasks import Background
from queenright.manager import signing, texts
from queenright.manager.assigning import Assigning, other_credentials
from queenright.manager.description import cleaned, cleaned_address
from queenright.manager.networking import Networking
from queenright.manager.ports import Clock, Proposer
from queenright.manager.pulse import Pulse
from queenright.manager.registering import Registrar
from queenright.manager.statuses import Statuses
from queenright.model.errors import InvalidArgument, NotFound, NotLeading, PermissionDenied, Unavailable
from queenright.model.mesh_rows import NetworksSet, NetworksState
from queenright.model.objects import Cluster, Node, NodeDescription, Object, Registry, Service, Task, TaskStatus
from queenright.model.states import NodeState
from queenright.spec.cluster import MANAGER
from queenright.store.store import Event, Store
from queenright.wire.messages import AssignmentSet, Ping, SessionNews

log = logging.getLogger(__name__)

SETTLE = 0.005  # seconds in which further changes join an assignment message
STOPPING = "the manager is stopping"
BROKEN = "its stream broke"
MOST_STEPS = 3  # from root to root that news tell of: who missed more of them holds no session


@dataclasses.dataclass(slots=True, eq=False)
class Session:
    """A node's open session."""

    id: str
    node_id: str
    pinged: bool = False
    touched: dict[str, None] = dataclasses.field(default_factory=dict)  # tasks changed since the last message, in order
    assigning: Assigning | None = None  # what the node was told of its tasks, once it has asked
    tasks_changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    stirred: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)  # its stream has something to say
    news_due: bool = True
    ping_due: bool = False
    closed: str = ""  # why, once it is

    def tell(self) -> None:
        """The node is to be told what is so now."""
        self.news_due = True
        self.stirred.set()


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
        self._node_id = node_id
        self._redirect = redirect
        self._leadership = 0  # counts starts
        self._running = False
        self._pulse = Pulse(store, clock, self._ping, on_beat)
        self._registrar = Registrar(store, proposer, clock)
        self._sessions: dict[str, Session] = {}
        self.networking = Networking(store)
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
        self._pulse.begin()
        self.networking.begin()
        self._registrar = Registrar(self._store, self._proposer, self._clock)
        self._background.start(self._follow(), "dispatcher-follow")
        self._background.start(self._statuses.write(self._proposer), "dispatcher-statuses")
        self._background.start(self._pulse.run(), "dispatcher-pulse")

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
        """What was heard of nodes, for the liveness decider. Ask for ``since`` after it."""
        return self._pulse.beats()

    @property
    def since(self) -> float:
        """The monotonic time from which nodes that were not heard are waited for."""
        return self._pulse.since

    # -- sessions

    @property
    def period(self) -> int:
        """Nanoseconds between two heartbeats of a node that is not pinged."""
        return defaults.heartbeat_period(self._store.cluster)

    async def open(self, node_id: str, description: NodeDescription, addr: str, *, pinged: bool = False) -> Session:
        """Begin a session: the node is READY when this returns. Ends the node's earlier session. ``pinged``: the node
        answers pings on the stream of news.

        Raises NotLeading where another manager is to be asked.
        """
        self._require_leading()
        if self._store.nodes.get(node_id) is None:
            raise NotFound("node not registered")
        self._pulse.knocked(node_id)
        self._registrar.limit_rate(node_id)
        leadership = self._leadership
        await self._registrar.write(node_id, cleaned(description), cleaned_address(addr))
        if leadership != self._leadership or not self._running:
            raise self._elsewhere()
        earlier = self._sessions.get(node_id)
        if earlier is not None:
            self._close(earlier, "a newer session of this node took its place")
        session = Session(self._ids(), node_id, pinged)
        self._sessions[node_id] = session
        self._pulse.opened(node_id, pinged)
        log.info("session opened", extra={"node": node_id})
        return session

    async def news(self, session: Session) -> AsyncIterator[SessionNews | Ping]:
        """First what is so now, then again after each change, and pings between, until the session ends."""
        while True:
            self._check_open(session)
            session.stirred.clear()
            if session.news_due:
                session.news_due = False
                yield self._news(session)
            elif session.ping_due:
                session.ping_due = False
                yield Ping(self._ping_period)
            else:
                await session.stirred.wait()

    def _news(self, session: Session) -> SessionNews:
        node, cluster = self._store.nodes.get(session.node_id), self._store.cluster
        if node is None or cluster is None:
            raise PermissionDenied(f"node {session.node_id} was removed from swarm")
        news = (self._managers(), self.period, signing.trusted(cluster), self._clock.wall())
        path = signing.path(cluster)[:MOST_STEPS]
        return SessionNews(session.id, node, *news, self._ping_period if session.pinged else 0, path)

    @property
    def _ping_period(self) -> int:
        return round(self._pulse.tuning.ping * SECOND)

    def _ping(self, node_id: str) -> None:
        session = self._sessions.get(node_id)
        if session is not None:
            session.ping_due = True
            session.stirred.set()

    def pong(self, session: Session) -> None:
        """The node answered a ping."""
        if not session.closed:
            self._pulse.heard(session.node_id)

    def lost(self, session: Session) -> None:
        """The session's stream of news is no more."""
        if not session.closed:
            self._close(session, BROKEN)
            self._pulse.broke(session.node_id)

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
        self._pulse.heard(self.session(node_id, session_id).node_id)
        return self.period

    def restarting(self, node_id: str, session_id: str) -> int:
        """The agent goes away for a moment; gives the grace in nanoseconds in which it is not down."""
        return self._pulse.restarting(self.session(node_id, session_id).node_id)

    def _require_leading(self) -> None:
        if not self._running:
            raise self._elsewhere()

    def _elsewhere(self) -> NotLeading:
        leader = self._redirect()
        return NotLeading(texts.NOT_LEADER if leader else texts.NO_LEADER, leader)

    def _close(self, session: Session, reason: str) -> None:
        session.closed = reason
        session.tasks_changed.set()
        session.stirred.set()
        if self._sessions.get(session.node_id) is session:
            del self._sessions[session.node_id]
            self.networking.close(session.node_id, reason)

    @staticmethod
    def _check_open(session: Session) -> None:
        if session.closed:
            raise Unavailable(f"session ended: {session.closed}")

    # -- assignments

    async def assignments(self, session: Session) -> AsyncIterator[AssignmentSet]:
        """The complete set, then differences as they come, until the session ends."""
        session.tasks_changed.clear()
        session.touched.clear()
        session.assigning = assigning = Assigning(self._store, session.node_id)
        token = str(self._store.index)
        yield assigning.complete(token)
        while True:
            await session.tasks_changed.wait()
            await asyncio.sleep(SETTLE)
            self._check_open(session)
            session.tasks_changed.clear()
            touched, session.touched = session.touched, {}
            becomes = f"{self._store.index}.{self._ids()}"
            difference = assigning.difference(touched, token, becomes)
            if difference is not None:
                token = becomes
                yield difference

    async def _follow(self) -> None:
        with self._store.watch() as subscription:
            while True:
                commit = await subscription.next()
                if commit.reset:
                    for session in list(self._sessions.values()):
                        self._close(session, "the manager's state was replaced by a snapshot")
                        self._pulse.broke(session.node_id)
                    self.networking.begin()
                for event in commit.events:
                    self.networking.note(event)
                    value = event.object
                    if isinstance(value, Task):
                        self._mark(value)
                    elif isinstance(value, Node):
                        self._node_moved(value, event)
                    elif isinstance(value, Service | Registry) and other_credentials(event):
                        self._credentials_moved(value)
                    elif isinstance(value, Cluster) and _roots(event.before) != _roots(event.after):
                        for session in self._sessions.values():
                            session.tell()

    def _mark(self, task: Task) -> None:
        session = self._sessions.get(task.node_id)
        if session is not None:
            session.touched[task.id] = None
            session.tasks_changed.set()

    def _credentials_moved(self, owner: Service | Registry) -> None:
        """Tasks that have yet to pull their images do it with the credentials as they now are."""
        for session in self._sessions.values():
            waiting = session.assigning.pulling(owner) if session.assigning is not None else ()
            if waiting:
                session.touched.update(dict.fromkeys(waiting))
                session.tasks_changed.set()

    def _node_moved(self, node: Node, event: Event) -> None:
        held = self._store.nodes.get(node.id)  # as it is now: the event may be older than the node's session
        session = self._sessions.get(node.id)
        if held is None or held.status.state == NodeState.DOWN:
            self._pulse.forget(node.id)
            if session is not None:
                down = held.status.message if held is not None else f"node {node.id} was removed from swarm"
                self._close(session, down or "the node is down")
        elif session is not None:
            session.tell()
        if _manager(event.before) != _manager(event.after):
            for other in self._sessions.values():
                other.tell()

    # -- networks

    async def networks(self, session: Session) -> AsyncIterator[NetworksSet]:
        """All that the node has to know of its networks, then differences as they come, until the session ends."""
        self._check_open(session)
        async for told in self.networking.told(self.networking.open(session.node_id), self._ids):
            self._check_open(session)
            yield told

    def networks_applied(self, node_id: str, session_id: str, state: NetworksState) -> None:
        """A node did what a state of its networks asks for, and says what is not as it shall be."""
        self._pulse.heard(self.session(node_id, session_id).node_id)
        self.networking.applied(node_id, state)

    # -- statuses

    async def update_statuses(self, node_id: str, session_id: str, updates: Sequence[tuple[str, TaskStatus]]) -> None:
        """Take statuses of the caller's own tasks; returns when they are durable."""
        self._pulse.heard(self.session(node_id, session_id).node_id)
        for task_id, _ in updates:
            task = self._store.tasks.get(task_id)
            if task is not None and task.node_id != node_id:
                raise PermissionDenied(f"task {task_id} is not on this node")
        await self._statuses.take(updates)


def _roots(value: Object | None) -> str:
    """What members shall trust."""
    return signing.trusted(value) if isinstance(value, Cluster) else ""


def _manager(node: Object | None) -> tuple[str, str] | None:
    """What agents are told of a node as a manager; None if it is none to be told of."""
    if isinstance(node, Node) and node.role == MANAGER and node.manager_addr:
        return node.id, node.manager_addr
    return None
