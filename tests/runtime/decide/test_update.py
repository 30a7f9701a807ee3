# SPDX-License-Identifier: Apache-2.0
"""Rolling updates: gated, bounded, paused with a reason, taken back, superseded."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from laws.builders import SECOND, network, node, spec
from laws.world import Behaviour, World

from queenright.decide import update
from queenright.decide.base import Dirty
from queenright.decide.defaults import same_service
from queenright.manager import revisions
from queenright.model.changes import Create, Delete, Update
from queenright.model.objects import Secret, Task
from queenright.model.states import TaskState, UpdateState
from queenright.spec.data import SecretSpec
from queenright.spec.fields import decode
from queenright.spec.service import ServiceSpec


def world(**behaviours: Behaviour) -> World:
    made = World(node("h1"), node("h2"), node("h3"))
    made.behaviours.update({name.replace("_", ":"): behaviour for name, behaviour in behaviours.items()})
    return made


def web(replicas: int | None = 4, image: str = "app:1", **api: Any) -> ServiceSpec:
    """Here each batch waits for the monitor time of the last; the other way is told in ``test_gates``."""
    gated = {key: {"Gate": "monitor", **(api.pop(key, None) or {})} for key in ("UpdateConfig", "RollbackConfig")}
    return spec("web", replicas, image, **gated, **api)


def rolling(**config: object) -> dict[str, object]:
    return {"UpdateConfig": config}


def started(replicas: int | None = 4, made: World | None = None, **api: object) -> World:
    made = made or world()
    made.create(web(replicas, **api))
    made.advance(1)
    return made


def images(made: World) -> list[str]:
    return sorted(task.spec.container.image or "" for task in made.running("web"))


def state(made: World) -> UpdateState | None:
    status = made.service("web").update_status
    return status.state if status is not None else None


def message(made: World) -> str:
    status = made.service("web").update_status
    return status.message if status is not None else ""


def test_one_task_after_the_other_is_replaced_each_after_its_monitor_time() -> None:
    made = started()
    made.update(web(image="app:2"))
    made.settle()
    assert (state(made), message(made)) == (UpdateState.UPDATING, "update in progress")
    for count in range(1, 5):
        assert images(made).count("app:2") == count
        made.advance(5)
    assert images(made) == ["app:2"] * 4
    assert (state(made), message(made)) == (UpdateState.COMPLETED, "update completed")
    status = made.service("web").update_status
    assert status is not None and status.completed_at - status.started_at == 20 * SECOND


def test_no_more_than_parallelism_slots_are_down_at_a_time() -> None:
    made = started(10, world(app_2=Behaviour(starts=2), app_1=Behaviour(stops=1)), **rolling(Parallelism=2))
    made.update(web(10, "app:2", **rolling(Parallelism=2)))
    fewest = 10
    for _ in range(200):
        made.advance(0.5)
        fewest = min(fewest, len(made.running("web")))
        if state(made) == UpdateState.COMPLETED:
            break
    assert fewest == 8
    assert images(made) == ["app:2"] * 10


def test_parallelism_zero_replaces_all_at_once() -> None:
    made = started(**rolling(Parallelism=0))
    made.update(web(image="app:2", **rolling(Parallelism=0)))
    made.settle()
    assert images(made) == ["app:2"] * 4


def test_the_delay_holds_the_next_task_back_and_runs_beside_the_monitor_time() -> None:
    made = started(2)
    made.update(web(2, "app:2", **rolling(Delay=8 * SECOND)))
    made.advance(7.5)
    assert images(made).count("app:2") == 1
    made.advance(1)
    assert images(made).count("app:2") == 2
    made.advance(5)
    assert state(made) == UpdateState.COMPLETED, "after the last task only the monitor time counts"


def test_start_first_never_has_fewer_tasks_than_wanted() -> None:
    made = started(3, world(app_2=Behaviour(starts=3)), **rolling(Order="start-first"))
    made.update(web(3, "app:2", **rolling(Order="start-first")))
    for _ in range(60):
        made.advance(0.5)
        assert len(made.running("web")) >= 3
    assert images(made) == ["app:2"] * 3
    assert state(made) == UpdateState.COMPLETED


def test_stop_first_starts_the_new_task_when_the_old_one_has_stopped() -> None:
    made = started(1, world(app_1=Behaviour(stops=4)))
    made.update(web(1, "app:2"))
    made.advance(3)
    old, new = made.tasks("web")
    assert (old.desired_state, old.state) == (TaskState.SHUTDOWN, TaskState.RUNNING)
    assert (new.desired_state, new.state) == (TaskState.READY, TaskState.READY), "prepared meanwhile"
    made.advance(2)
    assert images(made) == ["app:2"]


def test_a_failure_pauses_the_update_and_says_which_task_failed_where_and_why() -> None:
    made = started(made=world(app_2=Behaviour(lives=2, code=3)))
    made.update(web(image="app:2"))
    made.advance(60)
    assert state(made) == UpdateState.PAUSED
    [failed] = [task for task in made.tasks("web") if task.state == TaskState.FAILED]
    assert message(made) == (
        f"update paused due to failure or early termination of task {failed.id} "
        f"(web.1 on node {failed.node_id}: task: non-zero exit (3))"
    )
    assert images(made) == ["app:1"] * 3, "no second slot was touched, and the failed one is not tried again"


def test_a_task_that_was_never_started_fails_the_update_too() -> None:
    made = started(made=world(app_2=Behaviour(pull="No such image: app:2")))
    made.update(web(image="app:2"))
    made.advance(20)
    assert state(made) == UpdateState.PAUSED
    assert message(made).endswith("No such image: app:2)")
    assert images(made) == ["app:1"] * 3


def test_a_task_that_ends_after_its_monitor_time_does_not_fail_the_update() -> None:
    made = started(2, world(app_2=Behaviour(lives=8)))
    made.update(web(2, "app:2"))
    made.advance(11)
    assert state(made) in (UpdateState.UPDATING, UpdateState.COMPLETED)


def test_a_drained_node_does_not_fail_the_update() -> None:
    made = started(3)
    made.update(web(3, "app:2"))
    made.advance(2)
    [fresh] = [task for task in made.running("web") if task.spec.container.image == "app:2"]
    made.set_node(fresh.node_id, availability="drain")
    made.advance(60)
    assert state(made) == UpdateState.COMPLETED
    assert images(made) == ["app:2"] * 3


def test_failures_within_the_ratio_are_borne() -> None:
    made = started(4, **rolling(Parallelism=1))
    made.update(web(4, "app:2", **rolling(Parallelism=1, MaxFailureRatio=0.25)))
    made.advance(1)
    made.end(next(task for task in made.running("web") if task.spec.container.image == "app:2"), 1)
    made.advance(60)
    assert state(made) == UpdateState.COMPLETED
    assert images(made) == ["app:2"] * 4


def test_action_continue_goes_on_whatever_happens() -> None:
    made = started(made=world(app_2=Behaviour(lives=1)))
    made.update(web(image="app:2", **rolling(FailureAction="continue")))
    made.advance(30)
    assert state(made) == UpdateState.COMPLETED
    assert {task.spec.container.image for task in made.tasks("web") if task.wanted} == {"app:2"}


def test_action_rollback_goes_back_to_the_previous_revision() -> None:
    made = started(made=world(app_2=Behaviour(lives=1)))
    before = {task.id for task in made.running("web")}
    made.update(web(image="app:2", **rolling(FailureAction="rollback")))
    made.advance(2)
    assert state(made) == UpdateState.ROLLBACK_STARTED
    assert message(made).startswith("update rolled back due to failure or early termination of task ")
    made.advance(30)
    assert state(made) == UpdateState.ROLLBACK_COMPLETED
    assert message(made).startswith("rollback completed (update rolled back due to failure or early termination of")
    assert images(made) == ["app:1"] * 4
    assert len(before & {task.id for task in made.running("web")}) == 3, "what was not updated was left alone"
    service = made.service("web")
    assert service.previous_spec is None and service.spec == web()


def test_a_rollback_that_fails_is_paused_and_not_rolled_back_again() -> None:
    made = started(made=world(app_2=Behaviour(lives=1)), **rolling(FailureAction="rollback"))
    made.update(web(image="app:2", **rolling(FailureAction="rollback")))
    made.behaviours["app:1"] = Behaviour(lives=1)
    made.advance(30)
    assert state(made) == UpdateState.ROLLBACK_PAUSED
    assert message(made).startswith("rollback paused due to failure or early termination of task ")


def test_a_rollback_asked_for_is_carried_out_by_the_rollback_configuration() -> None:
    config = {"RollbackConfig": {"Parallelism": 2}}
    made = started(**config)
    made.update(web(image="app:2", **config))
    made.advance(60)
    made.rollback("web")
    made.settle()
    assert images(made).count("app:1") == 2
    made.advance(30)
    assert state(made) == UpdateState.ROLLBACK_COMPLETED
    assert images(made) == ["app:1"] * 4


def test_a_rollback_while_an_update_is_paused_restores_the_failed_slot_at_once() -> None:
    made = started(made=world(app_2=Behaviour(lives=1)))
    made.update(web(image="app:2"))
    made.advance(10)
    assert images(made) == ["app:1"] * 3
    made.rollback("web")
    made.settle()
    assert images(made) == ["app:1"] * 4
    made.advance(10)
    assert state(made) == UpdateState.ROLLBACK_COMPLETED


def test_a_new_specification_supersedes_an_update_in_progress() -> None:
    made = started(made=world(app_2=Behaviour(starts=5), app_3=Behaviour(starts=1)), **rolling(Parallelism=2))
    made.update(web(image="app:2", **rolling(Parallelism=2)))
    made.advance(2)
    assert len(made.running("web")) == 2
    made.update(web(image="app:3", **rolling(Parallelism=2)))
    fewest = 4
    for _ in range(40):
        made.advance(0.5)
        fewest = min(fewest, len(made.running("web")))
    assert fewest == 2, "the slots that are down already are taken first"
    assert images(made) == ["app:3"] * 4
    assert state(made) == UpdateState.COMPLETED


def test_a_paused_update_goes_on_when_the_service_is_updated_again() -> None:
    made = started(made=world(app_2=Behaviour(lives=1)))
    made.update(web(image="app:2"))
    made.advance(10)
    assert state(made) == UpdateState.PAUSED
    made.behaviours["app:2"] = Behaviour()
    made.update(web(image="app:2"))
    made.advance(60)
    assert state(made) == UpdateState.COMPLETED
    assert images(made) == ["app:2"] * 4


def test_while_an_update_is_paused_other_slots_still_heal_with_what_they_ran() -> None:
    made = started(made=world(app_2=Behaviour(lives=1)))
    made.update(web(image="app:2"))
    made.advance(10)
    lost = made.running("web")[0]
    made.end(lost, 1)
    made.advance(10)
    assert images(made) == ["app:1"] * 3
    assert lost.id not in {task.id for task in made.running("web")}


def test_tasks_of_a_paused_update_that_passed_are_healed_too() -> None:
    made = started(3)
    made.update(web(3, "app:2"))
    made.advance(7)
    assert images(made).count("app:2") == 2
    second = next(task for task in made.tasks("web") if task.slot == 2 and task.spec.container.image == "app:2")
    made.end(second, 1)
    made.advance(2)
    assert state(made) == UpdateState.PAUSED
    first = next(task for task in made.running("web") if task.slot == 1)
    made.silence(first.node_id)
    made.advance(20)
    healed = next(task for task in made.running("web") if task.slot == 1)
    assert healed.id != first.id and healed.spec.container.image == "app:2"


@pytest.mark.parametrize(
    "changed",
    [
        {"Labels": {"a": "b"}},
        {"UpdateConfig": {"Parallelism": 3}},
        {"task": {"RestartPolicy": {"Condition": "any", "Delay": 5 * SECOND}}},
        {"task": {"ContainerSpec": {"Image": "app:1", "StopGracePeriod": 10 * SECOND, "Env": []}}},
        {"task": {"Placement": {}, "ForceUpdate": 0, "Runtime": "container"}},
    ],
)
def test_what_means_the_same_restarts_nothing(changed: dict[str, object]) -> None:
    made = started()
    before = {task.id for task in made.running("web")}
    made.update(web(**changed))
    made.advance(30)
    assert {task.id for task in made.running("web")} == before
    said_otherwise = same_service(web(**changed), web())
    assert made.service("web").spec_version == (1 if said_otherwise else 2)
    assert state(made) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "app:2"},
        {"task": {"ForceUpdate": 1}},
        {"task": {"RestartPolicy": {"Delay": SECOND}}},
        {"ports": [8080]},
    ],
)
def test_what_means_something_else_replaces_all_tasks(changed: dict[str, object]) -> None:
    made = started(3)
    before = {task.id for task in made.running("web")}
    made.update(web(3, **changed))
    made.advance(60)
    assert not {task.id for task in made.running("web")} & before
    assert state(made) == UpdateState.COMPLETED


def test_a_new_constraint_moves_only_the_tasks_that_do_not_meet_it() -> None:
    made = started(3)
    stays = {task.id for task in made.running("web") if task.node_id != "h1"}
    made.update(web(3, task={"Placement": {"Constraints": ["node.hostname != h1"]}}))
    made.advance(60)
    assert stays < {task.id for task in made.running("web")}
    assert "h1" not in {task.node_id for task in made.running("web")}
    assert state(made) == UpdateState.COMPLETED


def test_a_task_that_no_longer_meets_a_later_constraint_is_moved_by_an_update_of_its_own() -> None:
    made = started(2)
    made.update(web(2, task={"Placement": {"Constraints": ["node.labels.bad != yes"]}}))
    made.advance(10)
    assert state(made) is None, "all nodes met it"
    made.set_node("h1", labels={"bad": "yes"})
    made.advance(30)
    assert "h1" not in {task.node_id for task in made.running("web")}
    assert state(made) == UpdateState.COMPLETED


def test_a_new_leader_carries_the_update_on() -> None:
    made = started()
    made.update(web(image="app:2"))
    for _ in range(10):
        made.advance(3)
        made.change_leader()
        for name in ("h1", "h2", "h3"):
            made.beat(name)
    assert images(made) == ["app:2"] * 4
    assert state(made) == UpdateState.COMPLETED


def test_a_global_service_is_updated_node_by_node_and_paused_nodes_are_left_alone() -> None:
    made = started(None)
    made.set_node("h2", availability="pause")
    made.update(web(None, "app:2"))
    made.settle()
    assert images(made) == ["app:1", "app:1", "app:2"]
    made.advance(30)
    assert images(made) == ["app:1", "app:2", "app:2"]
    assert state(made) == UpdateState.COMPLETED
    made.set_node("h2", availability="active")
    made.advance(30)
    assert images(made) == ["app:2"] * 3


def test_tasks_that_are_done_are_updated_with_the_service() -> None:
    once = {"task": {"RestartPolicy": {"Condition": "none"}}}
    made = world(once_1=Behaviour(lives=1, code=0), once_2=Behaviour(lives=1, code=0))
    made.create(web(2, "once:1", **once))
    made.advance(10)
    made.update(web(2, "once:2", **once))
    made.advance(30)
    ended = [task.spec.container.image for task in made.tasks("web") if task.state == TaskState.COMPLETE]
    assert sorted(filter(None, ended)) == ["once:1", "once:1", "once:2", "once:2"]
    assert state(made) == UpdateState.COMPLETED


def test_scaling_and_a_new_image_in_one_change_do_both() -> None:
    made = started(2)
    made.update(web(5, "app:2"))
    made.advance(60)
    assert images(made) == ["app:2"] * 5
    assert state(made) == UpdateState.COMPLETED


def test_an_unplaceable_new_task_holds_the_update_with_the_old_tasks_running() -> None:
    made = started(3)
    made.update(web(3, "app:2", task={"Placement": {"Constraints": ["node.hostname == nowhere"]}}))
    made.advance(300)
    assert state(made) == UpdateState.UPDATING
    assert images(made) == ["app:1"] * 2


def test_failures_of_an_earlier_revision_do_not_count() -> None:
    made = started(2, world(app_2=Behaviour(lives=1)))
    made.update(web(2, "app:2"))
    made.advance(10)
    assert state(made) == UpdateState.PAUSED
    made.update(web(2, "app:3"))
    made.advance(30)
    assert state(made) == UpdateState.COMPLETED


def test_a_rolled_back_service_uses_the_credentials_it_had() -> None:
    made = started(made=world(app_2=Behaviour(lives=1)))
    held = made.service("web")
    made.do(Update(dataclasses.replace(held, registry_auth="old")))
    made.update(web(image="app:2", **rolling(FailureAction="rollback")))
    made.do(Update(dataclasses.replace(made.service("web"), registry_auth="new")))
    made.advance(30)
    assert made.service("web").registry_auth == "old"


def newest(made: World, slot: int) -> Task:
    return [task for task in made.tasks("web") if task.slot == slot][-1]


def test_a_failed_start_first_task_leaves_the_old_one_running() -> None:
    made = started(2, world(app_2=Behaviour(pull="no")), **rolling(Order="start-first"))
    made.update(web(2, "app:2", **rolling(Order="start-first")))
    made.advance(30)
    assert state(made) == UpdateState.PAUSED
    assert images(made) == ["app:1"] * 2
    assert newest(made, 1).state == TaskState.REJECTED


def test_a_start_first_task_that_is_overtaken_by_a_later_change_is_given_up() -> None:
    made = started(2, world(app_2=Behaviour(starts=60)), **rolling(Order="start-first"))
    made.update(web(2, "app:2", **rolling(Order="start-first")))
    made.advance(2)
    assert newest(made, 1).state == TaskState.STARTING
    made.update(web(2, "app:3"))
    made.settle()
    assert sorted(task.spec.container.image or "" for task in made.tasks("web") if task.wanted) == ["app:1", "app:3"]
    made.advance(30)
    assert images(made) == ["app:3"] * 2


def test_the_specification_may_be_written_with_null_and_empty_values() -> None:
    made = started(1)
    same = decode(
        ServiceSpec,
        {
            "Name": "web",
            "Labels": None,
            "TaskTemplate": {"ContainerSpec": {"Image": "app:1", "Env": [], "DNSConfig": {}}, "Resources": {}},
            "Mode": {"Replicated": {"Replicas": 1}},
            "EndpointSpec": {"Ports": []},
        },
    )
    before = {task.id for task in made.running("web")}
    made.update(same)
    made.advance(10)
    assert {task.id for task in made.running("web")} == before


def test_an_update_is_paused_where_the_revision_before_needs_a_secret_that_is_gone() -> None:
    made = world(app_2=Behaviour(lives=1))
    made.do(Create(Secret(id="s1", spec=SecretSpec(name="key"), data=b"x")))
    reference = {"SecretID": "s1", "SecretName": "key", "File": {"Name": "key"}}
    container = {"ContainerSpec": {"Image": "app:1", "Secrets": [reference]}}
    made.create(web(2, task=container))
    made.advance(1)
    made.update(web(2, "app:2", **rolling(FailureAction="rollback")))
    made.do(Delete("secret", "s1"))
    made.advance(30)
    assert state(made) == UpdateState.PAUSED
    assert message(made).endswith("; it cannot be rolled back: secret key does not exist any more")


@pytest.mark.parametrize("gate", ["running", "monitor"])
def test_a_new_leader_whose_clock_is_behind_goes_on_slot_by_slot(gate: str) -> None:
    made = started(6, world(app_2=Behaviour(starts=2)), **rolling(Gate=gate))
    made.advance(60)
    made.update(web(6, "app:2", **rolling(Gate=gate)))
    made.settle()
    made.turn_back(5)
    made.change_leader()
    fewest = 6
    for _ in range(200):
        made.advance(0.5)
        fewest = min(fewest, len(made.running("web")))
    assert fewest == 5
    assert images(made) == ["app:2"] * 6
    assert state(made) == UpdateState.COMPLETED


def test_a_new_leader_whose_clock_is_behind_still_judges_what_it_renews() -> None:
    made = started(6, world(app_2=Behaviour(starts=1, lives=1)))
    made.advance(60)
    made.dead.update({"h1", "h2", "h3"})  # nothing of the first batch is reported to the first leader
    made.update(web(6, "app:2"))
    made.settle()
    made.dead.clear()
    made.turn_back(5)
    made.change_leader()
    made.advance(60)
    assert state(made) == UpdateState.PAUSED
    assert images(made) == ["app:1"] * 5


def test_an_update_that_begins_under_a_clock_that_is_behind_is_gated_too() -> None:
    made = started(6, world(app_2=Behaviour(starts=2)))
    made.advance(60)
    held = made.service("web")
    made.do(Update(revisions.updated(held, web(6, "app:2"), "", made.wall)))
    made.turn_back(5)
    made.change_leader()
    fewest = 6
    for _ in range(100):
        made.advance(0.5)
        fewest = min(fewest, len(made.running("web")))
    assert fewest == 5
    assert state(made) == UpdateState.COMPLETED


def test_a_task_that_makes_progress_concerns_no_other_update() -> None:
    made = World(node("h1"), laws=False)
    for name in ("web", "db"):
        made.create(spec(name, 5, UpdateConfig={"Delay": 100 * SECOND}))
    made.advance(1)
    for name in ("web", "db"):
        made.update(spec(name, 5, "app:2", UpdateConfig={"Delay": 100 * SECOND}))
    made.advance(1)
    asked: list[object] = []
    by = made.store.tasks.by

    def watched(index: str, key: object) -> tuple[Task, ...]:
        asked.append(key)
        return by(index, key)

    made.store.tasks.by = watched  # type: ignore[method-assign]
    answer = update.decide(made.store, Dirty(tasks={made.running("web")[0].id}), made.now, made.ids)
    asked_of = {key for key in asked if key in ("web", "db")}
    assert answer.partial and asked_of == {"web"}
    asked.clear()
    assert not update.decide(made.store, Dirty(due=True), made.now, made.ids).partial
    assert {"web", "db"} <= set(asked)


def test_an_update_goes_on_in_its_time_whatever_else_is_touched_meanwhile() -> None:
    made = started(3, **rolling(Delay=10 * SECOND))
    made.create(spec("other", 2))
    made.update(web(3, "app:2", **rolling(Delay=10 * SECOND)))
    for _ in range(60):
        made.advance(0.5)
        made.end(made.running("other")[0], 1)
        made.until(lambda: len(made.running("other")) == 2)
    assert images(made) == ["app:2"] * 3
    assert state(made) == UpdateState.COMPLETED


def test_an_update_is_paused_where_the_port_of_the_revision_before_is_another_services_by_now() -> None:
    made = world(app_2=Behaviour(starts=5, lives=1))
    made.create(web(2, publish=[(8080, 80)]))
    made.advance(1)
    made.update(web(2, "app:2", **rolling(FailureAction="rollback")))
    made.create(spec("other", 1, "app:1", publish=[(8080, 80)]))
    made.advance(60)
    assert state(made) == UpdateState.PAUSED
    text = "it cannot be rolled back: port '8080' is already in use by service 'other' (other) as an ingress port"
    assert text in message(made)


def test_an_update_is_paused_where_the_network_of_the_revision_before_is_gone() -> None:
    made = world(app_2=Behaviour(starts=5, lives=1))
    made.do(Create(network("net")))
    made.create(web(1, networks=["net"]))
    made.advance(1)
    made.update(web(1, "app:2", **rolling(FailureAction="rollback")))
    made.advance(1)
    made.do(Delete("network", "net"))
    made.advance(60)
    assert state(made) == UpdateState.PAUSED
    assert message(made).endswith("; it cannot be rolled back: network net does not exist any more")
