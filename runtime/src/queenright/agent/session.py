# SPDX-License-Identifier: Apache-2.0
"""The agent's connection to the swarm: pick a manager, hold a session, begin anew whenever any part of it breaks.

A session is whole or not at all: its news stream, its heartbeats and its assignments end together, and the next session
starts from a complete set. On the stream of news the manager pings; one that stops to is left for another.

Only the manager that leads holds sessions. The others say which one that is, and it is asked next; one that was found
dead a moment ago is not asked again at once, though others may not know yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from queenright.agent.link import Connector, LinkError, ManagerLink, NoLeaderError, RedirectError
from queenright.agent.remotes import Remotes
from queenright.lib.backoff import Backoff
from queenright.model.objects import NodeDescription, Task
from queenright.wire.messages import AssignmentSet, Ping, SessionNews, StatusUpdate

log = logging.getLogger(__name__)

SECOND = 1_000_000_000
OPEN_TIMEOUT = 5.0  # seconds for the first message of a session
DESCRIBE_EVERY = 20.0  # seconds between two looks at the machine; a changed description opens a new session
SKEW_WORTH_SAYING = 60 * SECOND
HOPS = 4  # redirects that are followed in a row
SHUNNED = 3  # redirects to a manager that has just failed that are not followed
QUICK_TRIES = 10  # after a session broke: a new leader is elected within seconds
QUICK_MOST = 0.5  # seconds, the longest wait between these
SLOW_MOST = 3.0  # the longest wait later: a node that was cut off must be back soon after it can
MISSED_PINGS = 3
LEAST_PATIENCE = 2.0  # seconds without a ping for which a manager is waited for, however often it pings


Beside = Callable[[Any, str, tuple[str, str]], Coroutine[Any, Any, None]]
"""What runs as long as a session does: gets its link, its id and the manager (node id, ``host:port``). It never ends by
itself."""


class Assignee(Protocol):
    """Who does the work (``agent.worker``)."""

    def take_data(self, assigned: AssignmentSet) -> None:
        """What the tasks of a set use; called before they are applied."""
        ...

    async def apply_complete(self, tasks: Sequence[Task]) -> None: ...

    async def apply_incremental(self, updates: Sequence[Task], removes: Sequence[str]) -> None: ...

    def connected(self, send: Callable[[Sequence[StatusUpdate]], Awaitable[None]]) -> None:
        """Statuses can be sent; those a manager may not know are sent again."""
        ...

    def disconnected(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class SessionState:
    """What can be said of the connection. ``manager`` is "" while there is none; ``skew``: by how many nanoseconds this
    node's clock was ahead of that manager's when it was heard last.
    """

    manager: str = ""
    session_id: str = ""
    error: str = "no manager has been asked yet"
    removed: bool = False
    skew: int = 0


class _Pause:
    """How long to wait between two tries: short at first, since others lead soon when a leader dies."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self._quick = Backoff(dice, most=QUICK_MOST)
        self._slow = Backoff(dice, most=SLOW_MOST)
        self._tries = 0

    def next(self) -> float:
        self._tries += 1
        return self._quick.next() if self._tries <= QUICK_TRIES else self._slow.next()

    def reset(self) -> None:
        self._tries = 0
        self._quick.reset()
        self._slow.reset()


class SessionLoop:
    """Keeps a session open until stopped. ``dice`` gives numbers in [0, 1), ``wall`` nanoseconds since the epoch."""

    def __init__(
        self,
        remotes: Remotes,
        connector: Connector,
        assignee: Assignee,
        describe: Callable[[], Awaitable[NodeDescription]],
        *,
        addr: str,
        dice: Callable[[], float],
        wall: Callable[[], int],
        on_news: Callable[[SessionNews], None] = lambda news: None,
        beside: Sequence[Beside] = (),
    ) -> None:
        self._remotes = remotes
        self._connector = connector
        self._assignee = assignee
        self._describe = describe
        self._addr = addr
        self._dice = dice
        self._wall = wall
        self._on_news = on_news
        self._beside = beside
        self._link: ManagerLink | None = None
        self._skew_said = False
        self._pause = _Pause(dice)
        self._next: tuple[str, str] | None = None  # where a manager sent this node
        self._hops = 0
        self._shunned: dict[str, int] = {}  # managers that failed since the last session
        self._certified = False  # there is a certificate that the open session does not use
        self._look = asyncio.Event()  # what this machine is may be something else now
        self.state = SessionState()

    async def run(self) -> None:
        """Until cancelled, or until a manager says that this node was removed."""
        while not self.state.removed:
            node_id, addr = self._next or self._remotes.select()
            self._next = None
            try:
                await self._hold(node_id, addr)
                if self._certified:
                    continue  # nothing broke
            except RedirectError as redirect:
                if self._follow_redirect(node_id, redirect):
                    continue
            except NoLeaderError as error:
                self._without_leader(addr, error)
            except LinkError as error:
                self._failed(node_id, addr, error)
            await self._rest()

    async def _rest(self) -> None:
        await asyncio.sleep(0 if self.state.removed else self._pause.next())

    def _follow_redirect(self, asked: str, redirect: RedirectError) -> bool:
        """Whether to go there, and at once."""
        self._hops += 1
        shunned = self._shunned.get(redirect.node_id, 0)
        if shunned:
            self._shunned[redirect.node_id] = shunned - 1
        if shunned or redirect.node_id == asked or self._hops > HOPS:
            self._hops = 0
            self.state = SessionState(error=f"manager {redirect.addr}, which is said to lead, does not serve")
            return False
        self._next = redirect.node_id, redirect.addr
        return True

    def _without_leader(self, addr: str, error: NoLeaderError) -> None:
        """It is no worse than the others, and may well be the first to know."""
        self._hops = 0
        self._remotes.prefer("")
        self.state = SessionState(error=f"manager {addr}: {error}")
        log.info("manager %s: %s", addr, error)

    def _failed(self, node_id: str, addr: str, error: LinkError) -> None:
        self._hops = 0
        self._shunned[node_id] = SHUNNED
        self._remotes.observe(node_id, good=False)
        removed = error.code == "PermissionDenied" and "removed from swarm" in str(error)
        self.state = SessionState(error=f"manager {addr}: {error}", removed=removed)
        log.warning("session with manager %s ended: %s", addr, error)

    async def restarting(self) -> None:
        """Tell the manager that this agent will be back in a moment; failing to say so is no reason not to go."""
        if self._link is not None and self.state.session_id:
            try:
                await asyncio.wait_for(self._link.restarting(self.state.session_id), 2.0)
            except (LinkError, TimeoutError) as error:
                log.warning("the manager was not told of the restart: %s", error)

    def certificate_changed(self) -> None:
        """The next session uses it; the one that is open ends soon."""
        self._certified = True
        self._look.set()

    def roots_changed(self) -> None:
        """The manager is told at once what this node trusts now."""
        self._look.set()

    async def _hold(self, node_id: str, addr: str) -> None:
        self._certified = False
        self._look.clear()
        description = await self._describe()  # before the link: an engine is waited for, and nothing is open meanwhile
        link = self._connector.connect(node_id, addr)
        news_stream = link.session(description, self._addr)
        parts: list[asyncio.Task[None]] = []
        try:
            try:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    first = await anext(news_stream)
                    assert isinstance(first, SessionNews)  # as the protocol says
            except TimeoutError:
                raise LinkError("DeadlineExceeded", f"no answer within {OPEN_TIMEOUT:.0f} s") from None
            except StopAsyncIteration:
                raise LinkError("Unavailable", "the session ended before it began") from None
            self._opened(node_id, addr, link, first)
            parts = [
                asyncio.create_task(self._follow_news(news_stream, first.ping), name="session-news"),
                asyncio.create_task(self._follow_assignments(link, first.session_id), name="session-assignments"),
                asyncio.create_task(self._watch_description(description), name="session-description"),
            ]
            for beside in self._beside:
                work = beside(link, first.session_id, (node_id, addr))
                parts.append(asyncio.create_task(work, name="session-beside"))
            if not first.ping:
                parts.append(asyncio.create_task(self._beat(link, first), name="session-heartbeat"))
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            self._link = None
            self._assignee.disconnected()
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await link.close()

    def _opened(self, node_id: str, addr: str, link: ManagerLink, news: SessionNews) -> None:
        self._link = link
        self.state = SessionState(manager=addr, session_id=news.session_id, error="")
        self._remotes.observe(node_id, good=True)
        self._remotes.prefer(node_id)
        self._pause.reset()
        self._hops = 0
        self._shunned.clear()
        self._take_news(news)
        session_id = news.session_id

        async def send(updates: Sequence[StatusUpdate]) -> None:
            await link.update_statuses(session_id, updates)

        self._assignee.connected(send)
        log.info("session opened", extra={"manager": addr})

    def _take_news(self, news: SessionNews) -> None:
        self._remotes.replace(news.managers)
        skew = self._wall() - news.manager_time
        self.state = dataclasses.replace(self.state, skew=skew)
        if abs(skew) > SKEW_WORTH_SAYING and not self._skew_said:
            self._skew_said = True
            log.warning(
                "this node's clock is %.0f s away from the manager's; certificates need right clocks",
                abs(skew) / SECOND,
            )
        self._on_news(news)

    async def _follow_news(self, stream: AsyncIterator[SessionNews | Ping], every: int) -> None:
        """``every``: nanoseconds between two pings, 0 if there are none."""
        while True:
            patience = max(LEAST_PATIENCE, MISSED_PINGS * every / SECOND) if every else None
            try:
                async with asyncio.timeout(patience):
                    told = await anext(stream)
            except TimeoutError:
                raise LinkError("DeadlineExceeded", f"the manager was silent for {patience:.1f} s") from None
            except StopAsyncIteration:
                raise LinkError("Unavailable", "the manager ended the session") from None
            if isinstance(told, Ping):
                every = told.every
            else:
                every = told.ping
                self._take_news(told)

    async def _beat(self, link: ManagerLink, first: SessionNews) -> None:
        period = first.heartbeat
        while True:
            await asyncio.sleep(max(0.05, (period + (self._dice() - 0.5) * min(SECOND, period / 5)) / SECOND))
            period = await link.heartbeat(first.session_id)

    async def _follow_assignments(self, link: ManagerLink, session_id: str) -> None:
        token = ""
        async for assigned in link.assignments(session_id):
            if assigned.complete:
                self._assignee.take_data(assigned)
                await self._assignee.apply_complete(assigned.updates)
            elif assigned.applies_to == token:
                self._assignee.take_data(assigned)
                await self._assignee.apply_incremental(assigned.updates, assigned.removes)
            else:
                raise LinkError("DataLoss", "an assignment message is missing; starting from a complete set")
            token = assigned.results_in
        raise LinkError("Unavailable", "the manager ended the assignments")

    async def _watch_description(self, known: NodeDescription) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DESCRIBE_EVERY):
                    await self._look.wait()
            self._look.clear()
            if self._certified:
                log.info("this node has another certificate; opening a new session")
                return
            if await self._describe() != known:
                log.info("this machine's description changed; opening a new session")
                return
