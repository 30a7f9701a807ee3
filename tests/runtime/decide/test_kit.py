# SPDX-License-Identifier: Apache-2.0
"""The law kit catches deciders that break a law, each by its own law."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from laws import kit
from laws.builders import node, service, spec, task
from laws.invariants import Broken
from laws.world import World

from queenright.decide.base import Decision, Dirty, Now
from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.states import TaskState
from queenright.store.store import Store


def running() -> World:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    return world


def relabel(view: Store, key: str, value: str) -> Update:
    held = view.node(key)
    return Update(dataclasses.replace(held, spec=dataclasses.replace(held.spec, labels={"n": value})))


def label(view: Store, key: str) -> str:
    return view.node(key).spec.labels.get("n", "")


def caught(decide: Callable[[Store, Dirty, Now, Callable[[], str]], Decision], said: str, dirty: Dirty) -> None:
    world = running()
    with pytest.raises(kit.Lawless, match=said):
        kit.check("it", decide, world.store, dirty, world.now)


def test_an_answer_that_differs_from_time_to_time() -> None:
    calls: list[int] = []

    def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        calls.append(1)
        return Decision((relabel(view, "h1", str(len(calls))),))

    caught(decide, "not deterministic", Dirty(everything=True))


def test_an_answer_that_never_ends() -> None:
    def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        return Decision((relabel(view, "h1", label(view, "h1") + "x"),))

    caught(decide, "not settled", Dirty(everything=True))


def test_an_answer_that_cannot_be_cut() -> None:
    def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        if label(view, "h1"):
            return Decision()  # takes the first half for the whole
        drained = dataclasses.replace(view.node("h2"), spec=dataclasses.replace(view.node("h2").spec, availability="x"))
        return Decision((relabel(view, "h1", "done"), Update(drained)))

    caught(decide, "cut after", Dirty(everything=True))


def test_an_answer_that_needs_to_be_told_of_everything() -> None:
    def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        return Decision((relabel(view, "h1", "x"),) if dirty.everything and not label(view, "h1") else ())

    caught(decide, "of all", Dirty(nodes={"h1"}))


def test_a_wake_time_that_depends_on_what_was_touched() -> None:
    def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        return Decision((), None if dirty.everything else 5.0)

    caught(decide, "wakes at", Dirty(nodes={"h1"}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"node_id": "h2"}, "moved"),
        ({"desired_state": TaskState.READY}, "is wanted ready after running"),
        ({"state": TaskState.ASSIGNED}, "went back"),
        ({"attempt": 7}, "attempt of task"),
        ({"slot": 2}, "slot of task"),
    ],
)
def test_a_step_that_no_task_may_take(fields: dict, said: str) -> None:
    world = running()
    held = next(each for each in world.tasks("web") if each.node_id == "h1")
    state = fields.pop("state", held.state)
    changed = dataclasses.replace(held, status=dataclasses.replace(held.status, state=state), **fields)
    with pytest.raises(Broken, match=said):
        world.do(Update(changed))


def test_a_second_started_task_in_a_slot() -> None:
    world = running()
    with pytest.raises(Broken, match="2 started tasks"):
        world.do(Create(task(world.service("web"), "twin", 1, node_id="h2", state=TaskState.RUNNING)))


def test_a_host_port_given_away_twice() -> None:
    world = World(node("h1"))
    web = service("web", 2, ports=[80])
    world.do(Create(web), Create(task(web, "a", 1, node_id="h1", state=TaskState.ASSIGNED)))
    with pytest.raises(Broken, match="more than once"):
        world.do(Create(task(web, "b", 2, node_id="h1", state=TaskState.ASSIGNED)))


def test_a_node_given_more_than_it_has() -> None:
    world = World(node("h1", cpus=1))
    web = service("web", 1, task={"Resources": {"Reservations": {"NanoCPUs": 2 * 10**9}}})
    world.do(Create(web), Create(task(web, "a")))
    held = world.store.task("a")
    assigned = dataclasses.replace(held.status, state=TaskState.ASSIGNED)
    with pytest.raises(Broken, match="than it has CPUs"):
        world.do(Update(dataclasses.replace(held, node_id="h1", status=assigned)))


def test_a_task_deleted_while_it_runs() -> None:
    world = running()
    with pytest.raises(Broken, match="may still run"):
        world.do(Delete("task", world.tasks("web")[0].id))


def test_a_clone_is_equal_and_apart() -> None:
    world = running()
    copied = kit.clone(world.store)
    assert kit.picture(copied) == kit.picture(world.store)
    copied.apply(copied.index + 1, Batch(1, (Delete("service", "web"),)))
    assert "web" in world.store.services
    assert kit.picture(copied) != kit.picture(world.store)
