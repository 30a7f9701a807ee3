# SPDX-License-Identifier: Apache-2.0
"""Managers that are demoted, removed, leave, or are left behind by force: what is refused, and what is done."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from runtime.manager.kit import DEADLINE, World

from queenright.manager import texts
from queenright.model.errors import FailedPrecondition, NotFound, Unavailable
from queenright.model.states import NodeState
from queenright.spec.cluster import NodeSpec


async def set_role(world: World, name: str, role: str) -> None:
    node = world.store.node(name)
    await world.control.nodes.update(name, node.version, NodeSpec(role=role, availability="active"))


def finish(world: World, node_id: str) -> None:
    """What the membership loop would do."""
    del world.group.seats[node_id]
    node = world.store.node(node_id)
    world.put(dataclasses.replace(node, role="worker", manager_addr=""))


async def test_a_promotion_is_a_wish_until_the_node_asks_for_its_certificate() -> None:
    world = World.make()
    world.worker("one")
    await set_role(world, "one", "manager")
    assert (world.store.node("one").spec.role, world.store.node("one").role) == ("manager", "worker")
    await set_role(world, "one", "worker")
    assert world.store.node("one").spec.role == "worker"


async def test_the_last_manager_is_not_demoted() -> None:
    world = World.make()
    world.worker("one")
    with pytest.raises(FailedPrecondition, match=r"^attempting to demote the last manager of the swarm$"):
        await set_role(world, "queen", "worker")


async def test_one_that_is_to_go_or_has_no_vote_does_not_make_another_the_last() -> None:
    world = World.make()
    world.manager("joining", seated=False)
    with pytest.raises(FailedPrecondition, match="last manager"):
        await set_role(world, "queen", "worker")
    world.manager("one")
    await set_role(world, "one", "worker")
    with pytest.raises(FailedPrecondition, match="last manager"):
        await set_role(world, "queen", "worker")


async def test_a_demotion_that_would_lose_the_quorum_is_refused_in_check_mode_s_sight_too() -> None:
    world = World.make()
    world.manager("one")
    two = world.manager("two")
    world.group.away.add(two.id)
    before = world.store.node("one")
    with pytest.raises(FailedPrecondition, match="this would result in a loss of quorum"):
        world.control.nodes.changed(before, NodeSpec(role="worker", availability="active"))
    await set_role(world, "two", "worker")
    assert world.store.node("two").spec.role == "worker", "the one that does not answer may go"


async def test_managers_are_demoted_one_after_the_other_while_enough_answer() -> None:
    world = World.make()
    for name in ("one", "two", "three", "four"):
        world.manager(name)
    for name in ("one", "two", "three", "four"):
        await set_role(world, name, "worker")
    with pytest.raises(FailedPrecondition, match="last manager"):
        await set_role(world, "queen", "worker")


async def test_a_manager_on_its_way_out_may_still_be_drained() -> None:
    world = World.make()
    world.manager("one")
    two = world.manager("two")
    await set_role(world, "one", "worker")
    world.group.away.add(two.id)
    node = world.store.node("one")
    await world.control.nodes.update("one", node.version, NodeSpec(role="worker", availability="drain"))
    assert world.store.node("one").availability == "drain"


async def test_a_promotion_can_be_called_off_whoever_answers() -> None:
    world = World.make()
    gone = world.manager("gone")
    world.group.away.add(gone.id)
    world.manager("joining", seated=False)
    await set_role(world, "joining", "worker")
    assert world.store.node("joining").spec.role == "worker"


async def test_a_manager_is_removed_only_after_its_demotion() -> None:
    world = World.make()
    node = world.manager("one", NodeState.DOWN)
    for force in (False, True):
        with pytest.raises(FailedPrecondition, match="must be demoted to worker before removal"):
            await world.control.nodes.remove("one", force)
    await set_role(world, "one", "worker")
    with pytest.raises(FailedPrecondition, match="must be demoted to worker before removal"):
        await world.control.nodes.remove("one", True)
    finish(world, node.id)
    await world.control.nodes.remove("one", False)
    assert world.store.nodes.get(node.id) is None


async def test_a_manager_that_never_got_a_seat_is_removed_like_any_node() -> None:
    world = World.make()
    node = world.manager("one", NodeState.DOWN, seated=False)
    await world.control.nodes.remove("one", False)
    assert world.store.nodes.get(node.id) is None


async def test_one_that_leaves_loses_its_seat_and_is_down_with_its_node_kept() -> None:
    world = World.make()
    node = world.manager("one")
    leaving = asyncio.create_task(world.control.nodes.leave(node.id, DEADLINE))
    async with asyncio.timeout(DEADLINE):
        while world.store.node("one").spec.role != "worker":  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert not leaving.done()
    finish(world, node.id)
    await leaving
    left = world.store.node("one")
    assert (left.role, left.status.state, left.status.message) == ("worker", NodeState.DOWN, "node left the swarm")
    await world.control.nodes.leave(node.id, DEADLINE)
    assert world.store.node("one") == left, "asked again nothing happens"


async def test_one_that_does_not_get_out_in_time_is_told_why() -> None:
    world = World.make()
    node = world.manager("one")
    status = dataclasses.replace(node.status, message="manager role: the disk is full")
    world.put(dataclasses.replace(world.store.node("one"), status=status))
    with pytest.raises(Unavailable, match=r"did not lose its seat among the managers in time.*disk is full"):
        await world.control.nodes.leave(node.id, 0.01)


async def test_a_leader_that_leaves_is_sent_to_the_next_one() -> None:
    world = World.make()
    one = world.manager("one")
    leaving = asyncio.create_task(world.control.nodes.leave(world.manager_id, DEADLINE))
    await asyncio.sleep(0.01)
    world.proposer.is_leader, world.group.leader_id = False, one.id
    with pytest.raises(Unavailable, match="not the leader"):
        await leaving
    assert world.store.node("queen").spec.role == "worker"


async def test_a_leave_that_costs_the_quorum_or_the_swarm_is_said_at_once() -> None:
    world = World.make()
    with pytest.raises(FailedPrecondition, match="last manager"):
        await world.control.nodes.leave(world.manager_id, DEADLINE)
    assert world.store.node("queen").spec.role == "manager"
    one, two = world.manager("one"), world.manager("two")
    world.group.away.add(two.id)
    with pytest.raises(FailedPrecondition, match="loss of quorum"):
        await world.control.nodes.leave(one.id, DEADLINE)
    assert world.store.node("one").spec.role == "worker", "its seat goes as soon as that is possible"
    with pytest.raises(NotFound):
        await world.control.nodes.leave("stranger", DEADLINE)


async def test_after_a_new_cluster_was_forced_the_others_are_workers_in_one_entry() -> None:
    world = World.make()
    world.manager("one")
    world.manager("two", seated=False)
    world.worker("three")
    wished = world.worker("four")
    world.put(dataclasses.replace(wished, spec=dataclasses.replace(wished.spec, role="manager")))
    entries = len(world.proposer.batches)
    await world.control.nodes.sole_manager(world.manager_id)
    assert len(world.proposer.batches) == entries + 1
    roles = {node.hostname: (node.role, node.spec.role, node.manager_addr) for node in world.store.nodes}
    worker = ("worker", "worker", "")
    assert roles == {
        "queen": ("manager", "manager", "192.0.2.1:2377"),
        **dict.fromkeys(("one", "two", "three", "four"), worker),
    }


@pytest.mark.parametrize(
    ("reachable", "total", "leads", "words"),
    [
        (1, 1, True, "Removing the last manager erases all current state"),
        (2, 2, True, "Removing this node leaves 1 managers out of 2. Without a Raft quorum"),
        (2, 3, True, "Removing this node leaves 1 managers out of 3"),
        (1, 3, False, "Doing so may lose the consensus of your cluster."),
        (3, 3, True, "manager. The only way to restore a swarm that has lost consensus"),
    ],
)
def test_a_leave_without_force_is_refused_in_docker_s_words(
    reachable: int, total: int, leads: bool, words: str
) -> None:
    text = texts.manager_leaves(reachable, total, leads=leads)
    assert text.startswith("You are attempting to leave the swarm on a node that is participating as a manager. ")
    assert words in text
