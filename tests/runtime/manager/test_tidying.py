# SPDX-License-Identifier: Apache-2.0
"""Certificates and nodes that nobody needs any more."""

from __future__ import annotations

import dataclasses

import pytest
from runtime.manager.kit import World

from queenright.manager.ports import Peer
from queenright.manager.tidying import CHANGE_OVER, NEVER_CAME, SECOND, Tidying
from queenright.model.errors import OutOfSequence
from queenright.model.objects import NodeDescription, NodeStatus
from queenright.model.states import NodeState


def peer(world: World, serial: str) -> Peer:
    return Peer(world.store.node("one").id, "c", "worker", serial, 0)


def serials(world: World, node_id: str) -> tuple[str, str]:
    node = world.store.node(node_id)
    return node.serial, node.previous_serial


def renewed(world: World) -> Tidying:
    world.worker("one")
    world.put(dataclasses.replace(world.store.node("one"), serial="b", previous_serial="a"))
    return Tidying(world.context)


async def test_a_former_certificate_is_good_until_the_new_one_was_seen_and_a_moment_longer() -> None:
    world = World.make()
    tidying = renewed(world)
    tidying.seen(peer(world, "a"))
    world.clock.move(CHANGE_OVER * 10)
    await tidying.look()
    assert serials(world, "one") == ("b", "a")
    tidying.seen(peer(world, "b"))
    world.clock.move(CHANGE_OVER - 1)
    tidying.seen(peer(world, "b"))  # again and again: the first time counts
    await tidying.look()
    assert serials(world, "one") == ("b", "a")
    world.clock.move(1)
    await tidying.look()
    assert serials(world, "one") == ("b", "")
    batches = len(world.proposer.batches)
    tidying.seen(peer(world, "b"))
    world.clock.move(CHANGE_OVER)
    await tidying.look()
    assert len(world.proposer.batches) == batches


async def test_a_certificate_renewed_once_more_begins_anew() -> None:
    world = World.make()
    tidying = renewed(world)
    tidying.seen(peer(world, "b"))
    world.put(dataclasses.replace(world.store.node("one"), serial="c", previous_serial="b"))
    world.clock.move(CHANGE_OVER)
    await tidying.look()
    assert serials(world, "one") == ("c", "b")
    tidying.seen(peer(world, "c"))
    world.clock.move(CHANGE_OVER)
    await tidying.look()
    assert serials(world, "one") == ("c", "")


async def test_only_the_leader_writes_and_what_was_seen_is_kept_for_it() -> None:
    world = World.make()
    tidying = renewed(world)
    tidying.seen(peer(world, "b"))
    world.clock.move(CHANGE_OVER)
    world.proposer.is_leader = False
    await tidying.look()
    assert serials(world, "one") == ("b", "a")
    world.proposer.is_leader = True
    await tidying.look()
    assert serials(world, "one") == ("b", "")


async def test_a_node_that_changed_meanwhile_is_looked_at_again() -> None:
    world = World.make()
    tidying = renewed(world)
    tidying.seen(peer(world, "b"))
    world.clock.move(CHANGE_OVER)
    calls = iter([OutOfSequence()])
    world.proposer.before.append(lambda: (_ for _ in ()).throw(next(calls)))
    await tidying.look()
    assert serials(world, "one") == ("b", "a")
    await tidying.look()
    assert serials(world, "one") == ("b", "")


@pytest.mark.parametrize("role", ["worker", "manager"])
async def test_a_node_that_was_never_heard_of_goes_after_an_hour(role: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "queenright.audit")
    world = World.make()
    told: list[str] = []
    tidying = Tidying(world.context, lambda node: told.append(node.id))
    made = world.worker("silent")
    silent = dataclasses.replace(made, role=role, description=NodeDescription(), status=NodeStatus())
    world.put(silent)
    world.worker("heard")
    world.clock.move(NEVER_CAME / SECOND)
    await tidying.look()
    assert told == []
    world.clock.move(1)
    await tidying.look()
    assert told == [made.id]
    audited = [line.what for line in caplog.records if getattr(line, "event", "") == "purge"]  # type: ignore[attr-defined]
    assert audited == [{"node": made.id, "role": role}]
    assert [node.hostname for node in world.store.nodes if node.role == "worker"] == ["heard"]
    assert world.store.nodes.get(made.id) is None


async def test_a_node_that_is_down_but_was_there_stays() -> None:
    world = World.make()
    node = world.worker("gone")
    world.put(dataclasses.replace(node, status=NodeStatus(state=NodeState.DOWN)))
    world.clock.move(NEVER_CAME)
    await Tidying(world.context).look()
    assert world.store.node("gone").status.state == NodeState.DOWN
