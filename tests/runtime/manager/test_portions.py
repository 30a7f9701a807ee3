# SPDX-License-Identifier: Apache-2.0
"""Much to look at comes in portions, and no decider can tell the difference in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from laws import kit, scenes
from laws.builders import cluster, counter, job, network, node, service, task
from laws.scenes import Step
from laws.world import World

from queenright.decide import nodes as liveness
from queenright.decide.base import Decision, Dirty
from queenright.decide.orchestrate import DECIDERS
from queenright.manager import portions, revisions
from queenright.manager.portions import cut
from queenright.manager.reconcile import Reconciler
from queenright.model.changes import Batch, Change, Create, Delete
from queenright.model.states import TaskState
from queenright.store.store import Store


def big(services: int = 3, tasks: int = 4, nodes: int = 2) -> Store:
    """Services s0, s1, ... with tasks on nodes n0, n1, ... in turn."""
    view = Store()
    changes: list[Change] = [Create(cluster()), *(Create(node(f"n{number}")) for number in range(nodes))]
    for number in range(services):
        made = service(f"s{number}", tasks)
        changes.append(Create(made))
        changes += [
            Create(task(made, f"s{number}t{slot}", slot, node_id=f"n{slot % nodes}", state=TaskState.RUNNING))
            for slot in range(tasks)
        ]
    assert view.apply(1, Batch(1, tuple(changes))) is None
    return view


def joined(parts: Sequence[Dirty]) -> Dirty:
    found = Dirty()
    for part in parts:
        found.services |= part.services
        found.nodes |= part.nodes
        found.tasks |= part.tasks
        found.networks |= part.networks
    return found


def everything(view: Store) -> Dirty:
    return Dirty(set(view.services.ids()), set(view.nodes.ids()), set(view.tasks.ids()), set(view.networks.ids()))


def test_what_is_no_trouble_is_not_cut() -> None:
    view = big()
    assert cut(view, Dirty(everything=True)) == []
    assert cut(view, Dirty(services={"s0"}, nodes={"n0"}, tasks={"s0t1"})) == []
    assert cut(view, Dirty()) == []


@pytest.mark.parametrize("most", [1, 3, 7, 13])
def test_the_portions_of_everything_are_everything(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "MOST", most)
    view = big()
    assert view.apply(2, Batch(1, (Delete("service", "s1"),))) is None
    assert view.apply(3, Batch(1, (Create(network("net")),))) is None
    wanted = everything(view)
    wanted.services.add("s1")  # it has left tasks
    parts = cut(view, Dirty(everything=True))
    assert joined([part.dirty(view) for part in parts]) == wanted
    assert len(parts) > 1
    assert parts[0].services and parts[-2].nodes and parts[-1].networks, "services come first"


def test_a_portion_of_services_has_the_tasks_that_there_are_when_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "MOST", 5)
    view = big(services=1, tasks=9)
    part = cut(view, Dirty(everything=True))[0]
    assert view.apply(2, Batch(1, (Delete("task", "s0t3"),))) is None
    assert part.dirty(view).tasks == set(view.tasks.ids())


def test_many_changes_are_cut_by_what_they_make_deciders_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "MOST", 8)
    view = big(services=4, tasks=6, nodes=3)
    dirty = Dirty(services={"s0", "s3"}, nodes={"n0", "n2"}, tasks={f"s1t{number}" for number in range(6)})
    parts = [part.dirty(view) for part in cut(view, dirty)]
    assert joined(parts) == dirty
    known = Dirty(tasks={f"t{number}" for number in range(8)}, networks={"a", "b"})
    assert joined([part.dirty(view) for part in cut(view, known)]) == known
    assert [len(part.nodes) + len(part.services) for part in parts] == [1, 1, 1, 1, 0]
    assert cut(view, Dirty(tasks={f"t{number}" for number in range(8)})) == []
    assert len(cut(view, Dirty(tasks={f"t{number}" for number in range(20)}))) == 3


class Leader:
    """The loop over a copy of a world, at a moment that does not pass."""

    def __init__(self, world: World) -> None:
        self.store = kit.clone(world.store)
        self.world = world
        live = liveness.decider(lambda: world.beats, world.since)
        deciders = [("nodes", live), *DECIDERS]
        self.loop = Reconciler(self.store, self, self, counter("x"), deciders)
        self.batches = 0

    is_leader = True

    def wall(self) -> int:
        return self.world.wall

    def mono(self) -> float:
        return self.world.mono

    async def propose(self, changes: Sequence[Change]) -> int:
        await asyncio.sleep(0)
        self.batches += 1
        assert self.store.apply(self.store.index + 1, Batch(self.wall(), tuple(changes))) is None
        return self.store.index

    async def barrier(self) -> int:
        return self.store.index

    async def settle(self) -> None:
        with self.store.watch() as subscription:
            async with asyncio.timeout(60):
                await self.loop._settle(subscription.drain)

    def wakes(self) -> dict[str, float]:
        return {seat.name: seat.wake_at for seat in self.loop._seats}

    def slots(self) -> set[tuple[object, ...]]:
        """What is wanted where, whoever was placed first."""
        return {
            (task.service_id, task.slot, "" if task.slot else task.node_id, task.spec_version)
            for task in self.store.tasks
            if task.wanted
        }


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(scenes.scenes, st.sampled_from([1, 2, 5]))
def test_a_new_leader_decides_the_same_of_portions_as_of_everything(scene: list[Step], most: int) -> None:
    world = scenes.world()
    world.laws = False
    scenes.play(world, scene[:-1])
    scenes._STEPS[scene[-1][0]](world, *scene[-1][1:])  # the leader dies before it has done anything about it
    held = portions.MOST
    found = []
    try:
        for size in (10**9, most):
            portions.MOST = size
            leader = Leader(world)
            asyncio.run(leader.settle())
            found.append(leader)
    finally:
        portions.MOST = held
    whole, parts = found
    assert parts.slots() == whole.slots()
    assert {each.id: each.update_status for each in parts.store.services} == {
        each.id: each.update_status for each in whole.store.services
    }
    if not whole.batches:
        assert not parts.batches
        assert parts.wakes() == whole.wakes(), "nobody sleeps through what it waits for"


async def test_the_loop_is_never_held_for_long_by_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "MOST", 50)
    view = big(services=40, tasks=25, nodes=10)
    asked: list[int] = []

    def decide(store: Store, dirty: Dirty, now: object, ids: object) -> Decision:
        assert not dirty.everything
        asked.append(len(dirty.tasks) + len(dirty.services) + len(dirty.nodes))
        return Decision()

    class Always:
        is_leader = True

        def wall(self) -> int:
            return 1

        def mono(self) -> float:
            return 1.0

    turns: list[int] = []

    async def others() -> None:
        while True:
            turns.append(len(asked))
            await asyncio.sleep(0)

    loop = Reconciler(view, Always(), Always(), counter("x"), [("one", decide)])  # type: ignore[arg-type]
    other = asyncio.create_task(others())
    with view.watch() as subscription:
        await loop._settle(subscription.drain)
    other.cancel()
    assert sum(asked) == 40 * 26 + 10
    assert max(asked) <= 52
    assert len(set(turns)) >= len(asked), "others had their turn after each"


def test_a_service_weighs_what_it_shall_have_before_it_has_it() -> None:
    view = Store()
    services = [service(f"s{number}", 300) for number in range(4)]
    assert view.apply(1, Batch(1, tuple(map(Create, services)))) is None
    parts = cut(view, Dirty(services={"s0", "s1", "s2", "s3"}))
    assert [len(part.services) for part in parts] == [1, 1, 1, 1]


def test_a_job_weighs_its_completions_and_a_global_service_the_nodes() -> None:
    view = big(services=0, tasks=0, nodes=300)
    jobs = [revisions.created(f"j{number}", job(f"j{number}", 300), "", 0) for number in range(3)]
    everywhere = [service(f"g{number}", None) for number in range(3)]
    assert view.apply(2, Batch(1, tuple(map(Create, (*jobs, *everywhere))))) is None
    for kind in "jg":
        parts = cut(view, Dirty(services={f"{kind}{number}" for number in range(3)}))
        assert [len(part.services) for part in parts] == [1, 1, 1]
