# SPDX-License-Identifier: Apache-2.0
"""Who may come home: the member that the store knows by just that certificate, and nobody else."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from runtime.manager.kit import SECOND, World

from queenright.manager.homecoming import Homecoming
from queenright.manager.ports import Peer
from queenright.model.errors import Unavailable
from queenright.model.home import HomeRequest
from queenright.model.join import JoinRefused, NotLeader
from queenright.model.objects import Certificate, FormerRoot

DAY = 24 * 3600 * SECOND
REQUEST = HomeRequest(b"CHAIN", b"key:new", b"challenge", b"proof")


class Reader:
    """Says whose certificate it is without looking."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.roots: Sequence[str] = ()
        self.error: JoinRefused | None = None

    def holder(self, request: HomeRequest, roots: Sequence[str]) -> Peer:
        self.roots = roots
        if self.error is not None:
            raise self.error
        return self.peer


def make(**peer: object) -> tuple[World, Homecoming, Reader]:
    """A worker whose certificate has ended a day ago."""
    world = World.make()
    world.worker("one")
    node = world.put(dataclasses.replace(world.store.node("one"), serial="aa", previous_serial="99"))
    now = world.clock.wall()
    said = Peer(node.id, world.context.cluster.id, "worker", "aa", now - DAY, now - 91 * DAY)
    reader = Reader(dataclasses.replace(said, **peer))  # type: ignore[arg-type]
    return world, Homecoming(world.context, world.control.authority.signing, reader), reader


async def test_a_member_gets_a_certificate_for_what_it_counts_as() -> None:
    world, home, _ = make()
    grant = await home.come(REQUEST)
    node = world.store.node("one")
    assert (grant.role, grant.certificate_pem) == ("worker", f"CERT {node.id} worker\n".encode())
    assert grant.roots_pem == world.context.cluster.root_certificate.encode() and grant.path == ()
    assert node.serial not in ("aa", "99") and node.previous_serial == "aa"
    assert world.store.certificates.get(node.serial) is not None


async def test_an_answer_that_got_lost_is_given_again() -> None:
    world, home, _ = make()
    await home.come(REQUEST)
    assert (await home.come(REQUEST)).role == "worker"
    assert world.store.node("one").previous_serial == "aa"


async def test_former_roots_count_as_long_as_they_are_remembered_and_the_way_from_them_is_told() -> None:
    world, home, reader = make()
    now = world.clock.wall()
    former = (
        FormerRoot(certificate="ANCIENT", cross_signed="PATH 0", until=now - 1),
        FormerRoot(certificate="OLD", cross_signed="PATH 1", until=now + DAY),
    )
    world.put(dataclasses.replace(world.context.cluster, former_roots=former))
    grant = await home.come(REQUEST)
    assert list(reader.roots) == [world.context.cluster.root_certificate, "OLD"]
    assert grant.path == (b"PATH 1", b"PATH 0")


async def test_everybody_else_is_refused_and_nothing_is_written() -> None:
    cases = {
        "was removed": {"node_id": "1" + 24 * "x"},
        "was removed from swarm": {"cluster_id": "1" + 24 * "x"},
        "no longer in use": {"serial": "bb"},
    }
    for words, peer in cases.items():
        world, home, _ = make(**peer)
        index = world.store.index
        with pytest.raises(JoinRefused, match=words):
            await home.come(REQUEST)
        assert world.store.index == index


async def test_who_was_away_for_too_long_joins_anew() -> None:
    world, home, reader = make()
    now = world.clock.wall()
    reader.peer = dataclasses.replace(reader.peer, not_after=now - 30 * DAY)
    with pytest.raises(JoinRefused, match="too long ago"):
        await home.come(REQUEST)
    reader.peer = dataclasses.replace(reader.peer, not_after=now - 30 * DAY + SECOND)
    assert await home.come(REQUEST)


async def test_a_revoked_certificate_leads_nowhere() -> None:
    world, home, _ = make()
    world.put(Certificate(id="aa", node_id=world.store.node("one").id, revoked_at=1))
    with pytest.raises(JoinRefused, match="revoked"):
        await home.come(REQUEST)


async def test_a_proof_that_does_not_hold_is_the_reader_s_to_refuse() -> None:
    world, home, reader = make()
    reader.error = JoinRefused("the proof was not made with the key of the certificate")
    with pytest.raises(JoinRefused, match="proof was not made"):
        await home.come(REQUEST)
    assert world.store.node("one").serial == "aa"


async def test_only_the_leader_decides_and_what_may_pass_is_said_so() -> None:
    world, home, _ = make()
    world.proposer.is_leader = False
    with pytest.raises(NotLeader):
        await home.come(REQUEST)
    world.proposer.is_leader = True

    def gone() -> None:
        raise Unavailable("the majority is gone")

    world.proposer.before.append(gone)
    with pytest.raises(NotLeader, match="majority is gone"):
        await home.come(REQUEST)
