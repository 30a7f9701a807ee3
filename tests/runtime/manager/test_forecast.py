# SPDX-License-Identifier: Apache-2.0
"""What a change would do to tasks: thought through by the deciders themselves, at a cost that follows the change."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from laws import kit
from laws.builders import network
from laws.stacks import deploy, of_spec
from laws.world import World

from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.orchestrate import Decider
from queenright.manager import forecast, portions, revisions
from queenright.manager.forecast import Forecast
from queenright.manager.rehearsal import MOST, foreseen
from queenright.model.changes import Change, Create, Update
from queenright.model.objects import Node, NodeDescription, NodeStatus, Service
from queenright.model.stack import StackService
from queenright.model.states import NodeState
from queenright.spec.cluster import NodeSpec
from queenright.spec.container import ContainerSpec
from queenright.spec.service import (
    EndpointSpec,
    Mode,
    NetworkAttachment,
    Placement,
    Port,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from queenright.store.store import Store

SECOND = 10**9


def node(name: str) -> Node:
    return Node(
        id=name,
        role="worker",
        spec=NodeSpec(role="worker", availability="active"),
        description=NodeDescription(
            hostname=name, os="linux", architecture="x86_64", nano_cpus=10**12, memory_bytes=10**12
        ),
        status=NodeStatus(state=NodeState.READY),
    )


def spec(name: str = "web", image: str = "a:1", mode: Mode | None = None, **update: Any) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        task=TaskSpec(container=ContainerSpec(image=image)),
        mode=mode or Mode(replicas=4),
        update_config=UpdateConfig(**{"monitor": SECOND, **update}),
    )


def running(*specs: ServiceSpec, nodes: int = 3) -> World:
    """A swarm in which all of this runs."""
    world = World(*(node(f"n{number}") for number in range(nodes)), laws=False)
    for one in specs:
        world.create(one)
    world.advance(30)
    return world


def think(world: World, *changes: Change) -> tuple[dict[str, Any], int]:
    """The forecast and the number of steps that it took; nothing of the store may change."""
    index, thought = world.store.index, Forecast(world.store, changes, world.wall)
    steps = sum(1 for _ in thought.steps())
    assert world.store.index == index
    return thought.answer(), steps


def updated(world: World, after: ServiceSpec) -> Change:
    held = world.service(after.name or "")
    return Update(revisions.updated(held, after, "", world.wall))


def only(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["complete"]
    [found] = answer["services"]
    result: dict[str, Any] = found
    return result


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_what_is_foreseen_of_an_update_is_what_comes_about(parallelism: int) -> None:
    world = running(spec(parallelism=parallelism))
    after = spec(image="a:2", parallelism=parallelism)
    found = only(think(world, updated(world, after))[0])
    assert found["serving"] == {"before": 4, "fewest": 4 - parallelism, "after": 4}
    old = {task.id for task in world.tasks("web")}
    world.do(updated(world, after))
    fewest = 4
    for _ in range(200):
        world.settle()
        fewest = min(fewest, len(world.running("web")))
        world.advance(0.25)
    made = [task for task in world.tasks("web") if task.id not in old]
    assert (found["created"], found["stopped"]) == (len(made), len(old))
    assert found["serving"]["fewest"] <= fewest
    assert sorted(slot for batch in found["batches"] for slot in batch["slots"]) == ["1", "2", "3", "4"]
    assert len(found["batches"]) == -(-4 // parallelism)


def test_a_global_service_is_foreseen_by_node() -> None:
    world = running(nodes=3)
    service = Service(id="agent", spec=spec("agent", mode=Mode(kind="global")))
    found = only(think(world, Create(service))[0])
    assert found["batches"] == [{"after": 0.0, "slots": ["n0", "n1", "n2"]}]
    assert found["nodes"] == {"n0": 1, "n1": 1, "n2": 1}


def test_a_service_that_fits_nowhere_serves_nobody_and_says_why() -> None:
    world = running(nodes=2)
    world.set_node("n0", availability="pause")
    world.set_node("n1", availability="pause")
    found = only(think(world, Create(Service(id="web", spec=spec())))[0])
    assert found["serving"]["after"] == 0
    assert found["unplaced"][0]["slots"] == ["1", "2", "3", "4"]


def test_nothing_becomes_of_a_label() -> None:
    world = running(spec())
    after = dataclasses.replace(spec(), labels={"a": "b"})
    assert think(world, updated(world, after))[0] == {"complete": True, "services": []}


def test_the_cost_follows_the_change_and_not_the_swarm() -> None:
    def steps(others: int) -> int:
        world = running(spec(), *(spec(f"other{number}") for number in range(others)))
        found, count = think(world, updated(world, spec(mode=Mode(replicas=6))))
        assert [one["name"] for one in found["services"]] == ["web"]
        return count

    assert steps(0) == steps(30)


def test_the_same_question_has_the_same_answer() -> None:
    world = running(spec(parallelism=2))
    change = updated(world, spec(image="a:2", parallelism=2))
    assert think(world, change) == think(world, change)


def test_ids_of_a_forecast_are_not_those_of_tasks() -> None:
    world = running(spec())
    think(world, updated(world, spec(mode=Mode(replicas=9))))
    assert not [task for task in world.store.tasks if task.id.startswith("forecast")]


def test_more_tasks_than_are_placed_at_once_are_all_foreseen() -> None:
    world = running()
    answer = only(think(world, Create(revisions.created("web", spec(mode=Mode(replicas=1200)), "", world.wall)))[0])
    assert (answer["created"], answer["serving"]["after"], answer["unplaced"]) == (1200, 1200, [])


def test_no_question_is_about_more_than_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"web{number}" for number in range(8)]
    world = running(*(spec(name, mode=Mode(replicas=200)) for name in names))
    asked: list[int] = []

    def noting(decide: Decider) -> Decider:
        def noted(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
            on_nodes = sum(view.tasks.count("node", key) for key in dirty.nodes)
            of_services = sum(view.tasks.count("service", key) for key in dirty.services)
            asked.append(max(len(dirty.tasks), on_nodes if len(dirty.nodes) > 1 else 0, of_services))
            return decide(view, dirty, now, ids)

        return noted

    monkeypatch.setattr(forecast, "DECIDERS", tuple((name, noting(decide)) for name, decide in forecast.DECIDERS))
    held = world.store.node("n0")
    drained = Update(dataclasses.replace(held, spec=dataclasses.replace(held.spec, availability="drain")))
    found, _ = think(world, drained)
    assert [one["name"] for one in found["services"]] == names
    assert all(one["serving"]["after"] == 200 for one in found["services"])
    assert max(asked) <= portions.MOST


class Hasty:
    """A clock by which each look at it takes a quarter of a second."""

    def __init__(self, wall: int) -> None:
        self._wall, self._mono = wall, 0.0

    def wall(self) -> int:
        return self._wall

    def mono(self) -> float:
        self._mono += 0.25
        return self._mono


async def test_a_forecast_that_takes_too_long_is_broken_off_and_says_so() -> None:
    world = running(spec("web"), spec("db", mode=Mode(replicas=30)))
    few, many = (updated(world, after) for after in (spec("web"), spec("db", "a:2", mode=Mode(replicas=30))))
    clock = Hasty(world.wall)
    found = await foreseen(SimpleNamespace(store=world.store, clock=clock), [few])  # type: ignore[arg-type]
    assert found["complete"]
    clock = Hasty(world.wall)
    found = await foreseen(SimpleNamespace(store=world.store, clock=clock), [many])  # type: ignore[arg-type]
    assert not found["complete"]
    assert clock.mono() < 2 * MOST + 5, "it was not thought on"


def test_a_service_in_networks_is_thought_through_with_its_addresses() -> None:
    world = running(spec("other"))
    after = dataclasses.replace(
        spec(),
        task=TaskSpec(container=ContainerSpec(image="a:1"), networks=(NetworkAttachment(target="net"),)),
        endpoint=EndpointSpec(ports=(Port(target_port=80, published_port=8080),)),
    )
    answer, _ = think(world, Create(network("net")), Create(revisions.created("web", after, "", world.wall)))
    assert only(answer)["created"] == 4 and only(answer)["serving"]["after"] == 4
    assert not world.store.networks and not any(each.attachments for each in world.store.nodes)


def test_tasks_for_which_a_network_has_no_room_are_foreseen_not_to_run() -> None:
    world = running(spec("other"), nodes=1)
    world.do(Create(network("tiny", "10.9.0.0/29")))
    task = TaskSpec(container=ContainerSpec(image="a:1"), networks=(NetworkAttachment(target="tiny"),))
    created = revisions.created("web", dataclasses.replace(spec(), task=task), "", world.wall)
    answer, _ = think(world, Create(created))
    assert only(answer)["serving"]["after"] == 2
    assert world.store.network("tiny").error == "" and not world.store.addresses("tiny").held


def two(name: str, image: str, *after: str) -> StackService:
    return of_spec("shop", name, spec(f"shop_{name}", image), after=after)


def test_a_stack_is_thought_through_in_its_order() -> None:
    world = World(*(node(f"n{number}") for number in range(3)), laws=False)
    deploy(world, two("db", "a:1"), two("web", "a:1", "db"))
    world.advance(30)
    before = world.store
    world.store = kit.clone(before)
    deploy(world, two("db", "a:2"), two("web", "a:2", "db"))
    changes: list[Change] = [Update(one) for one in (*world.store.services, *world.store.stacks)]
    world.store = before
    answer, _ = think(world, *changes)
    db, web = answer["services"]
    assert answer["complete"]
    assert [(one["name"], one["created"], one["update"]) for one in (db, web)] == [
        ("shop_db", 4, "completed"),
        ("shop_web", 4, "completed"),
    ]
    assert web["batches"][0]["after"] > db["batches"][-1]["after"], "the one waits for the other"


def test_a_stack_that_fits_nowhere_is_not_foreseen_to_be_taken_back() -> None:
    world = World(*(node(f"n{number}") for number in range(3)), laws=False)
    deploy(world, two("db", "a:1"), two("web", "a:1", "db"))
    hungry = dataclasses.replace(
        two("db", "a:1").spec,
        task=TaskSpec(
            container=ContainerSpec(image="a:1"), placement=Placement(constraints=("node.hostname == nowhere",))
        ),
    )
    before = world.store
    world.store = kit.clone(before)
    deploy(world, of_spec("shop", "db", hungry), two("web", "a:1", "db"))
    changes: list[Change] = [Update(one) for one in (*world.store.services, *world.store.stacks)]
    world.store = before
    answer, _ = think(world, *changes)
    assert "shop_db" in [one["name"] for one in answer["services"]]
