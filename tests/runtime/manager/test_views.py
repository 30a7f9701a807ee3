# SPDX-License-Identifier: Apache-2.0
"""Nodes as managers: who leads, who answers, and how many there are, by the group itself."""

from __future__ import annotations

from runtime.manager.kit import Seat, World

from queenright.manager.views import ManagerStatus, manager_count, manager_status
from queenright.model.states import NodeState


def statuses(world: World) -> dict[str, ManagerStatus | None]:
    return {node.hostname: manager_status(node, world.group) for node in world.store.nodes}


def test_only_the_one_that_leads_is_the_leader() -> None:
    world = World.make()
    one = world.manager("one")
    world.worker("two")
    assert statuses(world) == {
        "queen": ManagerStatus(True, "reachable", "192.0.2.1:2377"),
        "one": ManagerStatus(False, "reachable", "one:2377"),
        "two": None,
    }
    world.group.leader_id = one.id
    found = statuses(world)
    assert found["one"] is not None and found["queen"] is not None
    assert (found["one"].leader, found["queen"].leader) == (True, False)
    world.group.leader_id = None
    assert not any(status.leader for status in statuses(world).values() if status is not None)


def test_reachability_is_that_of_the_connection_not_of_the_agent() -> None:
    world = World.make()
    one, two = world.manager("one"), world.manager("two", NodeState.DOWN)
    world.group.away.add(one.id)
    found = statuses(world)
    assert found["one"] == ManagerStatus(False, "unreachable", "one:2377")
    assert found["two"] == ManagerStatus(False, "reachable", f"{two.hostname}:2377")


def test_a_node_is_a_manager_as_long_as_it_has_a_seat() -> None:
    world = World.make()
    joining = world.manager("joining", seated=False)
    leaving = world.worker("leaving")
    world.group.seats[leaving.id] = Seat(leaving.id, "leaving:2377")
    assert manager_status(joining, world.group) is None
    assert manager_status(leaving, world.group) == ManagerStatus(False, "reachable", "leaving:2377")
    assert manager_count(world.store, world.group) == 2


def test_without_a_group_the_one_manager_leads_while_it_lives() -> None:
    world = World.make()
    queen, worker = world.store.node("queen"), world.worker("one")
    assert manager_status(queen, None) == ManagerStatus(True, "reachable", "192.0.2.1:2377")
    down = world.describe(queen.id, "queen", NodeState.DOWN)
    assert manager_status(down, None) == ManagerStatus(False, "unreachable", "192.0.2.1:2377")
    assert manager_status(worker, None) is None
    assert manager_count(world.store, None) == 1
