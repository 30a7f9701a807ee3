# SPDX-License-Identifier: Apache-2.0
"""Stacks: rolled out in order, noticed to fail, taken back as a whole."""

from __future__ import annotations

import dataclasses
from typing import Any

from laws.builders import SECOND, job, network, node, spec
from laws.stacks import deploy, of_spec, part, stack
from laws.world import Behaviour, World

from queenright.decide.convergence import convergence
from queenright.model.changes import Create, Delete, Update
from queenright.model.stack import NAMESPACE_LABEL, StackNetwork, StackService, StackState
from queenright.model.states import UpdateState
from queenright.spec.network import NetworkSpec


def world(**behaviours: Behaviour) -> World:
    made = World(node("h1"), node("h2"), node("h3"))
    made.behaviours.update({name.replace("_", ":"): behaviour for name, behaviour in behaviours.items()})
    return made


def shop(db: str = "db:1", web: str = "web:1", replicas: int = 2, **api: Any) -> tuple[StackService, ...]:
    """A web that needs a database."""
    return part("shop", "db", 1, db), part("shop", "web", replicas, web, after=["db"], **api)


def state(made: World) -> StackState:
    return stack(made).status.state


def images(made: World, name: str) -> list[str]:
    return [task.spec.container.image or "" for task in made.running(name)]


def running(**behaviours: Behaviour) -> World:
    made = world(**behaviours)
    deploy(made, *shop())
    made.until(lambda: state(made) == StackState.COMPLETED)
    return made


def test_a_service_has_no_tasks_until_those_that_it_awaits_are_healthy() -> None:
    made = world(db_1=Behaviour(starts=3))
    deploy(made, *shop())
    made.advance(2)
    assert made.tasks("shop_web") == []
    found = convergence(made.store, made.service("shop_web"), made.now)
    assert (found.state, found.reasons) == ("progressing", ("waits for service shop_db to be healthy",))
    made.advance(5)
    assert images(made, "shop_db") == ["db:1"] and made.tasks("shop_web") == [], "it runs, but for a moment only"
    made.advance(3)
    assert images(made, "shop_web") == ["web:1"] * 2
    made.advance(6)
    assert state(made) == StackState.COMPLETED and made.service("shop_web").awaits == ()
    assert made.wall - 6 * SECOND < stack(made).status.completed_at <= made.wall


def test_started_is_enough_where_that_is_awaited() -> None:
    made = world(db_1=Behaviour(starts=3))
    deploy(made, part("shop", "db", 1, "db:1"), part("shop", "web", 1, "web:1", after={"db": "started"}))
    made.advance(2.9)
    assert made.tasks("shop_web") == []
    made.advance(0.3)
    assert images(made, "shop_web") == ["web:1"]


def test_a_job_is_awaited_until_it_has_completed() -> None:
    made = world(mig_1=Behaviour(lives=20, code=0))
    migrate = of_spec("shop", "migrate", job("shop_migrate", 1, image="mig:1"))
    deploy(made, migrate, part("shop", "web", 1, "web:1", after={"migrate": "completed"}))
    made.advance(19)
    assert made.tasks("shop_web") == []
    made.advance(2)
    assert images(made, "shop_web") == ["web:1"]
    made.advance(6)
    assert state(made) == StackState.COMPLETED


def test_a_job_that_fails_for_good_pauses_a_new_stack_and_what_awaits_it_never_starts() -> None:
    made = world(mig_1=Behaviour(lives=1, code=2))
    once = job("shop_migrate", 1, image="mig:1", task={"RestartPolicy": {"Condition": "none"}})
    migrate = of_spec("shop", "migrate", once)
    deploy(made, migrate, part("shop", "web", 1, "web:1", after={"migrate": "completed"}))
    made.advance(60)
    status = stack(made).status
    assert (status.state, status.failed) == (StackState.PAUSED, "shop_migrate")
    assert "non-zero exit (2)" in status.message and "no revision before" in status.message
    assert made.tasks("shop_web") == []


def test_a_changed_service_keeps_running_what_it_ran_and_is_healed_with_that() -> None:
    made = running(db_2=Behaviour(starts=30))
    deploy(made, *shop("db:2", "web:2"))
    made.advance(2)
    assert made.service("shop_web").awaits == ("shop_db",)
    made.end(made.running("shop_web")[0], 1)
    made.advance(10)
    assert images(made, "shop_web") == ["web:1"] * 2, "the one that ended has a successor of its own revision"
    assert made.service("shop_web").update_status is None
    made.advance(60)
    assert images(made, "shop_web") == ["web:2"] * 2
    assert state(made) == StackState.COMPLETED


def test_a_service_that_waits_is_changed_again_and_goes_on_running_what_ran() -> None:
    made = running(db_2=Behaviour(starts=30))
    deploy(made, *shop("db:2", "web:2"))
    made.advance(2)
    deploy(made, *shop("db:2", "web:3"))
    made.advance(2)
    made.end(made.running("shop_web")[0], 1)
    made.advance(10)
    assert images(made, "shop_web") == ["web:1"] * 2
    made.advance(60)
    assert images(made, "shop_web") == ["web:3"] * 2


def test_a_broken_image_takes_the_whole_back_and_says_why() -> None:
    made = running(web_2=Behaviour(lives=1, code=7))
    deploy(made, *shop("db:2", "web:2"))
    made.until(lambda: not state(made).active)
    held = stack(made)
    assert held.status.state == StackState.ROLLBACK_COMPLETED and held.status.failed == "shop_web"
    assert images(made, "shop_db") == ["db:1"] and images(made, "shop_web") == ["web:1"] * 2
    assert held.revision.number == 3 and held.revision.source == "rollback"
    assert held.revision.services == shop()
    assert [one.number for one in held.history] == [2, 1]
    assert "non-zero exit (7)" in held.history[0].failure and "non-zero exit (7)" in held.status.message
    assert held.history[1].failure == ""


def test_what_waited_when_it_failed_is_left_alone() -> None:
    made = running(db_2=Behaviour(pull="No such image: db:2"))
    before = {task.id for task in made.running("shop_web")}
    deploy(made, *shop("db:2", "web:2"))
    made.until(lambda: not state(made).active)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert {task.id for task in made.running("shop_web")} == before
    assert "No such image" in stack(made).status.message


def test_services_that_are_new_go_and_those_that_went_come_back() -> None:
    made = running(cache_1=Behaviour(lives=1))
    db, _ = shop()
    deploy(made, db, part("shop", "cache", 1, "cache:1"))
    made.advance(1)
    assert {one.name for one in made.store.services} == {"shop_db", "shop_cache"}
    made.until(lambda: not state(made).active)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert {one.name for one in made.store.services} == {"shop_db", "shop_web"}
    assert "3 times in a row" in stack(made).status.message
    assert images(made, "shop_web") == ["web:1"] * 2


def test_a_new_stack_that_fails_pauses_because_there_is_nothing_to_go_back_to() -> None:
    made = world(web_1=Behaviour(pull="No such image: web:1"))
    deploy(made, *shop())
    made.until(lambda: not state(made).active)
    status = stack(made).status
    assert (status.state, status.failed) == (StackState.PAUSED, "shop_web")
    assert "No such image" in status.message and "no revision before" in status.message
    assert images(made, "shop_db") == ["db:1"]
    assert stack(made).revision.failure


def test_on_failure_pause_leaves_all_as_it_is() -> None:
    made = running(web_2=Behaviour(lives=1))
    deploy(made, *shop("db:2", "web:2"), on_failure="pause")
    made.until(lambda: not state(made).active)
    assert state(made) == StackState.PAUSED
    made.advance(60)
    assert images(made, "shop_db") == ["db:2"] and made.service("shop_web").spec.task.container.image == "web:2"
    assert stack(made).revision.number == 2 and stack(made).revision.failure == stack(made).status.message


def test_a_failed_revision_is_never_gone_back_to() -> None:
    made = running(web_2=Behaviour(lives=1), web_3=Behaviour(lives=1))
    deploy(made, *shop("db:2", "web:2"), on_failure="pause")
    made.until(lambda: not state(made).active)
    deploy(made, *shop("db:2", "web:3"), on_failure="rollback")
    made.until(lambda: not state(made).active)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert images(made, "shop_db") == ["db:1"] and images(made, "shop_web") == ["web:1"] * 2


def test_a_service_that_is_not_there_in_time_fails_the_stack() -> None:
    made = running()
    hungry = {"Resources": {"Reservations": {"NanoCPUs": 64 * 10**9}}}
    deploy(made, part("shop", "db", 1, "db:2", task=hungry), shop()[1], timeout=30 * SECOND)
    made.advance(29)
    assert state(made) == StackState.UPDATING
    made.advance(60)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert "not there within 30 s" in stack(made).status.message.replace("30s", "30 s")
    assert images(made, "shop_db") == ["db:1"]


def test_a_service_that_goes_back_by_itself_takes_the_rest_along() -> None:
    made = running(web_2=Behaviour(lives=1))
    deploy(made, *shop("db:2", "web:2", UpdateConfig={"FailureAction": "rollback"}))
    made.until(lambda: not state(made).active)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert images(made, "shop_db") == ["db:1"] and images(made, "shop_web") == ["web:1"] * 2
    status = made.service("shop_web").update_status
    assert status is not None and status.state == UpdateState.ROLLBACK_COMPLETED
    assert made.service("shop_web").spec == shop()[1].spec


def test_a_rollback_that_fails_is_paused() -> None:
    made = running(web_2=Behaviour(lives=1))
    deploy(made, *shop("db:2", "web:2"))
    made.behaviours["web:1"] = Behaviour(pull="No such image: web:1")
    made.until(lambda: not state(made).active)
    status = stack(made).status
    assert status.state == StackState.ROLLBACK_PAUSED
    assert "rollback paused: service shop_web" in status.message


def test_replicas_set_by_hand_survive_the_way_back() -> None:
    made = running(web_2=Behaviour(lives=1))
    made.change("shop_web", mode=dataclasses.replace(made.service("shop_web").spec.mode, replicas=4))
    made.advance(10)
    deploy(made, *shop("db:1", "web:2"))
    made.until(lambda: not state(made).active)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert images(made, "shop_web") == ["web:1"] * 4


def test_a_service_that_is_removed_by_hand_while_it_is_awaited_is_missed() -> None:
    made = world(db_1=Behaviour(starts=100))
    deploy(made, *shop(), timeout=60 * SECOND)
    made.advance(1)
    made.do(Delete("service", made.service("shop_db").id))
    made.until(lambda: not state(made).active)
    status = stack(made).status
    assert (status.state, status.failed) == (StackState.PAUSED, "shop_db")
    assert "service shop_db is not there" in status.message


def test_two_services_that_exchange_a_port_cannot_be_taken_back_and_it_is_said() -> None:
    made = world(b_2=Behaviour(lives=1))
    deploy(made, part("shop", "a", 1, "a:1", publish=[(8080, 80)]), part("shop", "b", 1, "b:1", publish=[(8081, 80)]))
    made.until(lambda: state(made) == StackState.COMPLETED)
    a, b = made.service("shop_a"), made.service("shop_b")
    swapped = part("shop", "a", 1, "a:1", publish=[(8081, 80)]), part("shop", "b", 1, "b:2", publish=[(8080, 80)])
    made.do(Update(dataclasses.replace(a, spec=dataclasses.replace(a.spec, endpoint=spec().endpoint), spec_version=2)))
    made.do(Update(dataclasses.replace(b, spec=dataclasses.replace(b.spec, endpoint=spec().endpoint), spec_version=2)))
    deploy(made, *swapped)
    made.until(lambda: not state(made).active)
    status = stack(made).status
    assert status.state == StackState.PAUSED
    assert "cannot be taken back" in status.message and "at the same moment" in status.message


def test_a_port_that_moved_to_another_service_moves_back() -> None:
    made = world(b_2=Behaviour(lives=1))
    deploy(made, part("shop", "a", 1, "a:1", publish=[(8080, 80)]), part("shop", "b", 1, "b:1"))
    made.until(lambda: state(made) == StackState.COMPLETED)
    deploy(made, part("shop", "a", 1, "a:1"), part("shop", "b", 1, "b:2", publish=[(8080, 80)]))
    made.until(lambda: not state(made).active)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert [port.published_port for port in made.service("shop_a").ports] == [8080]
    assert made.service("shop_b").ports == ()


def test_another_leader_goes_on_wherever_it_was_cut() -> None:
    made = running(web_2=Behaviour(lives=1), db_2=Behaviour(starts=2, stops=1))
    deploy(made, *shop("db:2", "web:2"))
    for _ in range(80):
        made.change_leader()
        made.advance(0.7)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert images(made, "shop_db") == ["db:1"] and images(made, "shop_web") == ["web:1"] * 2


def test_a_chain_of_services_without_tasks_is_there_at_once_and_settled_at_each_step() -> None:
    made = world()
    deploy(
        made,
        part("shop", "a", 0, "a:1"),
        part("shop", "b", 0, "b:1", after=["a"]),
        part("shop", "c", 0, "c:1", after=["b"]),
    )
    made.advance(1)
    assert state(made) == StackState.COMPLETED


def test_what_the_failed_revision_brought_is_left_over_and_what_somebody_kept_is_not() -> None:
    made = running(web_2=Behaviour(lives=1))
    label = {NAMESPACE_LABEL: "shop"}
    made.do(Create(network("shop_new", "10.3.0.0/24", vni=5003, labels=label)))
    made.do(Create(network("shop_kept", "10.4.0.0/24", vni=5004, labels=label)))
    new = StackNetwork(key="new", name="shop_new", spec=NetworkSpec(name="shop_new", labels=label))
    deploy(made, *shop("db:1", "web:2", networks=["shop_new"]), networks=[new])
    made.advance(1)
    assert "shop_new" in made.store.networks
    made.until(lambda: not state(made).active)
    made.advance(10)
    assert state(made) == StackState.ROLLBACK_COMPLETED
    assert "shop_new" not in made.store.networks and "shop_kept" in made.store.networks


def test_stacks_that_are_at_rest_are_not_looked_at() -> None:
    made = running()
    asked: list[object] = []
    by = made.store.stacks.by
    made.store.stacks.by = lambda index, key: asked.append((index, key)) or by(index, key)  # type: ignore[method-assign,func-returns-value]
    made.laws = False
    made.end(made.running("shop_web")[0], 1)
    made.advance(10)
    assert set(asked) <= {("active", True), ("leftover", True)}
