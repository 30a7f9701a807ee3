# SPDX-License-Identifier: Apache-2.0
"""Sessions, heartbeats, assignments and statuses, over a real store."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest

from queenright.decide.liveness import Beat
from queenright.manager.conflict import ConflictError
from queenright.manager.dispatch import Dispatcher
from queenright.manager.registering import MOST_SESSIONS, SESSION_EVERY
from queenright.manager.statuses import merge_status
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.errors import InvalidArgument, NotFound, NotLeading, PermissionDenied, Unavailable
from queenright.model.objects import Cluster, Node, NodeDescription, Task, TaskStatus
from queenright.model.states import NodeState, TaskState
from queenright.spec.service import TaskSpec
from queenright.store.store import Store
from queenright.wire.messages import Ping, SessionNews

DESCRIPTION = NodeDescription(hostname="h1", nano_cpus=2_000_000_000)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def wall(self) -> int:
        return int(self.now * 1e9)

    def mono(self) -> float:
        return self.now


class Proposer:
    """Applies at once, like a log that never waits; ``entries`` counts them, ``before`` runs ahead of the next one."""

    is_leader = True

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.entries = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def propose(self, changes: Sequence[Change]) -> int:
        await self.gate.wait()
        self.entries += 1
        conflict = self.store.apply(self.store.index + 1, Batch(self.clock.wall(), tuple(changes)))
        if conflict is not None:
            raise ConflictError(conflict)
        return self.store.index

    async def barrier(self) -> int:
        return self.store.index


class Scene:
    def __init__(self) -> None:
        self.store, self.clock = Store(), Clock()
        self.proposer = Proposer(self.store, self.clock)
        counter = itertools.count(1)
        self.dispatcher = Dispatcher(self.store, self.proposer, self.clock, lambda: f"id{next(counter)}")

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(self.clock.wall(), changes)) is None

    def status_of(self, task_id: str) -> TaskStatus:
        task = self.store.tasks.get(task_id)
        assert task is not None
        return task.status


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    made.write(Create(Cluster(id="c")), Create(Node(id="n1")), Create(Node(id="n2")))
    made.dispatcher.start()
    await asyncio.sleep(0)
    yield made
    await made.dispatcher.stop()


def task(task_id: str, node_id: str = "n1", state: TaskState = TaskState.ASSIGNED) -> Task:
    return Task(id=task_id, service_id="s", node_id=node_id, spec=TaskSpec(), status=TaskStatus(state=state))


async def test_a_session_makes_the_node_ready_with_its_description(scene: Scene) -> None:
    await scene.dispatcher.open("n1", DESCRIPTION, "10.0.0.1")
    node = scene.store.nodes.get("n1")
    assert node is not None
    assert (node.status.state, node.status.addr, node.description) == (NodeState.READY, "10.0.0.1", DESCRIPTION)


async def test_an_unknown_node_gets_no_session(scene: Scene) -> None:
    with pytest.raises(NotFound, match="node not registered"):
        await scene.dispatcher.open("stranger", DESCRIPTION, "")


async def test_a_session_that_opens_again_with_nothing_new_writes_nothing(scene: Scene) -> None:
    await scene.dispatcher.open("n1", DESCRIPTION, "a")
    entries = scene.proposer.entries
    await scene.dispatcher.open("n1", DESCRIPTION, "a")
    assert scene.proposer.entries == entries


async def test_a_new_session_ends_the_old_one(scene: Scene) -> None:
    old = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    new = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    assert old.closed
    assert not new.closed
    with pytest.raises(InvalidArgument, match="session invalid"):
        scene.dispatcher.heartbeat("n1", old.id)


async def _open_all(scene: Scene) -> None:
    """All the sessions that one node may open in a row."""
    for _ in range(MOST_SESSIONS):
        await scene.dispatcher.open("n1", DESCRIPTION, "a")


async def test_too_many_sessions_in_a_short_time_are_put_off(scene: Scene) -> None:
    await _open_all(scene)
    with pytest.raises(Unavailable, match="too many sessions"):
        await scene.dispatcher.open("n1", DESCRIPTION, "a")
    scene.clock.now += SESSION_EVERY
    assert await scene.dispatcher.open("n1", DESCRIPTION, "a")
    with pytest.raises(Unavailable, match="too many sessions"):
        await scene.dispatcher.open("n1", DESCRIPTION, "a")
    scene.clock.now += 3600
    await _open_all(scene)
    with pytest.raises(Unavailable, match="too many sessions"):
        await scene.dispatcher.open("n1", DESCRIPTION, "a")


async def test_nobody_is_put_off_by_the_sessions_that_others_open(scene: Scene) -> None:
    await _open_all(scene)
    assert await scene.dispatcher.open("n2", DESCRIPTION, "b")


async def test_a_refused_session_is_a_sign_of_life_too(scene: Scene) -> None:
    await _open_all(scene)
    scene.clock.now += SESSION_EVERY / 2
    with pytest.raises(Unavailable, match="too many sessions"):
        await scene.dispatcher.open("n1", DESCRIPTION, "a")
    assert scene.dispatcher.beats()["n1"].heard == scene.clock.now


async def test_what_a_node_says_is_a_sign_of_life(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a", pinged=True)

    async def statuses() -> None:
        await scene.dispatcher.update_statuses("n1", session.id, [])

    async def heartbeat() -> None:
        assert scene.dispatcher.heartbeat("n1", session.id) == 5_000_000_000

    async def pong() -> None:
        scene.dispatcher.pong(session)

    for say in (statuses, heartbeat, pong):
        scene.clock.now += 0.5
        await say()
        assert scene.dispatcher.beats()["n1"].heard == scene.clock.now


async def test_a_node_that_restarts_gets_a_grace_of_a_minute(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    assert scene.dispatcher.restarting("n1", session.id) == 60_000_000_000
    assert scene.dispatcher.beats()["n1"].restarting_until == scene.clock.now + 60


async def test_a_session_whose_stream_broke_is_none_any_more(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a", pinged=True)
    scene.clock.now += 0.5
    scene.dispatcher.lost(session)
    assert scene.dispatcher.beats()["n1"].broken == scene.clock.now
    with pytest.raises(InvalidArgument, match="session invalid"):
        scene.dispatcher.heartbeat("n1", session.id)
    await scene.dispatcher.open("n1", DESCRIPTION, "a", pinged=True)
    assert scene.dispatcher.beats()["n1"].broken is None


async def test_the_end_of_a_stream_whose_session_was_replaced_says_nothing(scene: Scene) -> None:
    earlier = await scene.dispatcher.open("n1", DESCRIPTION, "a", pinged=True)
    await scene.dispatcher.open("n1", DESCRIPTION, "a", pinged=True)
    heard = scene.dispatcher.beats()["n1"].heard
    scene.clock.now += 0.5
    scene.dispatcher.lost(earlier)
    scene.dispatcher.pong(earlier)
    assert scene.dispatcher.beats()["n1"] == Beat(heard=heard)


async def test_pings_come_between_news_on_the_same_stream(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a", pinged=True)
    stream = scene.dispatcher.news(session)
    first = await anext(stream)
    assert isinstance(first, SessionNews)
    assert first.ping == 1_000_000_000
    scene.clock.now += 1
    scene.dispatcher._pulse.tick()
    scene.dispatcher._pulse.tick()
    told = [await asyncio.wait_for(anext(stream), 8)]
    while not isinstance(told[-1], Ping):  # what was written before the session opened
        told.append(await asyncio.wait_for(anext(stream), 8))
    assert told[-1] == Ping(1_000_000_000)
    assert not session.stirred.is_set()


async def test_an_agent_that_answers_no_pings_gets_none(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    first = await anext(scene.dispatcher.news(session))
    assert isinstance(first, SessionNews)
    assert first.ping == 0
    scene.clock.now += 1
    scene.dispatcher._pulse.tick()
    assert not session.ping_due


async def test_a_node_that_is_down_has_no_session_and_is_forgotten(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a", pinged=True)
    node = scene.store.nodes.get("n1")
    assert node is not None
    down = dataclasses.replace(node.status, state=NodeState.DOWN, message="heartbeat failure")
    scene.write(Update(dataclasses.replace(node, status=down)))
    await asyncio.sleep(0.01)
    assert (session.closed, scene.dispatcher.beats()) == ("heartbeat failure", {})


async def test_assignments_begin_with_the_complete_set_of_the_own_node(scene: Scene) -> None:
    scene.write(Create(task("t1")), Create(task("t2", "n2")), Create(task("t3", state=TaskState.PENDING)))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    first = await anext(scene.dispatcher.assignments(session))
    assert first.complete
    assert [one.id for one in first.updates] == ["t1"]


async def test_a_new_task_and_a_removed_one_come_as_a_difference(scene: Scene) -> None:
    scene.write(Create(task("t1")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.assignments(session)
    first = await anext(stream)
    scene.write(Create(task("t2")), Delete("task", "t1"))
    change = await asyncio.wait_for(anext(stream), 8)
    assert not change.complete
    assert change.applies_to == first.results_in
    assert ([one.id for one in change.updates], list(change.removes)) == (["t2"], ["t1"])


async def test_a_difference_costs_nothing_for_tasks_that_did_not_change(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write(*(Create(task(f"t{number}")) for number in range(9)))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.assignments(session)
    await anext(stream)
    scene.write(Create(task("u0")))
    await asyncio.wait_for(anext(stream), 8)  # with it the news of all that was written before is behind us
    asked: list[str] = []
    get = scene.store.tasks.get
    monkeypatch.setattr(scene.store.tasks, "by", lambda *_: pytest.fail("all tasks of the node were looked at"))
    monkeypatch.setattr(scene.store.tasks, "get", lambda key: asked.append(key) or get(key))
    scene.write(Create(task("u2")), Create(task("u1")))
    change = await asyncio.wait_for(anext(stream), 8)
    assert [one.id for one in change.updates] == ["u2", "u1"]
    assert set(asked) == {"u1", "u2"}


async def test_a_task_that_came_and_went_between_two_messages_is_not_sent(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.assignments(session)
    await anext(stream)
    scene.write(Create(task("t1")))
    scene.write(Delete("task", "t1"), Create(task("t2")))
    change = await asyncio.wait_for(anext(stream), 8)
    assert ([one.id for one in change.updates], list(change.removes)) == (["t2"], [])


async def test_a_task_of_which_only_the_status_changed_is_not_sent_again(scene: Scene) -> None:
    scene.write(Create(task("t1")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.assignments(session)
    await anext(stream)
    await scene.dispatcher.update_statuses("n1", session.id, [("t1", TaskStatus(state=TaskState.RUNNING))])
    scene.write(Create(task("t2")))
    change = await asyncio.wait_for(anext(stream), 8)
    assert [one.id for one in change.updates] == ["t2"]


async def test_a_status_is_durable_when_the_call_returns(scene: Scene) -> None:
    scene.write(Create(task("t1")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    scene.proposer.gate.clear()
    call = asyncio.create_task(
        scene.dispatcher.update_statuses("n1", session.id, [("t1", TaskStatus(state=TaskState.RUNNING, at=5))])
    )
    for _ in range(10):
        await asyncio.sleep(0)
    assert not call.done()
    scene.proposer.gate.set()
    await asyncio.wait_for(call, 8)
    status = scene.status_of("t1")
    assert (status.state, status.at, status.applied_at) == (TaskState.RUNNING, 5, scene.clock.wall())
    assert status.running_since == scene.clock.wall()


async def test_statuses_that_arrive_during_a_write_share_the_next_entry(scene: Scene) -> None:
    scene.write(*(Create(task(f"t{n}")) for n in range(20)))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    entries = scene.proposer.entries
    scene.proposer.gate.clear()
    status = TaskStatus(state=TaskState.RUNNING)
    calls = [
        asyncio.create_task(scene.dispatcher.update_statuses("n1", session.id, [(f"t{n}", status)])) for n in range(20)
    ]
    for _ in range(10):
        await asyncio.sleep(0)
    scene.proposer.gate.set()
    await asyncio.wait_for(asyncio.gather(*calls), 8)
    assert scene.proposer.entries - entries <= 2
    assert all(scene.status_of(f"t{n}").state == TaskState.RUNNING for n in range(20))


async def test_another_node_s_task_cannot_be_reported(scene: Scene) -> None:
    scene.write(Create(task("t1")), Create(task("t2", "n2")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    status = TaskStatus(state=TaskState.RUNNING)
    with pytest.raises(PermissionDenied):
        await scene.dispatcher.update_statuses("n1", session.id, [("t1", status), ("t2", status)])
    assert scene.status_of("t1").state == TaskState.ASSIGNED


async def test_a_status_of_a_task_that_is_gone_is_passed_over(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    await scene.dispatcher.update_statuses("n1", session.id, [("gone", TaskStatus(state=TaskState.RUNNING))])
    assert scene.store.tasks.get("gone") is None


async def test_a_status_survives_a_change_of_the_task_under_way(scene: Scene) -> None:
    scene.write(Create(task("t1")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    original = scene.proposer.propose

    async def interfere(changes: Sequence[Change]) -> int:
        scene.proposer.propose = original  # type: ignore[method-assign]
        held = scene.store.tasks.get("t1")
        assert held is not None
        scene.write(Update(dataclasses.replace(held, desired_state=TaskState.SHUTDOWN)))
        return await original(changes)

    scene.proposer.propose = interfere  # type: ignore[method-assign]
    await scene.dispatcher.update_statuses("n1", session.id, [("t1", TaskStatus(state=TaskState.RUNNING))])
    found = scene.store.tasks.get("t1")
    assert found is not None
    assert (found.desired_state, found.status.state) == (TaskState.SHUTDOWN, TaskState.RUNNING)


async def test_a_removed_node_s_session_ends_with_the_reason(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.assignments(session)
    await anext(stream)
    scene.write(Delete("node", "n1"))
    with pytest.raises(Unavailable, match="was removed from swarm"):
        await asyncio.wait_for(anext(stream), 8)


async def test_news_come_again_when_the_node_changes(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.news(session)
    first = await anext(stream)
    assert first.session_id == session.id
    node = scene.store.nodes.get("n1")
    assert node is not None
    scene.write(Update(dataclasses.replace(node, spec=dataclasses.replace(node.spec, availability="drain"))))
    second = await asyncio.wait_for(anext(stream), 8)
    assert second.node.availability == "drain"


async def test_stopping_ends_the_streams_and_refuses_what_waits(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.assignments(session)
    await anext(stream)
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    await scene.dispatcher.stop()
    with pytest.raises(Unavailable, match="the manager is stopping"):
        await asyncio.wait_for(waiting, 8)


def test_a_state_never_goes_back() -> None:
    held = TaskStatus(state=TaskState.FAILED, applied_at=5)
    assert merge_status(held, TaskStatus(state=TaskState.RUNNING), 9) is None


def test_a_report_that_says_nothing_new_is_not_written() -> None:
    held = TaskStatus(state=TaskState.RUNNING, at=3, applied_at=5, running_since=5)
    assert merge_status(held, TaskStatus(state=TaskState.RUNNING, at=3), 9) is None


def test_the_first_running_is_remembered_to_the_end() -> None:
    running = merge_status(TaskStatus(), TaskStatus(state=TaskState.RUNNING), 7)
    assert running is not None
    failed = merge_status(running, TaskStatus(state=TaskState.FAILED, exit_code=1), 9)
    assert failed is not None
    assert (failed.running_since, failed.applied_at, failed.exit_code) == (7, 9, 1)


async def test_who_does_not_lead_says_who_does(scene: Scene) -> None:
    await scene.dispatcher.stop("no more leader")
    elsewhere: tuple[str, str] | None = ("m2", "m2:2377")
    scene.dispatcher._redirect = lambda: elsewhere
    with pytest.raises(NotLeading, match="not the leader") as caught:
        await scene.dispatcher.open("n1", DESCRIPTION, "a")
    assert caught.value.leader == ("m2", "m2:2377")
    elsewhere = None
    for call in (
        lambda: scene.dispatcher.heartbeat("n1", "s"),
        lambda: scene.dispatcher.restarting("n1", "s"),
        lambda: scene.dispatcher.session("n1", "s"),
    ):
        with pytest.raises(NotLeading, match="The swarm does not have a leader") as caught:
            call()
        assert caught.value.leader is None


async def test_it_begins_anew_with_nothing_of_the_leadership_before(scene: Scene) -> None:
    scene.write(Create(task("t1")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    for _ in range(2):
        await scene.dispatcher.open("n2", DESCRIPTION, "a")
    await scene.dispatcher.stop("this manager leads the swarm no more")
    assert session.closed == "this manager leads the swarm no more"
    scene.clock.now += 1
    other = Proposer(scene.store, scene.clock)
    entries = scene.proposer.entries
    scene.dispatcher.start(other)
    assert (scene.dispatcher.beats(), scene.dispatcher.since) == ({}, scene.clock.now)
    for _ in range(3):  # the rate of the leadership before does not count
        await scene.dispatcher.open("n2", DESCRIPTION, "b")
    assert (scene.proposer.entries, other.entries) == (entries, 1)
    with pytest.raises(RuntimeError, match="runs already"):
        scene.dispatcher.start()


async def test_a_session_whose_leadership_ended_while_it_was_opened_is_none(scene: Scene) -> None:
    scene.proposer.gate.clear()
    opening = asyncio.create_task(scene.dispatcher.open("n1", DESCRIPTION, "a"))
    await asyncio.sleep(0.01)
    await scene.dispatcher.stop("over")
    scene.dispatcher.start()
    scene.proposer.gate.set()
    with pytest.raises(NotLeading):
        await opening
    assert scene.dispatcher.beats() == {}


async def test_statuses_that_were_being_written_when_leadership_ended_are_refused(scene: Scene) -> None:
    scene.write(Create(task("t1")), Create(task("t2")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    scene.proposer.gate.clear()
    status = TaskStatus(state=TaskState.RUNNING)
    writing = asyncio.create_task(scene.dispatcher.update_statuses("n1", session.id, [("t1", status)]))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(scene.dispatcher.update_statuses("n1", session.id, [("t2", status)]))
    await asyncio.sleep(0.01)
    await scene.dispatcher.stop("over")
    for call in (writing, waiting):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(call, 8)
    scene.dispatcher.start()
    scene.proposer.gate.set()
    await asyncio.sleep(0.01)
    assert {scene.status_of(key).state for key in ("t1", "t2")} == {TaskState.ASSIGNED}


async def test_a_session_tells_since_when_the_node_is_ready(scene: Scene) -> None:
    await scene.dispatcher.open("n1", DESCRIPTION, "a")
    began = scene.clock.wall()
    scene.clock.now += 3
    await scene.dispatcher.open("n1", NodeDescription(hostname="other"), "a")
    node = scene.store.nodes.get("n1")
    assert node is not None
    assert (node.hostname, node.status.since, node.status.silent_since) == ("other", began, 0)
    gone = dataclasses.replace(node.status, state=NodeState.DISCONNECTED, since=5, silent_since=4)
    scene.write(Update(dataclasses.replace(node, status=gone)))
    await scene.dispatcher.open("n1", DESCRIPTION, "a")
    node = scene.store.nodes.get("n1")
    assert node is not None
    assert (node.status.since, node.status.silent_since) == (scene.clock.wall(), 0)


def manager(key: str) -> Node:
    return Node(id=key, role="manager", manager_addr=f"{key}:2377")


async def test_agents_are_told_of_all_managers_the_leader_first(scene: Scene) -> None:
    scene.dispatcher._node_id = "m2"
    scene.write(*(Create(manager(key)) for key in ("m3", "m1", "m2")), Create(Node(id="m4", role="manager")))
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    news = await anext(scene.dispatcher.news(session))
    assert news.managers == (("m2", "m2:2377"), ("m1", "m1:2377"), ("m3", "m3:2377"))


async def test_agents_hear_of_managers_that_come_move_and_go_but_not_of_their_statuses(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.news(session)
    await anext(stream)
    await asyncio.sleep(0.01)
    while session.stirred.is_set():  # what was written before it opened
        await asyncio.wait_for(anext(stream), 8)

    async def told() -> tuple[tuple[str, str], ...]:
        news = await asyncio.wait_for(anext(stream), 8)
        assert isinstance(news, SessionNews)
        return news.managers

    scene.write(Create(manager("m1")))
    assert await told() == (("m1", "m1:2377"),)
    held = scene.store.nodes.get("m1")
    assert held is not None
    scene.write(Update(dataclasses.replace(held, description=DESCRIPTION)))
    await asyncio.sleep(0.01)
    assert not session.stirred.is_set()
    held = scene.store.nodes.get("m1")
    assert held is not None
    scene.write(Update(dataclasses.replace(held, manager_addr="m1.new:2377")))
    assert await told() == (("m1", "m1.new:2377"),)
    held = scene.store.nodes.get("m1")
    assert held is not None
    scene.write(Update(dataclasses.replace(held, role="worker", manager_addr="")))
    assert await told() == ()


async def test_a_node_hears_that_it_shall_have_another_role_and_that_it_has_it(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.news(session)
    await anext(stream)
    for field in ("spec", "role"):
        node = scene.store.nodes.get("n1")
        assert node is not None
        value = dataclasses.replace(node.spec, role="manager") if field == "spec" else "manager"
        scene.write(Update(dataclasses.replace(node, **{field: value})))
        async with asyncio.timeout(8):
            while True:
                told = (await anext(stream)).node
                if (told.spec.role if field == "spec" else told.role) == "manager":
                    break


async def test_a_session_keeps_what_the_managers_say_of_a_ready_node(scene: Scene) -> None:
    await scene.dispatcher.open("n1", DESCRIPTION, "a")
    node = scene.store.nodes.get("n1")
    assert node is not None
    scene.write(Update(dataclasses.replace(node, status=dataclasses.replace(node.status, message="no answer"))))
    await scene.dispatcher.open("n1", DESCRIPTION, "a")
    node = scene.store.nodes.get("n1")
    assert node is not None
    assert node.status.message == "no answer"
    down = dataclasses.replace(node.status, state=NodeState.DOWN, message="heartbeat failure")
    scene.write(Update(dataclasses.replace(node, status=down)))
    await scene.dispatcher.open("n1", DESCRIPTION, "a")
    node = scene.store.nodes.get("n1")
    assert node is not None
    assert node.status.message == ""


async def test_what_an_agent_says_of_its_machine_is_stored_in_bounds(scene: Scene) -> None:
    await scene.dispatcher.open("n1", NodeDescription(hostname="h\x1b[31m1\n", nano_cpus=-5), "10.0.0.1\n")
    node = scene.store.nodes.get("n1")
    assert node is not None
    assert (node.hostname, node.description.nano_cpus, node.status.addr) == ("h[31m1", 0, "")


async def test_a_snapshot_that_takes_the_place_of_everything_ends_the_sessions(scene: Scene) -> None:
    session = await scene.dispatcher.open("n1", DESCRIPTION, "a")
    stream = scene.dispatcher.assignments(session)
    await anext(stream)
    scene.store.adopt(scene.store.prepare_restore(9, scene.store.freeze()()))
    with pytest.raises(Unavailable, match="replaced by a snapshot"):
        await asyncio.wait_for(anext(stream), 8)
