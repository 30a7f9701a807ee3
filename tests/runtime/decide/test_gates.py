# SPDX-License-Identifier: Apache-2.0
"""What the next batch of an update waits for, and what counts as never having run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from laws.builders import SECOND, node, spec
from laws.world import Behaviour, World

from queenright.model.states import TaskState


def world(**behaviours: Behaviour) -> World:
    made = World(node("h1"), node("h2"), node("h3"))
    made.behaviours.update({name.replace("_", ":"): behaviour for name, behaviour in behaviours.items()})
    return made


def updated(made: World, replicas: int = 6, **config: Any) -> World:
    """``web`` runs image 1 and has just been given image 2."""
    made.create(spec("web", replicas, UpdateConfig=config))
    made.advance(1)
    made.update(spec("web", replicas, "app:2", UpdateConfig=config))
    made.settle()
    return made


def new(made: World) -> int:
    """How many slots were given a task of the new image."""
    return len({task.slot for task in made.tasks("web") if task.spec.container.image == "app:2"})


def status(made: World) -> tuple[str, str]:
    held = made.service("web").update_status
    assert held is not None
    return str(held.state), held.message


def test_by_default_the_next_task_follows_when_the_one_before_it_runs() -> None:
    made = updated(world(app_2=Behaviour(starts=2)), Parallelism=2)
    for count in (2, 4, 6):
        assert new(made) == count
        made.advance(2)
    assert status(made)[0] == "updating", "the last ones are still watched"
    made.advance(5)
    assert status(made) == ("completed", "update completed")


def test_tasks_that_run_make_room_one_by_one_by_default() -> None:
    made = updated(world(app_2=Behaviour(starts=4)), Parallelism=2)
    made.until(lambda: len([task for task in made.tasks("web") if task.state == TaskState.STARTING]) == 2)
    first = next(task for task in made.tasks("web") if task.state == TaskState.STARTING)
    made.report(first, TaskState.RUNNING)
    made.settle()
    assert new(made) == 3


def test_the_delay_counts_from_the_start_of_a_task_by_default() -> None:
    made = updated(world(), replicas=3, Delay=10 * SECOND)
    for count in (1, 2, 3):
        assert new(made) == count
        made.advance(10)


def test_failures_are_judged_in_the_background_by_default() -> None:
    made = updated(world(app_2=Behaviour(lives=2)), Parallelism=1, Delay=SECOND)
    made.advance(10)
    state, message = status(made)
    assert state == "paused" and message.startswith("update paused due to failure or early termination of task ")
    assert 1 < new(made) < 6


def test_a_task_that_fails_before_it_runs_holds_the_update_whatever_the_gate() -> None:
    made = updated(world(app_2=Behaviour(pull="No such image: app:2")), Parallelism=2)
    made.advance(60)
    assert status(made)[0] == "paused" and new(made) == 2


def test_gated_batches_wait_until_the_whole_batch_has_passed() -> None:
    made = updated(world(app_2=Behaviour(starts=1)), Parallelism=2, Gate="monitor", Monitor=4 * SECOND)
    slow = [task for task in made.tasks("web") if task.spec.container.image == "app:2"][1]
    made.until(lambda: slow_is(made, slow.id, TaskState.STARTING))
    made._agents[slow.id] = ("start", made.mono + 3)  # the second of the batch takes longer
    made.advance(6)
    assert new(made) == 2, "one of the batch has passed, the other has not"
    made.advance(2)
    assert new(made) == 4


def slow_is(made: World, task_id: str, state: TaskState) -> bool:
    held = made.store.tasks.get(task_id)
    return held is not None and held.state == state


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_a_gated_update_that_fails_touched_no_slot_beyond_its_batch(order: str, parallelism: int) -> None:
    made = world(app_2=Behaviour(lives=2))
    made = updated(made, Parallelism=parallelism, Gate="monitor", Order=order)
    for _ in range(5):
        made.advance(1.3)
        made.change_leader()
    made.advance(60)
    assert status(made)[0] == "paused"
    assert new(made) == parallelism
    untouched = [task for task in made.running("web") if task.spec.container.image == "app:1"]
    assert len({task.slot for task in untouched} - {1, 2, 3}) == 3
    assert all(task.created_at == made.store.tasks.get("t0001").created_at for task in untouched)  # type: ignore[union-attr]


def test_a_new_leader_does_not_widen_a_gated_batch() -> None:
    made = updated(world(app_2=Behaviour(starts=1)), Parallelism=2, Gate="monitor", Monitor=5 * SECOND)
    for count in (2, 4, 6):
        for _ in range(4):
            assert new(made) == count
            made.change_leader()
            made.advance(1.5)
    assert status(made)[0] == "completed"


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    replicas=st.integers(2, 6),
    parallelism=st.integers(1, 3),
    order=st.sampled_from(["stop-first", "start-first"]),
    lives=st.sampled_from([0.0, 1.0, 3.0]),
    starts=st.sampled_from([0.0, 2.0]),
    leaders=st.sets(st.integers(0, 12), max_size=3),
    lost=st.integers(0, 12),
)
def test_whatever_happens_a_gated_update_that_fails_touches_one_batch_only(
    replicas: int, parallelism: int, order: str, lives: float, starts: float, leaders: set[int], lost: int
) -> None:
    made = world(app_2=Behaviour(lives=lives, starts=starts))
    made = updated(made, replicas, Parallelism=parallelism, Gate="monitor", Order=order, Monitor=4 * SECOND)
    for step in range(14):
        made.advance(0.7)
        if step in leaders:
            made.change_leader()
        if step == lost:
            made.set_node("h3", availability="drain")
    made.advance(30)
    assert status(made)[0] == "paused"
    assert new(made) <= parallelism


# -- timeout


def test_a_task_that_is_not_running_in_time_fails_the_update() -> None:
    config = {"UpdateConfig": {"Timeout": 30 * SECOND}}
    made = world()
    made.create(spec("web", 3, **config))
    made.advance(1)
    made.update(spec("web", 3, task={"Placement": {"Constraints": ["node.labels.zone == nowhere"]}}, **config))
    made.advance(29)
    assert status(made)[0] == "updating"
    made.advance(2)
    state, message = status(made)
    assert state == "paused"
    assert message.startswith("update paused because task ") and "did not run within 30s" in message
    assert "no suitable node (scheduling constraints not satisfied on 3 nodes)" in message
    assert len([task for task in made.tasks("web") if task.spec_version == made.service("web").spec_version]) == 1


def test_a_start_that_hangs_is_taken_back_when_its_time_is_over() -> None:
    made = world(app_2=Behaviour(starts=10_000))
    made = updated(made, replicas=3, Timeout=20 * SECOND, FailureAction="rollback")
    made.advance(40)
    state, message = status(made)
    assert state == "rollback_completed" and "did not run within 20s" in message
    assert [task.spec.container.image for task in made.running("web")] == ["app:1"] * 3


def test_a_hanging_start_is_borne_with_action_continue() -> None:
    made = world(app_2=Behaviour(starts=10_000))
    made = updated(made, replicas=3, Timeout=10 * SECOND, FailureAction="continue")
    made.advance(60)
    assert status(made)[0] == "completed" and new(made) == 3


def test_a_timeout_of_nothing_waits_for_ever() -> None:
    made = updated(world(app_2=Behaviour(starts=10_000)), Timeout=0)
    made.advance(5000)
    assert status(made)[0] == "updating" and new(made) == 1


def test_a_task_has_a_quarter_of_an_hour_by_default() -> None:
    made = updated(world(app_2=Behaviour(starts=10_000)))
    made.advance(899)
    assert status(made)[0] == "updating"
    made.advance(2)
    assert status(made)[0] == "paused"


def test_a_slow_start_within_the_timeout_is_no_failure() -> None:
    made = updated(world(app_2=Behaviour(starts=25)), replicas=2, Timeout=30 * SECOND)
    made.advance(60)
    assert status(made)[0] == "completed"


def test_a_slot_whose_turn_has_not_come_is_healed_with_what_it_ran() -> None:
    made = updated(world(), replicas=4, Gate="monitor", Monitor=30 * SECOND)
    made.end(made.running("web")[3], 1)
    made.advance(6)
    last = made.tasks("web")[-1]
    assert (last.slot, last.spec.container.image, last.state) == (4, "app:1", TaskState.RUNNING)
    assert new(made) == 1
    made.advance(150)
    assert new(made) == 4 and status(made)[0] == "completed"


def test_a_node_that_dies_during_an_update_takes_no_slot_into_the_batch_whatever_the_gate() -> None:
    made = world(app_2=Behaviour(starts=100))
    made.create(spec("web", 9))
    made.advance(60)
    made.update(spec("web", 9, "app:2"))
    made.advance(1)
    assert new(made) == 1
    [first] = [task for task in made.tasks("web") if task.spec.container.image == "app:2"]
    gone = next(name for name in ("h1", "h2", "h3") if name != first.node_id)
    made.silence(gone)
    made.advance(60)
    assert new(made) == 1
    assert len(made.running("web")) == 8, "healed with what ran before"
    made.advance(2000)
    assert status(made)[0] == "completed"
    assert [task.spec.container.image for task in made.running("web")] == ["app:2"] * 9
