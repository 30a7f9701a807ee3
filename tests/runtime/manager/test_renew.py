# SPDX-License-Identifier: Apache-2.0
"""Certificates of members: for the role that counts next, and never a node that is locked out by a lost answer."""

from __future__ import annotations

import dataclasses

import pytest
from runtime.manager.kit import World

from queenright.manager.renewal import Renewed
from queenright.model.changes import Update
from queenright.model.errors import InvalidArgument, NotFound, Unavailable
from queenright.model.objects import Node


def wish(world: World, name: str, role: str) -> Node:
    node = world.store.node(name)
    wished: Node = world.put(dataclasses.replace(node, spec=dataclasses.replace(node.spec, role=role)))
    return wished


async def renew(world: World, name: str, addr: str = "", **more: str) -> Renewed:
    return await world.control.authority.renew(world.store.node(name).id, b"key:new", addr, **more)


async def test_a_worker_that_shall_be_a_manager_becomes_one_in_one_entry() -> None:
    world = World.make()
    world.worker("one")
    before = wish(world, "one", "manager")
    entries = len(world.proposer.batches)
    chain, role = await renew(world, "one", "192.0.2.7:2377", serial="abc")
    node = world.store.node("one")
    assert (chain, role) == (f"CERT {node.id} manager\n".encode(), "manager")
    assert (node.role, node.manager_addr) == ("manager", "192.0.2.7:2377")
    assert (node.serial, node.previous_serial) == (f"{len(world.certificates.issued):x}", "abc")
    assert len(world.proposer.batches) == entries + 1
    assert node.spec == before.spec


async def test_who_says_not_where_it_is_reached_stays_a_worker() -> None:
    world = World.make()
    world.worker("one")
    wish(world, "one", "manager")
    assert (await renew(world, "one")).role == "worker"
    assert (world.store.node("one").role, world.store.node("one").manager_addr) == ("worker", "")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("0.0.0.0:2377", "192.0.2.9:2377"),
        ("[::]:4000", "192.0.2.9:4000"),
        ("203.0.113.5", "203.0.113.5:2377"),
        ("[2001:db8::5]:2377", "[2001:db8::5]:2377"),
        ("one.example:4000", "one.example:4000"),
    ],
)
async def test_a_host_that_is_not_named_is_the_one_at_which_the_node_is_seen(said: str, kept: str) -> None:
    world = World.make()
    world.worker("one")
    wish(world, "one", "manager")
    await renew(world, "one", said)
    assert world.store.node("one").manager_addr == kept


@pytest.mark.parametrize("said", ["http://x", "a b:2377", "192.0.2.1:0", "fe80::1%eth0"])
async def test_an_address_that_is_none_promotes_nobody(said: str) -> None:
    world = World.make()
    world.worker("one")
    before = wish(world, "one", "manager")
    with pytest.raises(InvalidArgument, match="promotion needs a reachable manager port"):
        await renew(world, "one", said)
    assert world.store.node("one") == before


async def test_a_demoted_node_gets_a_worker_s_certificate() -> None:
    world = World.make()
    node = world.manager("one")
    wish(world, "one", "worker")
    assert (await renew(world, "one", "one:2377")).role == "manager", "as long as it has its seat"
    world.put(dataclasses.replace(world.store.node("one"), role="worker", manager_addr=""))
    renewed = await renew(world, "one", "one:2377", serial="old")
    assert renewed.role == "worker"
    assert (world.store.node("one").manager_addr, world.store.node("one").previous_serial) == ("", "old")
    assert world.certificates.issued[-1]["node_id"] == node.id


async def test_a_manager_that_renews_keeps_its_place_or_says_that_it_moved() -> None:
    world = World.make()
    world.manager("one")
    for said in ("", "one:2377", "0.0.0.0:2377"):
        assert (await renew(world, "one", said)).role == "manager"
        assert world.store.node("one").manager_addr == "one:2377"
    await renew(world, "one", "one.new:2377")
    assert world.store.node("one").manager_addr == "one.new:2377"


async def test_a_lost_answer_locks_nobody_out() -> None:
    world = World.make()
    node = world.worker("one")
    world.put(dataclasses.replace(node, serial="in-use"))
    for _ in range(3):
        await renew(world, "one", serial="in-use")
        assert world.store.node("one").previous_serial == "in-use"


async def test_a_renewal_goes_with_what_was_written_meanwhile() -> None:
    world = World.make()
    world.worker("one")
    world.proposer.before.append(lambda: wish(world, "one", "manager"))
    assert (await renew(world, "one", "192.0.2.7:2377")).role == "manager"


async def test_a_promotion_that_was_called_off_meanwhile_promotes_nobody() -> None:
    world = World.make()
    world.worker("one")
    wish(world, "one", "manager")
    world.proposer.before.append(lambda: wish(world, "one", "worker"))
    assert (await renew(world, "one", "192.0.2.7:2377")).role == "worker"
    assert world.store.node("one").role == "worker"


async def test_renewals_are_refused_for_whom_nobody_knows_and_by_who_does_not_lead() -> None:
    world = World.make()
    with pytest.raises(NotFound, match="node not registered"):
        await world.control.authority.renew("stranger", b"key:new")
    world.worker("one")
    with pytest.raises(InvalidArgument, match="damaged"):
        await world.control.authority.renew(world.store.node("one").id, b"junk")
    world.proposer.is_leader = False
    world.group.leader_id = "other"
    with pytest.raises(Unavailable, match="not the leader"):
        await renew(world, "one")
    world.group.leader_id = None
    with pytest.raises(Unavailable, match="The swarm does not have a leader"):
        await renew(world, "one")


async def test_a_node_that_changes_all_the_time_is_told_to_try_again() -> None:
    world = World.make()
    world.worker("one")
    world.proposer.before.extend([lambda: world.proposer.put(Update(world.store.node("one")))] * 20)
    with pytest.raises(Unavailable, match="changed too often"):
        await renew(world, "one")
