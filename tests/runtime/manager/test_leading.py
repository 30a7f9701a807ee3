# SPDX-License-Identifier: Apache-2.0
"""What only a leader does begins and ends with each leadership, and none of them writes in another's name."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable

import pytest
from runtime.manager.kit import DEADLINE, World

from queenright.decide.base import Decision, Dirty, Now
from queenright.manager import leading as room
from queenright.manager.dispatch import Dispatcher
from queenright.manager.leading import OVER, Leading
from queenright.manager.logs import LogBroker
from queenright.manager.proposer import LogProposer
from queenright.model.changes import Conflict, Update
from queenright.model.errors import NotLeading, Unavailable
from queenright.model.logs import LogOptions, LogRead, LogReadRequest
from queenright.model.objects import NodeDescription
from queenright.store.store import Store
from queenright.wire import codec


class Log:
    """A log of one leadership after the other, over the world's store."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_leader = False
        self.term = 0
        self.terms: list[int | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    failure = None

    @property
    def applied_index(self) -> int:
        return self.world.store.index

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def barrier(self) -> int:
        return self.applied_index

    async def propose(self, command: bytes, *, term: int | None = None) -> object:
        await self.gate.wait()
        if not self.is_leader or term not in (None, self.term):
            raise Unavailable("this manager is not the leader of the swarm")
        self.terms.append(term)
        conflict = self.world.store.apply(self.applied_index + 1, codec.decode_batch(command))
        assert conflict is None or isinstance(conflict, Conflict)
        return conflict


class Scene:
    def __init__(self) -> None:
        self.world = World.make()
        self.log = Log(self.world)
        self.asked: list[Dirty] = []
        self.failures: list[str] = []
        proposer = LogProposer(self.log, self.world.clock, self.world.group)
        context = dataclasses.replace(self.world.context, proposer=proposer)
        self.dispatcher = Dispatcher(
            self.world.store,
            proposer,
            self.world.clock,
            self.world.context.ids,
            node_id=self.world.manager_id,
            redirect=lambda: ("other", "other:2377"),
        )
        self.logs = LogBroker(self.world.store, self.world.clock, self.world.context.ids)
        self.leading = Leading(
            context,
            self.world.group,
            proposer,
            self.dispatcher,
            self.world.manager_id,
            dice=lambda: 0.5,
            on_failure=lambda name, error: self.failures.append(f"{name}: {error}"),
            logs=self.logs,
            deciders=[("one", self.decide)],
        )

    def decide(self, view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        self.asked.append(dirty)
        return Decision()

    def lead(self, term: int) -> None:
        self.log.is_leader, self.log.term = True, term
        self.leading.changed(True, term)

    def lose(self, term: int) -> None:
        self.log.is_leader, self.log.term = False, term
        self.leading.changed(False, term)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def session(self) -> object:
        return await self.dispatcher.open(self.world.store.node("one").id, NodeDescription(hostname="one"), "")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    made.world.worker("one")
    yield made
    await made.leading.stop()
    assert made.failures == []


async def test_nothing_runs_before_this_manager_leads(scene: Scene) -> None:
    scene.leading.changed(False, 1)
    await asyncio.sleep(0.01)
    assert (scene.asked, scene.leading.term) == ([], None)
    with pytest.raises(NotLeading) as caught:
        await scene.session()
    assert caught.value.leader == ("other", "other:2377")


async def test_a_leadership_decides_serves_agents_and_seats_managers_in_its_own_term(scene: Scene) -> None:
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    assert scene.asked[0].everything
    await scene.session()
    node = scene.world.manager("two", seated=False)
    await scene.until(lambda: node.id in scene.world.group.seats)
    assert scene.log.terms
    assert set(scene.log.terms) == {3}


async def test_its_end_ends_sessions_and_deciders(scene: Scene) -> None:
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    session = await scene.session()
    scene.lose(4)
    await scene.until(lambda: scene.leading.term is None)
    assert session.closed == OVER  # type: ignore[attr-defined]
    with pytest.raises(NotLeading):
        scene.dispatcher.heartbeat(scene.world.store.node("one").id, session.id)  # type: ignore[attr-defined]
    count = len(scene.asked)
    scene.world.worker("two")
    await asyncio.sleep(0.01)
    assert len(scene.asked) == count


async def test_the_next_leadership_begins_with_everything_and_a_fresh_grace(scene: Scene) -> None:
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    await scene.session()
    scene.lose(4)
    await scene.until(lambda: scene.leading.term is None)
    scene.world.clock.move(1000)
    scene.asked.clear()
    scene.lead(5)
    await scene.until(lambda: bool(scene.asked))
    assert scene.asked[0].everything
    assert scene.dispatcher.beats() == {}
    assert scene.dispatcher.since == scene.world.clock.mono()


async def test_leaderships_that_follow_each_other_at_once_leave_the_last_one(scene: Scene) -> None:
    for term in (3, 5, 7):
        scene.lead(term)
        scene.lose(term + 1)
    scene.lead(9)
    await scene.until(lambda: scene.leading.term == 9)
    await scene.session()
    assert set(scene.log.terms) == {9}


async def test_what_an_old_leadership_still_writes_does_not_get_into_the_log(scene: Scene) -> None:
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    scene.log.gate.clear()
    opening = asyncio.create_task(scene.session())
    await asyncio.sleep(0.01)
    scene.lose(4)
    scene.lead(5)
    await scene.until(lambda: scene.leading.term == 5)
    scene.log.gate.set()
    with pytest.raises(Unavailable):
        await opening
    assert 3 not in scene.log.terms


async def test_parts_that_end_although_leadership_goes_on_begin_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "AGAIN", 0.005)
    scene.leading.changed(True, 3)  # the log says it a moment before it is so
    await asyncio.sleep(0.01)
    scene.log.is_leader, scene.log.term = True, 3
    await scene.until(lambda: bool(scene.asked))
    node = scene.world.manager("two", seated=False)
    await scene.until(lambda: node.id in scene.world.group.seats)


async def test_other_members_and_heartbeats_wake_what_waits_for_them(scene: Scene) -> None:
    scene.leading.members_changed(())
    scene.leading.beat()
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    count = len(scene.asked)
    scene.leading.beat()
    await scene.until(lambda: len(scene.asked) > count)
    scene.leading.members_changed(())


async def test_a_defect_in_a_part_is_told(scene: Scene) -> None:
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    scene.dispatcher._mark = lambda task: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    scene.world.task(await scene.world.service(), 1)
    await scene.until(lambda: bool(scene.failures))
    assert scene.failures == ["dispatcher-follow: division by zero"]
    scene.failures.clear()


async def test_after_a_stop_nothing_begins(scene: Scene) -> None:
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    await scene.leading.stop()
    await scene.leading.stop()
    assert scene.leading.term is None
    with pytest.raises(NotLeading):
        await scene.session()


async def test_a_node_s_status_is_not_changed_by_leadership_itself(scene: Scene) -> None:
    before = scene.world.store.node("one")
    scene.lead(3)
    await scene.until(lambda: bool(scene.asked))
    assert scene.world.store.node("one") == before
    scene.world.proposer.put(Update(before))


async def test_logs_are_given_as_long_as_this_manager_leads(scene: Scene) -> None:
    service = await scene.world.service()
    request = LogReadRequest(service_ids=(service.id,), options=LogOptions(follow=True))
    for term in (1, 2):
        scene.lead(term)
        await scene.until(lambda: scene.logs.running)
        reading = scene.logs.read(request)
        assert await anext(reading) == LogRead()
        scene.lose(term)
        with pytest.raises(NotLeading, match=OVER):
            await anext(reading)
        assert not scene.logs.running
        with pytest.raises(NotLeading):
            await anext(scene.logs.read(request))
