# SPDX-License-Identifier: Apache-2.0
"""All deciders, in whatever the cluster gets into, obey the five laws; and in the end everything runs."""

from __future__ import annotations

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from laws import scenes
from laws.builders import node, spec
from laws.scenes import Step
from laws.world import Behaviour, World

from queenright.decide.base import Dirty
from queenright.decide.convergence import convergence
from queenright.decide.orchestrate import DECIDERS
from queenright.model.objects import Task
from queenright.model.stack import StackState
from queenright.model.states import UpdateState


def _check_healed(world: World) -> None:
    for service in world.store.services:
        found = convergence(world.store, service, world.now)
        assert found.converged, f"{service.name}: {found}"
        wanted = [task for task in world.tasks(service.name) if task.wanted]
        assert len(wanted) == (0 if service.job_iteration else found.desired)
    for stack in world.store.stacks:
        assert stack.status.state == StackState.COMPLETED, stack.status


# Shrinking a scene takes minutes; add Phase.shrink where one has failed.
@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(scenes.scenes)
def test_deciders_obey_the_laws_and_the_cluster_heals(scene: list[Step]) -> None:
    world = scenes.world()
    scenes.play(world, scene)
    scenes.heal(world)
    _check_healed(world)


@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(scenes.rollout_scenes)
def test_stacks_are_rolled_out_and_taken_back_by_the_laws(scene: list[Step]) -> None:
    world = scenes.world()
    scenes.play(world, scene)
    scenes.heal(world)
    _check_healed(world)


@settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    replicas=st.integers(1, 6),
    parallelism=st.integers(1, 3),
    start_first=st.booleans(),
    behaviour=st.builds(Behaviour, starts=st.sampled_from([0.0, 2.0]), stops=st.sampled_from([0.0, 3.0])),
    leaders=st.sets(st.integers(0, 40), max_size=2),
)
def test_an_update_of_something_healthy_keeps_all_but_parallelism_slots_running(
    replicas: int, parallelism: int, start_first: bool, behaviour: Behaviour, leaders: set[int]
) -> None:
    world = scenes.world()
    order = "start-first" if start_first else "stop-first"
    config = {"UpdateConfig": {"Parallelism": parallelism, "Order": order, "Monitor": 10**9}}
    world.behaviours.update({"app:1": behaviour, "app:2": behaviour})
    world.create(spec("web", replicas, "app:1", **config))
    world.advance(10)
    world.update(spec("web", replicas, "app:2", **config))
    down = 0 if start_first else parallelism
    for step in range(80):
        world.advance(0.5)
        assert len({task.slot for task in world.running("web")}) >= replicas - down
        if step in leaders:
            world.change_leader()
    assert [task.spec.container.image for task in world.running("web")] == ["app:2"] * replicas
    status = world.service("web").update_status
    assert status is not None and status.state == UpdateState.COMPLETED


class Counted(dict):  # type: ignore[type-arg]
    """Rows that count how often all of them are walked."""

    walks = 0

    def values(self):  # type: ignore[no-untyped-def]
        Counted.walks += 1
        return super().values()


def test_no_decider_walks_all_tasks_for_one_change() -> None:
    world = World(*(node(f"h{i}") for i in range(5)), laws=False)
    for name in ("web", "db"):
        world.create(spec(name, 20))
    world.settle()
    world.store.tasks._rows = Counted(world.store.tasks._rows)
    Counted.walks = 0
    world.end(world.running("web")[0], 1)
    world.advance(6)
    world.update(spec("web", 21))
    world.settle()
    world.silence("h1")
    world.advance(20)
    assert len(world.running("web")) == 21
    assert Counted.walks == 0
    assert list(world.store.tasks) and Counted.walks == 1


def test_a_task_that_makes_progress_concerns_no_other_slot() -> None:
    world = World(node("h1"), laws=False)
    world.create(spec("web", 30))
    world.settle()
    asked: list[object] = []
    by = world.store.tasks.by

    def watched(index: str, key: object) -> tuple[Task, ...]:
        asked.append((index, key))
        return by(index, key)

    world.store.tasks.by = watched  # type: ignore[method-assign]
    dirty = Dirty(tasks={world.running("web")[0].id})
    asked.clear()
    for _, decide in DECIDERS:
        assert decide(world.store, dirty, world.now, world.ids).changes == ()
    assert ("service", "web") not in asked and ("node", "h1") not in asked
