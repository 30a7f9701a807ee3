# SPDX-License-Identifier: Apache-2.0
"""The loop asks deciders about what changed, wakes them when they wanted, and loses nothing to a conflict."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from queenright.decide.base import Decision, Dirty, Now
from queenright.manager import reconcile as room
from queenright.manager.conflict import ConflictError
from queenright.manager.reconcile import Reconciler
from queenright.model.changes import Batch, Change, Conflict, Create, Update
from queenright.model.errors import OutcomeUnknown, Unavailable
from queenright.model.objects import Node, Task
from queenright.model.states import TaskState
from queenright.spec.service import TaskSpec
from queenright.store.store import Store

Answer = Callable[[Store, Dirty, Now], Decision]


class Clock:
    def wall(self) -> int:
        return 1_000_000_000

    def mono(self) -> float:
        return asyncio.get_running_loop().time()


class Proposer:
    is_leader = True

    def __init__(self, store: Store) -> None:
        self.store = store
        self.refuse = 0
        self.errors: list[Exception] = []
        self.sizes: list[int] = []

    async def propose(self, changes: Sequence[Change]) -> int:
        self.sizes.append(len(changes))
        if changes and self.errors:
            raise self.errors.pop(0)
        if self.refuse:
            self.refuse -= 1
            raise ConflictError(Conflict("task", "t", "changed meanwhile"))
        conflict = self.store.apply(self.store.index + 1, Batch(1, tuple(changes)))
        assert conflict is None
        return self.store.index

    async def barrier(self) -> int:
        return self.store.index


class Scene:
    running: asyncio.Task[None]

    def __init__(self) -> None:
        self.store = Store()
        self.proposer = Proposer(self.store)
        self.asked: list[Dirty] = []
        self.answers: list[Answer] = []
        self.changed = asyncio.Event()
        counter = itertools.count()
        self.loop = Reconciler(self.store, self.proposer, Clock(), lambda: f"id{next(counter)}", [("one", self.decide)])

    def decide(self, view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        self.asked.append(dataclasses.replace(dirty, tasks=set(dirty.tasks), nodes=set(dirty.nodes)))
        self.changed.set()
        return self.answers.pop(0)(view, dirty, now) if self.answers else Decision()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self.changed.clear()
                await self.changed.wait()

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(1, changes)) is None


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    made.running = asyncio.create_task(made.loop.run())
    await made.until(lambda: bool(made.asked))
    yield made
    made.running.cancel()
    await asyncio.gather(made.running, return_exceptions=True)


async def test_a_leader_begins_with_everything(scene: Scene) -> None:
    assert scene.asked[0].everything


async def test_only_what_changed_is_asked_about(scene: Scene) -> None:
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: len(scene.asked) > 1)
    assert (scene.asked[1].everything, scene.asked[1].nodes, scene.asked[1].tasks) == (False, {"n1"}, set())


async def test_a_decision_is_written_and_its_effects_are_asked_about_again(scene: Scene) -> None:
    scene.answers = [lambda view, dirty, now: Decision((Create(Task(id="t1", service_id="s", spec=TaskSpec())),))]
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: any("t1" in dirty.tasks for dirty in scene.asked))
    assert "t1" in scene.store.tasks


async def test_a_decider_is_asked_again_at_its_time_though_nothing_changed(scene: Scene) -> None:
    scene.answers = [lambda view, dirty, now: Decision(wake_at=now.mono + 0.02)]
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: len(scene.asked) > 2)
    assert not scene.asked[2]


async def test_an_answer_without_a_time_takes_the_earlier_time_back(scene: Scene) -> None:
    scene.answers = [lambda view, dirty, now: Decision(wake_at=now.mono + 0.05), lambda view, dirty, now: Decision()]
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: len(scene.asked) > 1)
    scene.write(Create(Node(id="n2")))
    await scene.until(lambda: len(scene.asked) > 2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await scene.until(lambda: len(scene.asked) > 3)


async def test_a_conflict_is_decided_again(scene: Scene) -> None:
    def want(view: Store, dirty: Dirty, now: Now) -> Decision:
        node = view.nodes.get("n1")
        assert node is not None
        return Decision((Update(dataclasses.replace(node, role="manager")),))

    scene.proposer.refuse = 2
    scene.answers = [want, want, want]
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: (found := scene.store.nodes.get("n1")) is not None and found.role == "manager")
    assert len(scene.proposer.sizes) == 3


async def test_a_long_decision_is_cut_into_entries(scene: Scene) -> None:
    made = tuple(Create(Task(id=f"t{n}", service_id="s", spec=TaskSpec())) for n in range(450))
    scene.answers = [lambda view, dirty, now: Decision(made)]
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: len(scene.store.tasks) == 450)
    assert scene.proposer.sizes == [200, 200, 50]


async def test_a_poke_asks_before_the_time(scene: Scene) -> None:
    scene.answers = [lambda view, dirty, now: Decision(wake_at=now.mono + 10_000)]
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: len(scene.asked) > 1)
    scene.loop.poke()
    await scene.until(lambda: len(scene.asked) > 2)
    assert not scene.asked[2]


async def test_a_status_of_a_task_does_not_make_its_service_dirty(scene: Scene) -> None:
    scene.write(Create(Task(id="t1", service_id="s", spec=TaskSpec())))
    await scene.until(lambda: len(scene.asked) > 1)
    task = scene.store.tasks.get("t1")
    assert task is not None
    status = dataclasses.replace(task.status, state=TaskState.RUNNING)
    scene.write(Update(dataclasses.replace(task, status=status)))
    await scene.until(lambda: len(scene.asked) > 2)
    assert (scene.asked[1].services, scene.asked[2].services) == ({"s"}, set())


async def test_whoever_leads_no_more_decides_nothing(scene: Scene) -> None:
    scene.proposer.is_leader = False
    scene.write(Create(Node(id="n1")))
    await asyncio.wait_for(scene.running, 20)
    assert len(scene.asked) == 1


@pytest.mark.parametrize("error", [Unavailable("too many writes at once"), OutcomeUnknown("who knows")])
async def test_what_the_log_does_not_take_is_decided_anew(
    scene: Scene, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BUSY", 0.001)
    made = Create(Task(id="t1", service_id="s", spec=TaskSpec()))
    scene.proposer.errors = [error, error]
    scene.answers = [lambda view, dirty, now: Decision((made,))] * 3
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: "t1" in scene.store.tasks)
    assert [dirty.nodes for dirty in scene.asked[1:4]] == [{"n1"}] * 3


async def test_losing_leadership_in_the_middle_of_a_write_ends_the_loop_quietly(scene: Scene) -> None:
    def lose(view: Store, dirty: Dirty, now: Now) -> Decision:
        scene.proposer.is_leader = False
        return Decision((Create(Task(id="t1", service_id="s", spec=TaskSpec())),))

    scene.proposer.errors = [Unavailable("this manager is not the leader of the swarm")]
    scene.answers = [lose]
    scene.write(Create(Node(id="n1")))
    await asyncio.wait_for(scene.running, 20)
    assert "t1" not in scene.store.tasks


async def test_a_snapshot_that_takes_the_place_of_everything_makes_all_dirty(scene: Scene) -> None:
    scene.store.adopt(scene.store.prepare_restore(5, iter(())))
    await scene.until(lambda: len(scene.asked) > 1)
    assert scene.asked[1].everything


async def test_a_decider_of_nodes_is_not_asked_because_of_tasks(scene: Scene) -> None:
    of_nodes: list[Dirty] = []

    def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        of_nodes.append(dirty)
        return Decision()

    loop = Reconciler(scene.store, scene.proposer, Clock(), lambda: "id", [("nodes", decide), ("one", scene.decide)])
    running = asyncio.create_task(loop.run())
    await scene.until(lambda: len(scene.asked) > 1)
    scene.write(Create(Task(id="t1", service_id="s", spec=TaskSpec())))
    await scene.until(lambda: sum("t1" in dirty.tasks for dirty in scene.asked) == 2)
    scene.write(Create(Node(id="n1")))
    await scene.until(lambda: sum("n1" in dirty.nodes for dirty in scene.asked) == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [(dirty.everything, dirty.nodes) for dirty in of_nodes] == [(True, set()), (False, {"n1"})]
