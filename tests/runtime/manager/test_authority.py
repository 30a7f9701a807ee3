# SPDX-License-Identifier: Apache-2.0
"""Admission by token and by ticket."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from runtime.manager.kit import Seat, World, key_digest

from queenright.manager import authority as room
from queenright.model.changes import Create, Delete
from queenright.model.errors import InvalidArgument, Unavailable
from queenright.model.ids import is_id
from queenright.model.join import (
    BadRequest,
    BadToken,
    JoinGrant,
    JoinLimited,
    JoinRequest,
    ManagerAddress,
    NotLeader,
    TicketExpired,
    TicketOfOtherKey,
    TicketUsed,
)
from queenright.model.objects import Node
from queenright.model.tokens import make_join_token, make_ticket, parse_join_secret
from queenright.spec.cluster import NodeSpec


def request(world: World, secret: str = "", key: str = "one", **more: Any) -> JoinRequest:
    """A request of the holder of ``key``, with the worker token unless another secret is given."""
    text = secret or world.context.cluster.worker_token
    return JoinRequest(csr_pem=f"key:{key}".encode(), secret=parse_join_secret(text), **more)


async def admit(world: World, secret: str = "", key: str = "one", **more: Any) -> JoinGrant:
    return await world.control.authority.admit(request(world, secret, key, **more), "198.51.100.7")


async def ticket(world: World, key: str = "one", **more: Any) -> str:
    issued = await world.control.authority.issue_ticket(role="worker", key_digest=key_digest(key), **more)
    return issued.text


async def test_the_worker_token_makes_a_worker() -> None:
    world = World.make()
    grant = await admit(world, availability="drain")
    node = world.store.nodes.get(grant.node_id)
    assert node is not None
    assert is_id(node.id)
    assert (grant.role, node.role, node.spec.role) == ("worker", "worker", "worker")
    assert node.availability == "drain"
    assert node.status.addr == "198.51.100.7"
    assert grant.certificate_pem == f"CERT {node.id} worker\n".encode()
    assert node.serial == f"{len(world.certificates.issued):x}"
    assert grant.cluster_id == world.context.cluster.id == world.certificates.issued[-1]["cluster_id"]
    assert grant.managers == (ManagerAddress(world.manager_id, "192.0.2.1:2377"),)


@pytest.mark.parametrize(
    ("advertised", "stored"),
    [
        ("", "198.51.100.7"),
        ("0.0.0.0:2377", "198.51.100.7"),
        ("[::]:2377", "198.51.100.7"),
        ("203.0.113.5:2377", "203.0.113.5"),
        ("203.0.113.5", "203.0.113.5"),
        ("[2001:db8::5]:2377", "2001:db8::5"),
        ("2001:db8::5", "2001:db8::5"),
        ("one.example", "one.example"),
    ],
)
async def test_the_address_is_what_the_node_says_or_where_it_came_from(advertised: str, stored: str) -> None:
    world = World.make()
    grant = await admit(world, advertise_addr=advertised)
    node = world.store.nodes.get(grant.node_id)
    assert node is not None
    assert node.status.addr == stored


@pytest.mark.parametrize("advertised", ["a b", "http://x", "192.0.2.1:0", "\ud800", "x" * 300])
async def test_an_address_that_is_none_is_refused_and_spends_nothing(advertised: str) -> None:
    world = World.make()
    secret = await ticket(world)
    with pytest.raises(BadRequest, match="advertise_addr in the join request"):
        await admit(world, secret, advertise_addr=advertised)
    assert (len(world.store.nodes), len(world.store.tickets)) == (1, 1)


@pytest.mark.parametrize(
    ("advertised", "port", "reached"),
    [
        ("", 2377, "198.51.100.7:2377"),
        ("", 4000, "198.51.100.7:4000"),
        ("0.0.0.0:4000", 4000, "198.51.100.7:4000"),
        ("203.0.113.5", 4000, "203.0.113.5:4000"),
        ("203.0.113.5:5000", 4000, "203.0.113.5:5000"),
        ("2001:db8::5", 2377, "[2001:db8::5]:2377"),
        ("one.example", 2377, "one.example:2377"),
    ],
)
async def test_the_manager_token_makes_a_manager_that_the_group_can_reach(
    advertised: str, port: int, reached: str
) -> None:
    world = World.make()
    token = world.context.cluster.manager_token
    grant = await admit(world, token, advertise_addr=advertised, listen_port=port)
    node = world.store.nodes.get(grant.node_id)
    assert node is not None
    assert (grant.role, node.role, node.spec.role, node.manager_addr) == ("manager", "manager", "manager", reached)
    assert world.certificates.issued[-1]["role"] == "manager"
    assert grant.managers == (ManagerAddress(world.manager_id, "192.0.2.1:2377"),), "the others, not itself"


async def test_a_worker_has_no_control_address() -> None:
    world = World.make()
    grant = await admit(world, advertise_addr="203.0.113.5:2377")
    node = world.store.nodes.get(grant.node_id)
    assert node is not None
    assert node.manager_addr == ""


async def test_a_ticket_for_a_manager_makes_one() -> None:
    world = World.make()
    issued = await world.control.authority.issue_ticket(role="manager", key_digest=key_digest("one"))
    grant = await admit(world, issued.text)
    node = world.store.nodes.get(grant.node_id)
    assert node is not None
    assert (node.role, node.manager_addr) == ("manager", "198.51.100.7:2377")
    assert len(world.store.tickets) == 0


async def test_a_manager_that_lost_the_answer_asks_again_and_may_have_moved() -> None:
    world = World.make()
    token = world.context.cluster.manager_token
    first = await admit(world, token)
    again = await admit(world, token, advertise_addr="203.0.113.5:2377")
    assert (again.node_id, again.role) == (first.node_id, "manager")
    node = world.store.nodes.get(first.node_id)
    assert node is not None
    assert node.manager_addr == "203.0.113.5:2377"


async def test_a_manager_with_a_vote_has_come_though_its_agent_never_did() -> None:
    world = World.make()
    token = world.context.cluster.manager_token
    first = await admit(world, token)
    world.group.seats[first.node_id] = Seat(first.node_id, "198.51.100.7:2377")
    second = await admit(world, token)
    assert second.node_id != first.node_id


async def test_managers_that_never_came_make_room_but_one_with_a_vote_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_PENDING", 1)
    world = World.make()
    token = world.context.cluster.manager_token
    lost = await admit(world, token, key="lost")
    seated = await admit(world, await ticket(world, "seated"), key="seated")
    world.group.seats[seated.node_id] = Seat(seated.node_id)
    with pytest.raises(JoinLimited):
        await admit(world, token, key="late")
    world.clock.move(3601)
    await admit(world, token, key="late")
    assert world.store.nodes.get(lost.node_id) is None
    assert world.store.nodes.get(seated.node_id) is not None


async def test_the_leader_is_the_first_manager_that_a_joiner_is_told_of() -> None:
    world = World.make()
    others = [world.manager(name).id for name in ("one", "two", "three")]
    for leader in (world.manager_id, *others):
        world.group.leader_id = leader
        grant = await admit(world, key=leader)
        assert grant.managers[0].node_id == leader
        assert {manager.node_id for manager in grant.managers} == {world.manager_id, *others}


async def test_a_token_of_another_cluster_or_an_old_one_is_refused() -> None:
    world = World.make()
    foreign = make_join_token(b"another root", b"0" * 16).text
    with pytest.raises(BadToken, match="A valid join token is necessary to join this cluster"):
        await admit(world, foreign)
    old = world.context.cluster.worker_token
    world.put(dataclasses.replace(world.context.cluster, worker_token=make_join_token(b"x", b"1" * 16).text))
    with pytest.raises(BadToken):
        await admit(world, old)
    assert len(world.store.nodes) == 1


async def test_a_damaged_request_is_refused_and_spends_nothing() -> None:
    world = World.make()
    secret = await ticket(world)
    bad = JoinRequest(csr_pem=b"junk", secret=parse_join_secret(secret))
    with pytest.raises(BadRequest, match="damaged"):
        await world.control.authority.admit(bad, "198.51.100.7")
    assert len(world.store.tickets) == 1


async def test_a_ticket_is_good_for_one_join_by_the_one_key() -> None:
    world = World.make()
    secret = await ticket(world, availability="pause", labels={"zone": "a"})
    with pytest.raises(TicketOfOtherKey):
        await admit(world, secret, key="two")
    grant = await admit(world, secret)
    node = world.store.nodes.get(grant.node_id)
    assert node is not None
    assert (node.availability, node.spec.labels) == ("pause", {"zone": "a"})
    assert len(world.store.tickets) == 0
    world.describe(node.id, "one")
    with pytest.raises(TicketUsed):
        await admit(world, secret)
    assert len(world.store.nodes) == 2


async def test_node_and_spent_ticket_are_one_entry() -> None:
    world = World.make()
    secret = await ticket(world)
    await admit(world, secret)
    assert [type(change).__name__ for change in world.proposer.batches[-1]] == ["Create", "Create", "Delete"]


async def test_only_the_digest_of_a_ticket_is_stored() -> None:
    world = World.make()
    secret = await ticket(world)
    stored = next(iter(world.store.tickets))
    assert secret.rsplit("-", 1)[1] not in repr(stored)
    assert stored.secret_digest == parse_join_secret(secret).fingerprint


async def test_a_ticket_lives_for_ten_minutes() -> None:
    world = World.make()
    first, second = await ticket(world), await ticket(world, "two")
    world.clock.move(599)
    await admit(world, first)
    world.clock.move(1)
    with pytest.raises(TicketExpired):
        await admit(world, second, key="two")


async def test_expired_tickets_go_when_the_next_one_is_made() -> None:
    world = World.make()
    await ticket(world)
    world.clock.move(601)
    await ticket(world, "two")
    assert len(world.store.tickets) == 1


async def test_an_unknown_ticket_is_a_used_one_and_a_foreign_one_is_no_ticket() -> None:
    world = World.make()
    root = world.context.cluster.root_certificate.encode()
    with pytest.raises(TicketUsed):
        await admit(world, make_ticket(root, b"2" * 16).text)
    with pytest.raises(BadToken):
        await admit(world, make_ticket(b"other", b"2" * 16).text)


async def test_tickets_are_refused_for_nonsense() -> None:
    world = World.make()
    issue = world.control.authority.issue_ticket
    for values in (
        {"role": "drone", "key_digest": key_digest("one")},
        {"role": "worker", "key_digest": "one"},
        {"role": "worker", "key_digest": key_digest("one").upper()},
        {"role": "worker", "key_digest": key_digest("one"), "availability": "asleep"},
        {"role": "worker", "key_digest": key_digest("one"), "labels": {"": "x"}},
        {"role": "worker", "key_digest": key_digest("one"), "labels": {"a": "\ud800"}},
    ):
        with pytest.raises(InvalidArgument):
            await issue(**values)
    assert len(world.store.tickets) == 0


async def test_open_tickets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_TICKETS", 3)
    world = World.make()
    for number in range(3):
        await ticket(world, str(number))
    with pytest.raises(Unavailable, match="too many tickets"):
        await ticket(world, "four")


async def test_an_issued_ticket_names_the_root_and_the_managers() -> None:
    world = World.make()
    issued = await world.control.authority.issue_ticket(role="worker", key_digest=key_digest("one"))
    assert issued.text.startswith("QRTICKET-1-")
    assert issued.root_digest == world.certificates.root_digest(world.context.cluster.root_certificate)
    assert [manager.addr for manager in issued.managers] == ["192.0.2.1:2377"]
    assert issued.text not in repr(issued)


@pytest.mark.parametrize("by", ["token", "ticket"])
async def test_who_lost_the_answer_asks_again_and_is_the_same_node(by: str) -> None:
    world = World.make()
    secret = await ticket(world) if by == "ticket" else ""
    first = await admit(world, secret)
    again = await admit(world, secret)
    assert again.node_id == first.node_id
    assert len(world.store.nodes) == 2
    node = world.store.nodes.get(first.node_id)
    assert node is not None
    assert (int(node.previous_serial, 16), int(node.serial, 16)) == (2, 3)


async def test_asking_again_ends_when_the_node_has_connected_or_waited_too_long() -> None:
    world = World.make()
    secret = await ticket(world)
    first = await admit(world, secret)
    world.clock.move(16 * 60)
    with pytest.raises(TicketUsed):
        await admit(world, secret)
    world.describe(first.node_id, "one")
    grant = await admit(world)
    assert grant.node_id != first.node_id


async def test_one_key_that_joins_twice_at_once_is_one_node() -> None:
    world = World.make()
    node_id = room._node_id(world.context.cluster, key_digest("one"))
    rival = Node(id=node_id, spec=NodeSpec(role="worker"))
    world.proposer.before.append(lambda: world.proposer.put(Create(rival)))
    grant = await admit(world)
    assert grant.node_id == node_id
    assert len(world.store.nodes) == 2


async def test_a_ticket_that_another_call_spends_meanwhile_is_used() -> None:
    world = World.make()
    secret = await ticket(world)
    stored = next(iter(world.store.tickets))
    world.proposer.before.append(lambda: world.proposer.put(Delete("ticket", stored.id)))
    with pytest.raises(TicketUsed):
        await admit(world, secret)
    assert len(world.store.nodes) == 1


async def test_a_manager_that_does_not_lead_admits_nobody() -> None:
    world = World.make()
    world.proposer.is_leader = False
    with pytest.raises(NotLeader):
        await admit(world)


async def test_nodes_that_never_connected_are_bounded_and_make_room_after_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "MOST_PENDING", 3)
    world = World.make()
    for number in range(3):
        await admit(world, key=str(number))
    with pytest.raises(JoinLimited) as caught:
        await admit(world, key="four")
    assert caught.value.retry_after > 0
    await admit(world, await ticket(world, "five"), key="five")
    world.clock.move(3601)
    await admit(world, key="six")
    assert len(world.store.nodes) == 2


async def test_a_certificate_is_valid_for_as_long_as_the_swarm_says_now() -> None:
    world = World.make()
    spec = world.context.cluster.spec
    ca = dataclasses.replace(spec.ca, node_cert_expiry=7200 * 10**9)
    world.put(dataclasses.replace(world.context.cluster, spec=dataclasses.replace(spec, ca=ca)))
    await admit(world)
    assert world.certificates.issued[-1]["validity"] == 7200 * 10**9
