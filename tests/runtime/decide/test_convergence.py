# SPDX-License-Identifier: Apache-2.0
"""Whether a service is as it should be, and what is said when it is not."""

from __future__ import annotations

from laws.builders import node, spec
from laws.world import Behaviour, World

from queenright.decide.convergence import Convergence, convergence

GATED = {"UpdateConfig": {"Gate": "monitor"}}


def three(**behaviours: Behaviour) -> World:
    world = World(node("h1"), node("h2"), node("h3"))
    world.behaviours.update({name.replace("_", ":"): behaviour for name, behaviour in behaviours.items()})
    return world


def found(world: World, name: str = "web") -> Convergence:
    return convergence(world.store, world.service(name), world.now)


def test_a_service_has_converged_when_all_its_tasks_run() -> None:
    world = three(app_1=Behaviour(starts=3))
    world.create(spec("web", 3))
    assert found(world).reasons == (
        "task web.1: not made yet",
        "task web.2: not made yet",
        "task web.3: not made yet",
    )
    world.settle()
    early = found(world)
    assert (early.state, early.running, early.desired, early.converged) == ("progressing", 0, 3, False)
    assert early.reasons[0] == "task web.1 on node h1: starting: starting"
    world.advance(4)
    assert found(world) == Convergence("converged", 3, 3)
    assert found(world).converged


def test_a_service_scaled_to_nothing_has_converged() -> None:
    world = three()
    world.create(spec("web", 0))
    world.settle()
    assert found(world) == Convergence("converged", 0, 0)


def test_what_cannot_be_placed_says_so() -> None:
    world = three()
    world.create(spec("web", 2, task={"Placement": {"Constraints": ["node.labels.gpu == yes"]}}))
    world.settle()
    assert found(world).reasons[0] == ("task web.1: no suitable node (scheduling constraints not satisfied on 3 nodes)")


def test_a_restart_loop_says_how_the_last_task_ended() -> None:
    world = three(app_1=Behaviour(lives=1, code=127))
    world.create(spec("web", 1))
    world.advance(3)
    [reason] = found(world).reasons
    assert reason == (
        "task web.1 on node h1: waits to be started; the task before it failed: task: non-zero exit (127)"
    )


def test_a_task_that_gave_up_says_that_it_is_not_restarted() -> None:
    world = three(app_1=Behaviour(lives=1))
    world.create(spec("web", 1, task={"RestartPolicy": {"Condition": "none"}}))
    world.advance(3)
    assert found(world).reasons == (
        "task web.1 on node h1: failed: task: non-zero exit (1); not restarted: the restart condition is none",
    )


def test_one_shot_tasks_that_completed_count_as_done() -> None:
    world = three(app_1=Behaviour(lives=1, code=0))
    world.create(spec("web", 2, task={"RestartPolicy": {"Condition": "on-failure"}}))
    world.advance(3)
    assert found(world) == Convergence("converged", 2, 2)


def test_an_update_in_progress_has_not_converged_though_all_tasks_run() -> None:
    world = three()
    world.create(spec("web", 2, **GATED))
    world.settle()
    world.update(spec("web", 2, "app:2", **GATED))
    world.settle()
    now = found(world)
    assert (now.state, now.running, now.update_state) == ("progressing", 1, "updating")
    assert now.reasons == ("task web.2 on node h2: not updated yet",)
    world.advance(7)
    assert (found(world).state, found(world).running) == ("progressing", 2)
    world.advance(5)
    assert (found(world).state, found(world).update_state) == ("converged", "completed")


def test_a_paused_update_is_told_with_the_failed_task_first() -> None:
    world = three(app_2=Behaviour(lives=1))
    world.create(spec("web", 3, **GATED))
    world.settle()
    world.update(spec("web", 3, "app:2", **GATED))
    world.advance(10)
    now = found(world)
    assert (now.state, now.running, now.converged) == ("paused", 0, False)
    assert now.reasons[0] == now.update_message
    assert now.reasons[0].startswith("update paused due to failure or early termination of task ")
    assert now.reasons[1].startswith("task web.1 on node h1: failed: task: non-zero exit (1); not restarted while the")
    assert now.reasons[2:] == ("task web.2 on node h2: not updated yet", "task web.3 on node h3: not updated yet")


def test_an_update_taken_back_is_told_apart_from_one_that_was_asked_to_be() -> None:
    world = three(app_2=Behaviour(lives=1))
    world.create(spec("web", 2))
    world.settle()
    world.update(spec("web", 2, "app:2", UpdateConfig={"FailureAction": "rollback"}))
    world.advance(30)
    assert (found(world).state, found(world).running, found(world).converged) == ("rolled_back", 2, False)
    world.update(spec("web", 2, "app:3"))
    world.advance(30)
    assert found(world).converged
    world.rollback("web")
    world.advance(30)
    assert (found(world).state, found(world).update_state) == ("converged", "rollback_completed")


def test_a_global_service_wants_a_task_on_each_node_that_it_belongs_on() -> None:
    world = three()
    world.set_node("h3", availability="drain")
    world.create(spec("agent", None))
    world.settle()
    assert found(world, "agent") == Convergence("converged", 2, 2)
    world.set_node("h3", availability="active")
    assert found(world, "agent").reasons == ("task agent.h3: not made yet",)
    world.settle()
    assert found(world, "agent") == Convergence("converged", 3, 3)


def test_a_task_on_a_lost_node_does_not_count_as_running() -> None:
    world = three()
    world.create(spec("web", 3, task={"RestartPolicy": {"Condition": "none"}}))
    world.settle()
    world.silence("h2")
    world.advance(20)
    assert (found(world).state, found(world).running) == ("progressing", 2)
