# SPDX-License-Identifier: Apache-2.0
"""What is declared of the root: begun, taken back, refused; and ended by the leader, with new tokens."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from runtime.manager.kit import SECOND, World, key_digest

from queenright.manager import signing, turning
from queenright.manager.authority import Authority
from queenright.manager.control import Control
from queenright.manager.control_cluster import Rotation
from queenright.manager.ports import IssuedCertificate, RootCA
from queenright.manager.turning import Rooting
from queenright.model.errors import InvalidArgument, OutcomeUnknown, OutOfSequence, Refusal, Unavailable
from queenright.model.join import BadToken, JoinRequest, NotSigned
from queenright.model.objects import Certificate, Cluster, RootRotation
from queenright.model.states import NodeState
from queenright.model.tokens import make_join_token, parse_join_secret
from queenright.spec.cluster import ExternalCA

URL = "https://ca.example:8888/api/v1/cfssl/sign"
OUTER = "-----ROOT outer-----\n"
NOTHING = Rotation()


class Authorities:
    """Authorities outside, on paper; ``away``: they do not answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.away = False
        self.asked: list[str] = []

    async def sign(self, cas: Sequence[ExternalCA], root: RootCA, csr: bytes, **more: Any) -> IssuedCertificate:
        self.asked.append(f"sign under {root.certificate.strip()}")
        if self.away:
            raise Unavailable("no external CA answers")
        return self.world.certificates.issue(root, csr, **more)

    async def cross_sign(self, cas: Sequence[ExternalCA], old: str, new: RootCA) -> str:
        self.asked.append(f"cross-sign by {old.strip()}")
        return self.world.certificates.cross_sign(RootCA(old, ""), new)

    async def check(self, cas: Sequence[ExternalCA], root: str) -> None:
        self.asked.append(f"check for {root.strip()}")
        if self.away:
            raise InvalidArgument("nobody answers")


def make() -> tuple[World, Authorities]:
    world = World.make()
    outside = Authorities(world)
    world.control = Control(world.context, Authority(world.context, world.certificates, outside))
    return world, outside


def cluster(world: World) -> Cluster:
    return world.context.cluster


async def declare(world: World, key: str = "", **ca: Any) -> RootRotation | None:
    held = cluster(world)
    spec = dataclasses.replace(held.spec, ca=dataclasses.replace(held.spec.ca, **ca))
    await world.control.cluster.update(held.version, spec, NOTHING, key)
    return cluster(world).root_rotation


def turn(world: World) -> None:
    """All nodes that are there report a certificate of the issuer to be."""
    rotation = cluster(world).root_rotation
    assert rotation is not None
    for node in world.store.nodes:
        if node.status.state == NodeState.READY:
            issuer = {"issuer_subject": rotation.issuer_subject, "issuer_public_key": rotation.issuer_public_key}
            world.put(dataclasses.replace(node, description=dataclasses.replace(node.description, **issuer)))


async def led(world: World, until: Any) -> None:
    """The leader's part runs until the condition holds."""
    task = asyncio.create_task(Rooting(world.context, world.proposer).run())
    try:
        async with asyncio.timeout(30):
            while not until():
                assert not task.done()
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# -- declared


async def test_a_forced_change_makes_a_root_that_the_present_one_has_signed() -> None:
    world = World.make()
    before = cluster(world)
    rotation = await declare(world, force_rotate=1)
    assert rotation is not None and rotation.certificate != before.root_certificate and rotation.key
    assert rotation.cross_signed == f"{rotation.certificate.strip()} by {before.root_certificate}"
    assert cluster(world).root_certificate == before.root_certificate
    assert cluster(world).worker_token == before.worker_token
    assert rotation.started_at == world.clock.wall()
    assert await declare(world, force_rotate=1) == rotation  # said again: nothing new


async def test_while_it_lasts_certificates_are_of_the_root_to_be_and_both_are_trusted() -> None:
    world = World.make()
    before = cluster(world).root_certificate
    rotation = await declare(world, force_rotate=1)
    assert rotation is not None
    assert signing.signing_root(cluster(world)) == RootCA(
        rotation.certificate, rotation.key, rotation.intermediates, rotation.cross_signed
    )
    assert signing.trusted(cluster(world)) == before + rotation.certificate
    assert signing.path(cluster(world)) == (rotation.cross_signed,)


async def test_a_root_that_is_brought_along_is_taken_and_its_key_is_shown_nowhere() -> None:
    world = World.make()
    rotation = await declare(world, "-----KEY mine-----", signing_ca_cert=OUTER)
    assert rotation is not None and (rotation.certificate, rotation.key) == (OUTER, "-----KEY mine-----")
    assert "KEY mine" not in f"{cluster(world)!r}{rotation!r}{cluster(world).spec!r}"
    assert cluster(world).spec.ca.signing_ca_cert == OUTER
    assert await declare(world, signing_ca_cert=OUTER) == rotation  # as a client writes back what it has read
    other = await declare(world, "-----KEY other-----", signing_ca_cert=OUTER)
    assert other == dataclasses.replace(rotation, key="-----KEY other-----")


async def test_to_ask_for_the_present_root_takes_a_change_back() -> None:
    world = World.make()
    before = cluster(world)
    assert await declare(world, force_rotate=1) is not None
    assert await declare(world, signing_ca_cert=before.root_certificate) is None
    assert cluster(world).root_key == before.root_key
    assert await declare(world, "-----KEY two-----", signing_ca_cert=before.root_certificate) is None
    assert cluster(world).root_key == "-----KEY two-----"


async def test_a_change_takes_the_place_of_another_one() -> None:
    world = World.make()
    first = await declare(world, force_rotate=1)
    second = await declare(world, force_rotate=2)
    assert first is not None and second is not None and first.certificate != second.certificate
    assert second.cross_signed.endswith(f"by {cluster(world).root_certificate}")


async def test_what_cannot_be_is_refused_and_nothing_changes() -> None:
    world, outside = make()
    before = cluster(world)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"key": "-----KEY-----"}, "the signing CA cert must also be provided"),
        ({"signing_ca_cert": "junk"}, "cannot be read"),
        ({"signing_ca_cert": OUTER}, "reachable external CA corresponding to the desired"),
        ({"external_cas": (ExternalCA(url="http://ca/sign"),)}, "must begin with https"),
        ({"external_cas": (ExternalCA(url="https://"),)}, "name a host"),
        ({"external_cas": (ExternalCA(url="https://me:secret@ca/sign"),)}, "name a host"),
        ({"external_cas": (ExternalCA(url=URL, ca_cert="junk"),)}, "cannot be read"),
        ({"external_cas": (ExternalCA(url=URL),), "signing_ca_cert": OUTER}, "corresponding to the desired"),
        ({"rotation_grace": -1}, "negative"),
    ]
    for said, words in cases:
        with pytest.raises(InvalidArgument, match=words):
            await declare(world, **said)
    outside.away = True
    with pytest.raises(InvalidArgument, match="nobody answers"):
        await declare(world, external_cas=(ExternalCA(url=URL, ca_cert=OUTER),), signing_ca_cert=OUTER)
    assert cluster(world) == before


# -- outside


async def test_to_an_authority_outside_and_back_to_a_key_of_its_own() -> None:
    world, outside = make()
    cas = (ExternalCA(url=URL, ca_cert=OUTER),)
    rotation = await declare(world, external_cas=cas, signing_ca_cert=OUTER)
    assert rotation is not None and rotation.key == ""
    turn(world)
    await led(world, lambda: cluster(world).root_rotation is None)
    assert (cluster(world).root_certificate, cluster(world).root_key) == (OUTER, "")
    world.worker("one")
    await world.control.authority.renew(world.store.node("one").id, b"key:new")
    assert outside.asked[-1] == "sign under -----ROOT outer-----"
    outside.away = True
    with pytest.raises(Unavailable, match="no external CA answers"):
        await world.control.authority.renew(world.store.node("one").id, b"key:new")
    outside.away = False
    with pytest.raises(InvalidArgument, match="different external CA is not supported"):
        await declare(
            world,
            external_cas=(*cas, ExternalCA(url=URL, ca_cert="-----ROOT third-----\n")),
            signing_ca_cert="-----ROOT third-----\n",
        )
    with pytest.raises(InvalidArgument, match="corresponding to the current"):
        await declare(world, external_cas=())
    assert await declare(world, signing_ca_cert=None, force_rotate=1) is not None
    assert outside.asked[-1] == "cross-sign by -----ROOT outer-----"
    turn(world)
    await led(world, lambda: cluster(world).root_rotation is None)
    assert cluster(world).root_key and cluster(world).root_certificate != OUTER
    assert [one.certificate for one in cluster(world).former_roots][-1] == OUTER


async def test_who_cannot_be_signed_for_now_is_no_node_and_keeps_its_ticket() -> None:
    world, outside = make()
    await declare(world, external_cas=(ExternalCA(url=URL, ca_cert=OUTER),), signing_ca_cert=OUTER)
    turn(world)
    await led(world, lambda: cluster(world).root_rotation is None)
    authority = world.control.authority
    issued = await authority.issue_ticket(role="worker", key_digest=key_digest("one"))
    outside.away = True
    before = len(world.store.nodes)
    for secret in (issued.text, cluster(world).worker_token):
        with pytest.raises(NotSigned, match="no external CA answers"):
            await authority.admit(JoinRequest(b"key:one", parse_join_secret(secret)), "198.51.100.7")
    with pytest.raises(BadToken):  # that is said at once, whoever is away
        await authority.admit(JoinRequest(b"key:one", parse_join_secret(make_token())), "198.51.100.7")
    assert len(world.store.nodes) == before
    outside.away = False
    grant = await authority.admit(JoinRequest(b"key:one", parse_join_secret(issued.text)), "198.51.100.7")
    assert grant.role == "worker"


def make_token() -> str:
    return make_join_token(b"another root", b"x" * 16).text


async def test_an_authority_that_is_left_signs_the_root_that_follows_it() -> None:
    world, outside = make()
    await declare(world, external_cas=(ExternalCA(url=URL, ca_cert=OUTER),), signing_ca_cert=OUTER)
    turn(world)
    await led(world, lambda: cluster(world).root_rotation is None)
    outside.away = True
    with pytest.raises(InvalidArgument, match="corresponding to the current"):
        await declare(world, signing_ca_cert=None, force_rotate=1, external_cas=())
    outside.away = False
    rotation = await declare(world, signing_ca_cert=None, force_rotate=1, external_cas=())
    assert rotation is not None and rotation.key
    assert rotation.cross_signed == f"{rotation.certificate.strip()} by {OUTER}"
    assert cluster(world).spec.ca.external_cas == ()


# -- led to its end


async def test_the_leader_asks_the_nodes_and_ends_it_with_new_tokens() -> None:
    world = World.make()
    for name in ("one", "two"):
        world.worker(name)
    before = cluster(world)
    rotation = await declare(world, force_rotate=1)
    assert rotation is not None
    await led(world, lambda: all(node.renew_for == rotation.issuer_public_key for node in world.store.nodes))
    assert cluster(world).root_rotation == rotation
    await world.control.authority.renew(world.store.node("one").id, b"key:new")
    assert world.store.node("one").renew_for == ""
    turn(world)
    await led(world, lambda: cluster(world).root_rotation is None)
    after = cluster(world)
    assert (after.root_certificate, after.root_key) == (rotation.certificate, rotation.key)
    (former,) = after.former_roots
    assert (former.certificate, former.cross_signed) == (before.root_certificate, rotation.cross_signed)
    assert former.until > world.clock.wall() + before.spec.ca.node_cert_expiry  # type: ignore[operator]
    for old, new in ((before.worker_token, after.worker_token), (before.manager_token, after.manager_token)):
        assert old != new and parse_join_secret(new).pins(after.root_certificate.encode())
    assert after.worker_token != after.manager_token


async def test_a_node_that_is_down_is_left_behind_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning, "LOOK_EVERY", 0.02)
    world = World.make()
    world.worker("lost")
    lost = world.describe(world.store.node("lost").id, "lost", NodeState.DOWN)
    world.put(dataclasses.replace(lost, status=dataclasses.replace(lost.status, since=world.clock.wall())))
    await declare(world, force_rotate=1, rotation_grace=60 * SECOND)
    turn(world)
    world.clock.move(59)
    task = asyncio.create_task(led(world, lambda: cluster(world).root_rotation is None))
    await asyncio.sleep(0.2)
    assert cluster(world).root_rotation is not None
    world.clock.move(2)
    await task
    assert world.store.node("lost").renew_for == ""


@pytest.mark.parametrize("error", [OutcomeUnknown, OutOfSequence, Unavailable])
async def test_a_write_that_fails_is_no_reason_to_stop(error: type[Refusal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning, "AGAIN", 0.01)
    world = World.make()
    rotation = await declare(world, force_rotate=1)
    assert rotation is not None

    def fail() -> None:
        raise error() if error is OutOfSequence else error("who knows")

    world.proposer.before += [fail, fail]
    await led(world, lambda: all(node.renew_for == rotation.issuer_public_key for node in world.store.nodes))


async def test_a_manager_that_leads_no_more_stops() -> None:
    world = World.make()
    await declare(world, force_rotate=1)

    def fail() -> None:
        world.proposer.is_leader = False
        raise Unavailable("another one leads")

    world.proposer.before.append(fail)
    async with asyncio.timeout(30):
        await Rooting(world.context, world.proposer).run()


async def test_the_way_home_is_kept_for_as_long_as_a_node_may_come_but_not_for_ever() -> None:
    world = World.make()
    roots = [cluster(world).root_certificate]
    for number in range(1, turning.MOST_FORMER + 3):
        await declare(world, force_rotate=number)
        turn(world)
        await led(world, lambda: cluster(world).root_rotation is None)
        roots.append(cluster(world).root_certificate)
    held = [one.certificate for one in cluster(world).former_roots]
    assert held == roots[-turning.MOST_FORMER - 1 : -1]
    world.clock.move(24 * 3600 * 400)
    await declare(world, force_rotate=99)
    turn(world)
    await led(world, lambda: cluster(world).root_rotation is None)
    assert len(cluster(world).former_roots) == 1


# -- what is written down


async def test_each_certificate_is_written_down_and_only_the_last_ones_are_kept() -> None:
    world = World.make()
    world.worker("one")
    node_id = world.store.node("one").id
    for _ in range(20):
        await world.control.authority.renew(node_id, b"key:new")
    held = world.store.certificates.by("node", node_id)
    assert len(held) == signing.MOST_RECORDS
    node = world.store.node("one")
    assert {node.serial, node.previous_serial} <= {one.id for one in held}
    assert all(one.role == "worker" and one.not_after > world.clock.wall() for one in held)


async def test_what_ended_long_ago_and_what_was_of_nodes_that_are_gone_is_forgotten() -> None:
    world = World.make()
    now, day = world.clock.wall(), 24 * 3600 * SECOND
    world.worker("one")
    node_id = world.store.node("one").id
    rows = {"a1": (node_id, -1), "a2": (node_id, -31), "a3": ("gone", -1), "a4": ("gone", 1)}
    for serial, (of, days) in rows.items():
        world.put(Certificate(id=serial, node_id=of, not_after=now + days * day))
    await led(world, lambda: world.store.certificates.get("a2") is None)
    assert {one.id for one in world.store.certificates if one.id.startswith("a")} == {"a1", "a4"}


async def test_a_swarm_with_older_managers_writes_nothing_down_that_they_cannot_read() -> None:
    world = World.make()
    world.put(dataclasses.replace(cluster(world), feature_level=3))
    world.worker("one")
    await world.control.authority.renew(world.store.node("one").id, b"key:new")
    assert not world.store.certificates.by("node", "one")
