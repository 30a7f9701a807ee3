# SPDX-License-Identifier: Apache-2.0
"""A node that changes loses the tasks it may not or cannot hold any more, and no others."""

from __future__ import annotations

import pytest
from laws.builders import GIB, node, spec
from laws.world import World

from queenright.model.states import TaskState


def constrained(*constraints: str) -> dict[str, object]:
    return {"task": {"Placement": {"Constraints": list(constraints)}}}


def reserved(cpus: float = 0, memory: int = 0) -> dict[str, object]:
    return {"task": {"Resources": {"Reservations": {"NanoCPUs": int(cpus * 1e9), "MemoryBytes": memory}}}}


def test_a_task_whose_constraint_no_longer_holds_is_rejected_and_replaced_elsewhere() -> None:
    world = World(node("h1", labels={"ssd": "yes"}), node("h2", labels={"ssd": "yes"}))
    world.create(spec("db", 1, **constrained("node.labels.ssd == yes")))
    world.settle()
    world.set_node("h1", labels={})
    world.settle()
    old = world.tasks("db")[0]
    assert (old.state, old.desired_state) == (TaskState.REJECTED, TaskState.SHUTDOWN)
    assert old.status.message == "task rejected by constraint enforcer"
    assert old.status.err == "assigned node no longer meets constraints"
    world.advance(6)
    assert [each.node_id for each in world.running("db")] == ["h2"]


def test_a_label_that_nobody_asks_for_moves_nothing() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 4))
    world.settle()
    before = {each.id for each in world.running("web")}
    world.set_node("h1", labels={"any": "thing"})
    world.advance(10)
    assert {each.id for each in world.running("web")} == before


@pytest.mark.parametrize(
    ("reservation", "facts"),
    [(reserved(1), {"nano_cpus": 10**9}), (reserved(memory=2 * GIB), {"memory_bytes": 3 * GIB})],
)
def test_a_node_that_shrinks_keeps_its_oldest_tasks(reservation: dict, facts: dict) -> None:
    world = World(node("h1", cpus=3, memory=6 * GIB))
    world.create(spec("web", 1, **reservation))
    world.settle()
    world.advance(1)
    world.create(spec("later", 2, **reservation))
    world.settle()
    assert len(world.running("later")) == 2
    world.describe("h1", **facts)
    world.settle()
    assert len(world.running("web")) == 1
    assert world.running("later") == []
    first = world.tasks("later")[0]
    assert first.status.err == "assigned node no longer has the resources that are reserved"


def test_a_paused_node_is_left_alone() -> None:
    world = World(node("h1", labels={"ssd": "yes"}))
    world.create(spec("db", 1, **constrained("node.labels.ssd == yes")))
    world.settle()
    world.set_node("h1", availability="pause", labels={})
    world.advance(10)
    assert len(world.running("db")) == 1


def test_a_constraint_the_service_has_dropped_is_not_enforced() -> None:
    world = World(node("h1", labels={"ssd": "yes"}), node("h2"))
    world.create(spec("db", 1, **constrained("node.labels.ssd == yes")))
    world.settle()
    world.update(spec("db", 1))
    world.advance(10)
    before = [each.id for each in world.running("db")]
    world.set_node("h1", labels={})
    world.advance(10)
    assert [each.id for each in world.running("db")] == before
