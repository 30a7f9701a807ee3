# SPDX-License-Identifier: Apache-2.0
"""Jobs: so many completions, so many at a time, once for each iteration."""

from __future__ import annotations

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from laws.builders import SECOND, job, node
from laws.world import Behaviour, World

from queenright.decide.convergence import Convergence, convergence
from queenright.model.changes import Create
from queenright.model.objects import Task
from queenright.model.states import NodeState, TaskState

ONCE = Behaviour(lives=3, code=0)


def world(*, image: Behaviour = ONCE, nodes: int = 3) -> World:
    made = World(*(node(f"h{number}") for number in range(1, nodes + 1)))
    made.behaviours["app:1"] = image
    return made


def found(made: World, name: str = "job") -> Convergence:
    return convergence(made.store, made.service(name), made.now)


def states(made: World, name: str = "job") -> dict[int | str, list[str]]:
    """The states of the tasks of each slot (or node), oldest first."""
    held: dict[int | str, list[str]] = {}
    for task in made.tasks(name):
        held.setdefault(task.slot or task.node_id, []).append(task.state.text)
    return held


def alive(made: World) -> list[Task]:
    return [task for task in made.tasks("job") if task.state == TaskState.RUNNING]


def test_no_more_tasks_run_at_a_time_than_may_and_all_complete() -> None:
    made = world()
    made.create(job(total=5, at_once=2))
    made.settle()
    assert [task.slot for task in alive(made)] == [1, 2]
    assert all(task.desired_state == TaskState.COMPLETE for task in alive(made))
    made.advance(3)
    assert [task.slot for task in alive(made)] == [3, 4]
    made.advance(3)
    assert [task.slot for task in alive(made)] == [5]
    assert found(made).state == "progressing"
    made.advance(3)
    assert states(made) == {slot: ["complete"] for slot in range(1, 6)}
    assert (found(made).state, found(made).running, found(made).desired) == ("converged", 5, 5)


def test_a_job_that_is_done_stays_done() -> None:
    made = world()
    made.create(job(total=2))
    made.advance(30)
    made.set_node("h1", availability="drain")
    made.silence("h2")
    made.advance(60)
    made.change_leader()
    made.advance(60)
    assert states(made) == {1: ["complete"], 2: ["complete"]}


def test_a_failed_task_is_tried_again_after_the_delay_even_if_the_condition_is_any() -> None:
    made = world(image=Behaviour(lives=1, code=7))
    made.create(job(total=1))
    made.advance(1)
    assert states(made) == {1: ["failed", "ready"]}
    made.behaviours["app:1"] = ONCE
    made.advance(5)
    assert states(made) == {1: ["failed", "running"]}
    made.advance(30)
    assert states(made) == {1: ["failed", "complete"]}


def test_the_slots_of_failed_tasks_count_as_taken_while_they_wait() -> None:
    made = world(image=Behaviour(lives=1))
    made.create(job(total=4, at_once=2))
    made.advance(3)
    assert sorted(states(made)) == [1, 2]


def test_a_job_whose_attempts_are_spent_has_failed_and_the_others_go_on() -> None:
    made = world(image=Behaviour(lives=1, code=3))
    made.create(job(total=3, at_once=1, task={"RestartPolicy": {"MaxAttempts": 1, "Delay": 0}}))
    made.advance(2)
    made.behaviours["app:1"] = ONCE
    made.advance(60)
    assert states(made) == {1: ["failed", "failed"], 2: ["complete"], 3: ["complete"]}
    assert (found(made).state, found(made).running, found(made).desired) == ("failed", 2, 3)
    assert found(made).reasons == (
        "task job.1 on node h1: failed: task: non-zero exit (3); not restarted: the limit of 1 restarts is reached",
    )


def test_with_condition_none_nothing_is_tried_twice() -> None:
    made = world(image=Behaviour(lives=1))
    made.create(job(total=3, at_once=3, task={"RestartPolicy": {"Condition": "none"}}))
    made.advance(60)
    assert states(made) == {1: ["failed"], 2: ["failed"], 3: ["failed"]}
    assert found(made).state == "failed"


def test_each_update_runs_the_job_again_also_one_that_says_the_same() -> None:
    made = world()
    spec = job(total=2)
    made.create(spec)
    made.advance(10)
    made.update(spec)
    made.settle()
    assert states(made) == {1: ["complete", "running"], 2: ["complete", "running"]}
    assert [task.job_iteration for task in alive(made)] == [2, 2]
    assert (found(made).state, found(made).running) == ("progressing", 0)
    made.advance(10)
    assert found(made).converged
    assert made.service("job").last_execution > made.service("job").created_at


def test_what_an_earlier_iteration_runs_is_stopped_before_its_successor_starts() -> None:
    made = world(image=Behaviour(stops=2))
    made.create(job(total=2))
    made.settle()
    made.update(job(total=2, image="app:2"))
    made.behaviours["app:2"] = ONCE
    made.settle()
    assert states(made) == {1: ["running", "ready"], 2: ["running", "ready"]}
    made.advance(2)
    assert states(made) == {1: ["running"], 2: ["running"]}
    made.advance(10)
    assert found(made).converged


def test_slots_of_an_earlier_and_larger_iteration_are_forgotten() -> None:
    made = world()
    made.create(job(total=4))
    made.advance(10)
    made.update(job(total=1))
    made.advance(10)
    assert states(made) == {1: ["complete", "complete"]}


def test_fewer_at_a_time_than_run_already_is_no_error() -> None:
    made = world(image=Behaviour())
    made.create(job(total=4, at_once=4))
    made.settle()
    made.update(job(total=2, at_once=1))
    made.settle()
    assert len(alive(made)) == 1


def test_nothing_to_complete_has_converged_at_once() -> None:
    made = world()
    made.create(job(total=0))
    made.settle()
    assert found(made).converged and not made.tasks("job")


def test_a_task_of_a_lost_node_is_run_again_elsewhere_at_once() -> None:
    made = world(image=Behaviour(lives=100, code=0))
    made.create(job(total=1))
    made.settle()
    made.set_node(alive(made)[0].node_id, availability="drain")
    made.settle()
    [task] = alive(made)
    assert task.node_id == "h2" and task.desired_state == TaskState.COMPLETE
    made.advance(101)
    assert found(made).converged


def test_a_job_goes_on_where_the_old_leader_stopped() -> None:
    made = world()
    made.create(job(total=6, at_once=2))
    for _ in range(20):
        made.advance(1.5)
        made.change_leader()
    assert states(made) == {slot: ["complete"] for slot in range(1, 7)}


def test_a_rollback_of_a_job_runs_the_earlier_one_again() -> None:
    made = world()
    made.behaviours["app:2"] = ONCE
    made.create(job(total=1))
    made.advance(10)
    made.update(job(total=1, image="app:2"))
    made.advance(10)
    made.rollback("job")
    made.advance(10)
    assert [task.spec.container.image for task in made.tasks("job")] == ["app:1", "app:2", "app:1"]
    assert made.service("job").update_status is None
    assert found(made).converged


def test_failures_of_an_iteration_do_not_use_up_the_attempts_of_the_next() -> None:
    made = world(image=Behaviour(lives=1))
    spec = job(total=1, task={"RestartPolicy": {"MaxAttempts": 1, "Delay": 0, "Window": 600 * 10**9}})
    made.create(spec)
    made.advance(10)
    assert found(made).state == "failed"
    made.update(spec)
    made.advance(10)
    assert states(made) == {1: ["failed"] * 4}


def test_a_completed_task_is_never_reaped_but_old_failures_are() -> None:
    made = World(node("h1"), Orchestration={"TaskHistoryRetentionLimit": 2})
    made.behaviours["app:1"] = Behaviour(lives=1)
    made.create(job(total=1, task={"RestartPolicy": {"Delay": 0}}))
    made.advance(6)
    made.behaviours["app:1"] = ONCE
    made.advance(10)
    assert states(made)[1][-1] == "complete" and len(states(made)[1]) == 2


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    total=st.integers(1, 6),
    at_once=st.integers(1, 4),
    lives=st.sampled_from([0.5, 3.0]),
    events=st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(["leader", "drain", "silence", "back", "fail"])), max_size=5
    ),
)
def test_whatever_happens_each_slot_completes_exactly_once(
    total: int, at_once: int, lives: float, events: list[tuple[int, str]]
) -> None:
    made = world(image=Behaviour(lives=lives, code=0))
    made.create(job(total=total, at_once=at_once, task={"RestartPolicy": {"Delay": SECOND}}))
    for step in range(21):
        made.advance(1)
        for what in (what for at, what in events if at == step):
            _happen(made, what)
    _happen(made, "back")
    made.until(lambda: found(made).converged)
    completed = [task.slot for task in made.tasks("job") if task.state == TaskState.COMPLETE]
    assert completed == list(range(1, total + 1))
    assert not [task for task in made.tasks("job") if task.wanted]


def _happen(made: World, what: str) -> None:
    if what == "leader":
        made.change_leader()
    elif what == "drain":
        made.set_node("h2", availability="drain")
    elif what == "silence":
        made.silence("h3")
    elif what == "fail" and (running := [task for task in alive(made) if task.node_id not in made.dead]):
        made.end(running[0], 1)
    elif what == "back":
        made.set_node("h2", availability="active")
        made.beat("h3")


def test_removing_a_job_stops_what_runs_and_forgets_all() -> None:
    made = world()
    made.create(job(total=4, at_once=2))
    made.advance(4)
    made.remove("job")
    made.advance(1)
    assert not list(made.store.tasks)


# -- global jobs


def test_a_global_job_runs_once_on_each_node_also_on_one_that_joins_later() -> None:
    made = world()
    made.create(job(total=None))
    made.advance(10)
    assert states(made) == {"h1": ["complete"], "h2": ["complete"], "h3": ["complete"]}
    assert (found(made).state, found(made).running, found(made).desired) == ("converged", 3, 3)
    made.do(Create(node("h4")))
    made.beat("h4")
    made.advance(10)
    assert states(made)["h4"] == ["complete"]
    assert found(made).converged and found(made).desired == 4


def test_a_global_job_passes_paused_nodes_and_those_that_do_not_fit_over() -> None:
    made = world()
    made.set_node("h1", availability="pause")
    made.create(job(total=None, task={"Placement": {"Constraints": ["node.hostname != h2"]}}))
    made.advance(10)
    assert states(made) == {"h3": ["complete"]}
    assert found(made).converged
    made.set_node("h1", availability="active")
    made.advance(10)
    assert states(made) == {"h1": ["complete"], "h3": ["complete"]}


def test_a_global_job_is_run_again_on_a_node_that_was_drained_in_the_middle_of_it() -> None:
    made = world()
    made.create(job(total=None))
    made.advance(1)
    made.set_node("h2", availability="drain")
    made.advance(10)
    assert states(made)["h2"] == ["shutdown"]
    made.set_node("h2", availability="active")
    made.advance(10)
    assert states(made)["h2"] == ["shutdown", "complete"]


def test_a_new_iteration_of_a_global_job_replaces_what_runs() -> None:
    made = world(image=Behaviour(stops=1))
    made.create(job(total=None))
    made.settle()
    made.behaviours["app:2"] = ONCE
    made.update(job(total=None, image="app:2"))
    made.advance(20)
    assert states(made) == {name: ["complete"] for name in ("h1", "h2", "h3")}


def test_a_failed_task_of_a_global_job_is_tried_again_on_its_own_node() -> None:
    made = world(image=Behaviour(lives=1))
    made.create(job(total=None))
    made.advance(2)
    made.behaviours["app:1"] = ONCE
    made.advance(30)
    assert all(held == ["failed", "complete"] for held in states(made).values())


def test_a_removed_node_takes_its_part_of_a_global_job_along() -> None:
    made = world()
    made.create(job(total=None))
    made.advance(10)
    made.remove_node("h3")
    made.advance(1)
    assert sorted(states(made)) == ["h1", "h2"]
    assert found(made).converged


def complete_after_all(made: World, first: Task) -> None:
    """The task's successor waits for its end, which is a good one."""
    successors = [task for task in made.tasks("job") if task.wanted]
    assert [task.desired_state for task in successors] == [TaskState.READY]
    made.report(first, TaskState.COMPLETE, message="finished", code=0)
    made.advance(30)
    assert sorted(task.state for task in made.tasks("job")) == [TaskState.COMPLETE, TaskState.SHUTDOWN]
    assert found(made).state == "converged"
    assert not any(task.id != first.id and task.status.running_since for task in made.tasks("job"))


def test_a_task_that_completed_out_of_sight_is_not_run_again() -> None:
    """Its node is away when it ends, and tells of it when the successor is made but does not run yet."""
    made = world(image=Behaviour(lives=1000, code=0, stops=1000), nodes=1)
    made.create(job(total=None))
    made.advance(1)
    [first] = alive(made)
    made.silence("h1")
    made.until(lambda: made.store.node("h1").status.state == NodeState.DOWN)
    made.beat("h1")
    made.settle()
    complete_after_all(made, first)


def test_a_task_that_completes_while_its_node_is_drained_is_not_run_again() -> None:
    made = world(image=Behaviour(lives=1000, code=0, stops=1000), nodes=2)
    made.create(job(total=1))
    made.advance(1)
    [first] = alive(made)
    made.set_node(first.node_id, availability="drain")
    made.settle()
    complete_after_all(made, first)
