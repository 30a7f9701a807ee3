# SPDX-License-Identifier: Apache-2.0
"""The session loop against managers that lie in memory: it opens, follows, ends as a whole, and begins anew."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from runtime.agent.kit import make_task, until

from queenright.agent import session as session_room
from queenright.agent.link import LinkError, NoLeaderError, RedirectError
from queenright.agent.remotes import Remotes
from queenright.agent.session import SECOND, SessionLoop
from queenright.model.objects import Node, NodeDescription, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.wire.messages import AssignmentSet, Ping, SessionNews, StatusUpdate

HERE = NodeDescription(hostname="here")
NOW = 1_700_000_000 * SECOND


class Manager:
    """One that can be told what to say; ``None`` in a queue ends the stream, an error breaks it."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[SessionNews | Ping | LinkError | None] = asyncio.Queue()
        self.sets: asyncio.Queue[AssignmentSet | LinkError | None] = asyncio.Queue()
        self.heart: LinkError | None = None
        self.beats = 0
        self.described: list[tuple[NodeDescription, str]] = []
        self.statuses: list[StatusUpdate] = []
        self.restarts: list[str] = []
        self.restart_error: Exception | None = None
        self.opened = 0
        self.closed = 0

    async def _stream(self, queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
        while (item := await queue.get()) is not None:
            if isinstance(item, LinkError):
                raise item
            yield item

    def session(self, description: NodeDescription, addr: str) -> AsyncIterator[SessionNews | Ping]:
        self.described.append((description, addr))
        return self._stream(self.news)

    def assignments(self, session_id: str) -> AsyncIterator[AssignmentSet]:
        return self._stream(self.sets)

    async def heartbeat(self, session_id: str) -> int:
        self.beats += 1
        if self.heart is not None:
            raise self.heart
        return SECOND // 100

    async def update_statuses(self, session_id: str, updates: Sequence[StatusUpdate]) -> None:
        self.statuses.extend(updates)

    async def restarting(self, session_id: str) -> None:
        if self.restart_error is not None:
            raise self.restart_error
        self.restarts.append(session_id)

    async def close(self) -> None:
        self.closed += 1


class Agent:
    """A session loop with all that it needs; its worker notes what it is given."""

    def __init__(self, *names: str) -> None:
        self.managers = {name: Manager() for name in names}
        self.connects: list[tuple[str, str]] = []
        self.applied: list[tuple[str, list[str], list[str]]] = []
        self.data: list[str] = []  # tokens of the sets whose data was taken
        self.send: Callable[[Sequence[StatusUpdate]], Awaitable[None]] | None = None
        self.news: list[SessionNews] = []
        self.description = HERE
        self.looks = 0
        self.besides: list[tuple[str, tuple[str, str]]] = []  # (session, manager) of what runs beside sessions
        self.loop = SessionLoop(
            Remotes([(name, f"{name}:2377") for name in names], lambda: 0.0),
            self,
            self,
            self.describe,
            addr="10.0.0.9",
            dice=lambda: 0.0,
            wall=lambda: NOW,
            on_news=self.news.append,
            beside=(self.beside,),
        )

    def connect(self, node_id: str, addr: str) -> Manager:
        self.connects.append((node_id, addr))
        manager = self.managers[node_id]
        manager.opened += 1
        return manager

    async def beside(self, link: Manager, session_id: str, manager: tuple[str, str]) -> None:
        assert link is self.managers[manager[0]]
        entry = session_id, manager
        self.besides.append(entry)
        try:
            await asyncio.Event().wait()
        finally:
            self.besides.remove(entry)

    async def describe(self) -> NodeDescription:
        self.looks += 1
        return self.description

    def take_data(self, assigned: AssignmentSet) -> None:
        self.data.append(assigned.results_in)

    async def apply_complete(self, tasks: Sequence[Task]) -> None:
        self.applied.append(("complete", [task.id for task in tasks], []))

    async def apply_incremental(self, updates: Sequence[Task], removes: Sequence[str]) -> None:
        self.applied.append(("incremental", [task.id for task in updates], list(removes)))

    def connected(self, send: Callable[[Sequence[StatusUpdate]], Awaitable[None]]) -> None:
        self.send = send

    def disconnected(self) -> None:
        self.send = None


def told(
    session_id: str = "s1", managers: tuple[tuple[str, str], ...] = (("m", "m:2377"),), at: int = NOW
) -> SessionNews:
    return SessionNews(session_id, Node(id="n"), managers, 5 * SECOND, "ROOT", at)


@contextlib.asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[Agent]:
    task = asyncio.create_task(agent.loop.run())
    try:
        yield agent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def opened(agent: Agent, name: str = "m", session_id: str = "s1") -> Manager:
    """A session with the manager, which knows all of them."""
    manager = agent.managers[name]
    manager.news.put_nowait(told(session_id, tuple((known, f"{known}:2377") for known in agent.managers)))
    await until(lambda: agent.loop.state.session_id == session_id)
    return manager


async def test_a_session_opens_and_says_who_this_node_is() -> None:
    agent = Agent("m")
    assert agent.loop.state.error == "no manager has been asked yet"
    async with running(agent):
        manager = await opened(agent)
        state = agent.loop.state
        assert (state.manager, state.session_id, state.error, state.removed) == ("m:2377", "s1", "", False)
        assert manager.described == [(HERE, "10.0.0.9")]
        assert agent.news == [told()]
        assert agent.send is not None
        await agent.send([("t1", TaskStatus(state=TaskState.RUNNING))])
        assert [key for key, _ in manager.statuses] == ["t1"]
    assert (agent.send, manager.closed) == (None, 1)


async def test_what_runs_beside_a_session_begins_and_ends_with_it() -> None:
    agent = Agent("m")
    async with running(agent):
        manager = await opened(agent)
        await until(lambda: agent.besides == [("s1", ("m", "m:2377"))])
        manager.sets.put_nowait(None)
        await until(lambda: agent.besides == [])
        await opened(agent, session_id="s2")
        await until(lambda: agent.besides == [("s2", ("m", "m:2377"))])
    assert agent.besides == []


async def test_assignments_are_handed_on_in_order() -> None:
    agent = Agent("m")
    async with running(agent):
        manager = await opened(agent)
        manager.sets.put_nowait(AssignmentSet(True, "", "1", (make_task("a"), make_task("b"))))
        manager.sets.put_nowait(AssignmentSet(False, "1", "2", (make_task("c"),), ("a",)))
        await until(lambda: len(agent.applied) == 2)
    assert agent.applied == [("complete", ["a", "b"], []), ("incremental", ["c"], ["a"])]


async def test_a_missing_difference_ends_the_session_and_the_next_begins_with_all() -> None:
    agent = Agent("m")
    async with running(agent):
        manager = await opened(agent)
        manager.sets.put_nowait(AssignmentSet(True, "", "1", (make_task("a"),)))
        manager.sets.put_nowait(AssignmentSet(False, "7", "8", (make_task("x"),)))
        await until(lambda: manager.closed == 1)
        assert "an assignment message is missing" in agent.loop.state.error
        await opened(agent, session_id="s2")
        manager.sets.put_nowait(AssignmentSet(True, "", "9", ()))
        await until(lambda: len(agent.applied) == 2)
    assert agent.applied == [("complete", ["a"], []), ("complete", [], [])]


@pytest.mark.parametrize("part", ["news", "sets", "heart", "news ends", "sets end"])
async def test_when_one_part_breaks_the_whole_session_ends_and_a_new_one_opens(part: str) -> None:
    agent = Agent("m")
    error = LinkError("Unavailable", "the cable broke")
    async with running(agent):
        manager = agent.managers["m"]
        manager.news.put_nowait(dataclasses.replace(told(), heartbeat=SECOND // 100))
        await until(lambda: agent.loop.state.session_id == "s1")
        match part:
            case "news":
                manager.news.put_nowait(error)
            case "sets":
                manager.sets.put_nowait(error)
            case "heart":
                manager.heart = error
            case "news ends":
                manager.news.put_nowait(None)
            case "sets end":
                manager.sets.put_nowait(None)
        await until(lambda: manager.closed == 1)
        assert agent.send is None
        manager.heart = None
        await opened(agent, session_id="s2")
        assert agent.send is not None
    assert manager.closed == manager.opened


async def test_heartbeats_go_out_at_the_period_the_manager_says() -> None:
    agent = Agent("m")
    async with running(agent):
        manager = agent.managers["m"]
        manager.news.put_nowait(dataclasses.replace(told(), heartbeat=SECOND // 100))
        await until(lambda: manager.beats >= 3)
        assert agent.loop.state.session_id == "s1"


async def test_where_the_manager_pings_no_heartbeats_go_out() -> None:
    agent = Agent("m")
    async with running(agent):
        manager = agent.managers["m"]
        manager.news.put_nowait(dataclasses.replace(told(), heartbeat=SECOND // 100, ping=SECOND))
        await until(lambda: agent.loop.state.session_id == "s1")
        manager.news.put_nowait(Ping(SECOND))
        await asyncio.sleep(0.1)
        assert (manager.beats, manager.opened, len(agent.news)) == (0, 1, 1)


async def test_a_manager_that_stops_pinging_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_room, "LEAST_PATIENCE", 0.1)
    agent = Agent("m")
    async with running(agent):
        manager = agent.managers["m"]
        manager.news.put_nowait(dataclasses.replace(told(), ping=SECOND // 1000))
        await until(lambda: manager.closed == 1)
        assert "the manager was silent for 0.1 s" in agent.loop.state.error
        await opened(agent, session_id="s2")


async def test_pings_keep_a_session_and_say_how_long_to_wait_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_room, "LEAST_PATIENCE", 0.01)
    agent = Agent("m")
    async with running(agent):
        manager = agent.managers["m"]
        manager.news.put_nowait(dataclasses.replace(told(), ping=3600 * SECOND))
        manager.news.put_nowait(Ping(3600 * SECOND))
        await until(lambda: agent.loop.state.session_id == "s1" and manager.news.empty())
        await asyncio.sleep(0.05)
        assert manager.closed == 0
        manager.news.put_nowait(Ping(1))
        await until(lambda: manager.closed == 1)
        assert "was silent" in agent.loop.state.error


async def test_a_manager_that_refuses_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent("a", "b")
    monkeypatch.setattr(session_room, "OPEN_TIMEOUT", 0.1)
    numbers = iter([0.0] * 3 + [0.9999] * 1000)
    agent.loop._remotes._dice = lambda: next(numbers)
    agent.managers["a"].news.put_nowait(LinkError("Unavailable", "this manager is not the leader of the swarm"))
    async with running(agent):
        agent.managers["b"].news.put_nowait(told(managers=(("a", "a:2377"), ("b", "b:2377"))))
        await until(lambda: agent.loop.state.manager == "b:2377")
    assert agent.connects[0] == ("a", "a:2377")
    assert agent.managers["a"].closed >= 1


async def test_a_manager_that_does_not_answer_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_room, "OPEN_TIMEOUT", 0.05)
    agent = Agent("m")
    async with running(agent):
        await until(lambda: "no answer within" in agent.loop.state.error)
        await opened(agent)
    assert agent.managers["m"].opened >= 2


async def test_a_stream_that_ends_before_it_began_is_an_error() -> None:
    agent = Agent("m")
    agent.managers["m"].news.put_nowait(None)
    async with running(agent):
        await until(lambda: "the session ended before it began" in agent.loop.state.error)
        await opened(agent)


@pytest.mark.parametrize("when", ["opening", "open"])
async def test_a_removed_node_stops_asking(when: str) -> None:
    agent = Agent("m")
    error = LinkError("PermissionDenied", "Permission denied: node n was removed from swarm")
    task = asyncio.create_task(agent.loop.run())
    if when == "open":
        await opened(agent)
    agent.managers["m"].news.put_nowait(error)
    await asyncio.wait_for(task, 60)
    assert agent.loop.state.removed
    assert "removed from swarm" in agent.loop.state.error
    assert agent.managers["m"].closed == agent.managers["m"].opened == 1


async def test_other_refusals_are_tried_again() -> None:
    agent = Agent("m")
    agent.managers["m"].news.put_nowait(LinkError("PermissionDenied", "Permission denied: the certificate has expired"))
    async with running(agent):
        await until(lambda: "expired" in agent.loop.state.error)
        assert not agent.loop.state.removed
        await opened(agent)


async def test_the_list_of_managers_follows_the_news() -> None:
    agent = Agent("m")
    async with running(agent):
        manager = await opened(agent)
        manager.news.put_nowait(told(managers=(("m", "m:2377"), ("k", "k:2377"))))
        await until(lambda: len(agent.news) == 2)
        assert list(agent.loop._remotes) == [("k", "k:2377"), ("m", "m:2377")]
        assert manager.opened == 1


async def test_a_machine_that_changed_opens_a_new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_room, "DESCRIBE_EVERY", 0.02)
    agent = Agent("m")
    async with running(agent):
        manager = await opened(agent)
        agent.description = dataclasses.replace(HERE, memory_bytes=1)
        await until(lambda: manager.closed == 1)
        await opened(agent, session_id="s2")
    assert [description.memory_bytes for description, _ in manager.described[:2]] == [HERE.memory_bytes, 1]


async def test_a_restart_is_announced_and_a_failure_to_do_so_is_borne() -> None:
    agent = Agent("m")
    await agent.loop.restarting()
    async with running(agent):
        manager = await opened(agent)
        await agent.loop.restarting()
        assert manager.restarts == ["s1"]
        manager.restart_error = LinkError("Unavailable", "gone")
        await agent.loop.restarting()
    await agent.loop.restarting()
    assert manager.restarts == ["s1"]


@pytest.mark.parametrize(("seconds", "said"), [(0, 0), (59, 0), (61, 1), (-3600, 1)])
async def test_a_clock_far_from_the_manager_s_is_said_once(
    caplog: pytest.LogCaptureFixture, seconds: int, said: int
) -> None:
    agent = Agent("m")
    async with running(agent):
        for number in (1, 2):
            agent.managers["m"].news.put_nowait(told(at=NOW + seconds * SECOND))
            await until(lambda: len(agent.news) == number)  # noqa: B023
        assert agent.loop.state.skew == -seconds * SECOND
    assert caplog.text.count("certificates need right clocks") == said


async def test_another_certificate_opens_another_session_at_once() -> None:
    agent = Agent("m")
    agent.loop._pause.next = lambda: 3600.0  # type: ignore[method-assign]
    async with running(agent):
        manager = await opened(agent)
        agent.loop.certificate_changed()
        await until(lambda: manager.opened == 2)
        await opened(agent, session_id="s2")


async def test_a_manager_is_told_at_once_that_other_roots_are_trusted() -> None:
    agent = Agent("m")
    async with running(agent):
        manager = await opened(agent)
        agent.loop.roots_changed()
        await until(lambda: agent.looks == 2)
        assert manager.opened == 1  # nothing of the description is different
        agent.description = dataclasses.replace(agent.description, trust_root="another")
        agent.loop.roots_changed()
        await until(lambda: manager.opened == 2)


async def test_a_redirect_is_followed_at_once_and_the_leader_is_preferred() -> None:
    agent = Agent("a", "b")
    agent.managers["a"].news.put_nowait(RedirectError("b", "b:2377"))
    agent.loop._pause.next = lambda: 3600.0  # type: ignore[method-assign]
    async with running(agent):
        await opened(agent, "b")
        assert agent.connects == [("a", "a:2377"), ("b", "b:2377")]
        assert agent.loop._remotes._weights["a"] == 10.0  # no penalty
        assert agent.loop._remotes.select() == ("b", "b:2377")


async def test_a_redirect_to_a_manager_that_is_not_known_yet_is_followed() -> None:
    agent = Agent("a")
    agent.managers["x"] = Manager()
    agent.managers["a"].news.put_nowait(RedirectError("x", "10.0.0.3:2377"))
    async with running(agent):
        agent.managers["x"].news.put_nowait(told(managers=(("a", "a:2377"), ("x", "10.0.0.3:2377"))))
        await until(lambda: agent.loop.state.manager == "10.0.0.3:2377")
    assert agent.connects[-1] == ("x", "10.0.0.3:2377")


async def test_redirects_in_a_circle_are_not_followed_for_ever() -> None:
    agent = Agent("a", "b")
    pauses: list[int] = []
    agent.loop._pause.next = lambda: pauses.append(len(agent.connects)) or 0.0  # type: ignore[assignment,func-returns-value,method-assign]
    for _ in range(40):
        agent.managers["a"].news.put_nowait(RedirectError("b", "b:2377"))
        agent.managers["b"].news.put_nowait(RedirectError("a", "a:2377"))
    async with running(agent):
        await until(lambda: len(pauses) >= 3)
    assert pauses[0] == session_room.HOPS + 1
    assert "which is said to lead, does not serve" in agent.loop.state.error


async def test_a_manager_that_names_itself_is_not_asked_again_at_once() -> None:
    agent = Agent("a")
    pauses: list[None] = []
    agent.loop._pause.next = lambda: pauses.append(None) or 0.0  # type: ignore[assignment,func-returns-value,method-assign]
    agent.managers["a"].news.put_nowait(RedirectError("a", "a:2377"))
    async with running(agent):
        await until(lambda: len(pauses) == 1)
        await opened(agent, "a")


async def test_when_the_leader_dies_the_others_are_tried_and_the_dead_one_is_left_alone_for_a_while() -> None:
    agent = Agent("a", "b")
    agent.loop._remotes._dice = lambda: 0.5
    gone = LinkError("Unavailable", "connection refused")
    agent.loop._remotes.prefer("a")
    async with running(agent):
        dead, follower = agent.managers["a"], agent.managers["b"]
        await opened(agent, "a")
        for _ in range(2):
            follower.news.put_nowait(RedirectError("a", "a:2377"))  # it does not know yet
        follower.news.put_nowait(told("s2", managers=(("a", "a:2377"), ("b", "b:2377"))))  # it leads now
        dead.news.put_nowait(gone)
        await until(lambda: agent.loop.state.session_id == "s2")
    assert [name for name, _ in agent.connects] == ["a", "b", "b", "b"]


async def test_a_redirect_to_one_that_failed_is_followed_in_the_end() -> None:
    agent = Agent("a", "b")
    agent.loop._remotes._dice = lambda: 0.5
    agent.loop._remotes.prefer("a")
    async with running(agent):
        await opened(agent, "a")
        agent.managers["a"].news.put_nowait(LinkError("Unavailable", "for a moment"))
        for _ in range(session_room.SHUNNED + 1):
            agent.managers["b"].news.put_nowait(RedirectError("a", "a:2377"))
        await opened(agent, "a", "s2")
    assert [name for name, _ in agent.connects] == ["a", *["b"] * (session_room.SHUNNED + 1), "a"]


def test_pauses_are_short_while_a_leader_may_be_elected_and_long_later() -> None:
    pause = session_room._Pause(lambda: 1.0)
    quick = [pause.next() for _ in range(session_room.QUICK_TRIES)]
    assert max(quick) <= session_room.QUICK_MOST
    assert max(pause.next() for _ in range(10)) == session_room.SLOW_MOST
    pause.reset()
    assert pause.next() == 0.1


async def test_a_manager_without_a_leader_is_no_worse_than_before() -> None:
    agent = Agent("a", "b")
    agent.loop._remotes.prefer("a")
    agent.managers["a"].news.put_nowait(NoLeaderError("Unavailable", "the swarm has no leader"))
    async with running(agent):
        await until(lambda: "the swarm has no leader" in agent.loop.state.error)
        await opened(agent, "a")
        assert agent.loop._remotes._weights == {"a": 10.0, "b": 10.0}
        assert agent.loop._shunned == {}
