# SPDX-License-Identifier: Apache-2.0
"""The root of a living swarm is replaced, certificates are renewed and revoked: on real managers, over real TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from pathlib import Path

import pytest
from runtime.authorities import FakeCfssl
from runtime.pki.test_succession import authority

from queenright.app import changing
from queenright.app import host as host_room
from queenright.decide import renewal_time
from queenright.edge.pki import peer
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.manager.control_cluster import Rotation
from queenright.model.errors import Refusal
from queenright.model.objects import Cluster
from queenright.spec.cluster import ExternalCA

from .group import managers, works
from .kit import Place, until

pytestmark = pytest.mark.group
NOTHING = Rotation()


def held(place: Place) -> NodeCredentials:
    found = KeyStore(place.settings.state_dir / "certificates").load()
    assert found is not None
    return found


def cluster(place: Place) -> Cluster:
    return place.control.context.cluster


async def rotate(place: Place, *, key: str = "", **ca: object) -> None:
    """Ask for another root."""
    now = cluster(place)
    wanted = dataclasses.replace(now.spec.ca, force_rotate=(now.spec.ca.force_rotate or 0) + 1, **ca)  # type: ignore[arg-type]
    spec = dataclasses.replace(now.spec, ca=wanted)
    await place.control.cluster.update(now.version, spec, NOTHING, key)


async def rotated(places: list[Place], before: str) -> None:
    """The change has ended, and all hosts trust the new root alone, with certificates of its own."""
    await until(
        lambda: cluster(places[0]).root_rotation is None and cluster(places[0]).root_certificate != before,
        lambda: [(node.id, node.renew_for, node.description.issuer_subject) for node in places[0].control.store.nodes],
    )
    root = cluster(places[0]).root_certificate.encode()
    for place in places:
        await until(lambda place=place: held(place).root_pem == root, lambda place=place: place.state)
        peer.verify(root, held(place).chain_pem, datetime.datetime.now(datetime.UTC), key_pem=held(place).key_pem)


async def test_a_root_is_replaced_while_the_swarm_works_and_tokens_are_new(places: list[Place]) -> None:
    first, second, third, fourth = places
    await managers(places, 2)
    await third.host.join(third.joining(first))
    await until(lambda: all(place.state.ready for place in places[:3]))
    before, serials = cluster(first), {node.id: node.serial for node in first.control.store.nodes}
    stop = asyncio.Event()

    async def load() -> int:
        count = 0
        while not stop.is_set():
            await works([first, second], f"during-{count}")
            count += 1
        return count

    loading = asyncio.create_task(load())
    await rotate(first)
    await rotated(places[:3], before.root_certificate)
    stop.set()
    assert await loading > 0
    after = cluster(first)
    assert after.worker_token != before.worker_token and after.manager_token != before.manager_token
    assert [one.certificate for one in after.former_roots] == [before.root_certificate]
    for node in first.control.store.nodes:
        assert node.serial != serials[node.id]
        assert (first.control.store.certificates.get(node.serial) or pytest.fail("no record")).node_id == node.id
    with pytest.raises(Refusal):
        await fourth.host.join(dataclasses.replace(fourth.joining(first), secret=before.worker_token))
    await fourth.host.join(fourth.joining(first))
    await until(lambda: fourth.state.ready, lambda: fourth.state)
    await works([first, second], "after")
    await second.host.stop()
    await second.again().resume()
    await works([first, second], "again")


async def test_a_host_joins_in_the_middle_of_a_change(places: list[Place]) -> None:
    first, second, third, _ = places
    await second.host.join(second.joining(first))
    await until(lambda: second.state.ready, lambda: second.state)
    before = cluster(first).root_certificate
    await second.host.stop()  # the change waits for it
    await rotate(first)
    await until(lambda: held(first).root_pem != before.encode())
    await third.host.join(third.joining(first, "manager"))
    assert cluster(first).root_rotation is not None
    await until(lambda: third.state.ready, lambda: third.state)
    await second.again().resume()
    await rotated([first, second, third], before)


async def test_a_root_and_an_intermediate_of_somebody_else_sign(places: list[Place]) -> None:
    first, second = places[:2]
    await managers(places, 2)
    root = authority(name="the house")
    for brought in (root, authority(root, name="below"), authority(name="another house")):
        before = cluster(first).root_certificate
        certificates = (brought.intermediates_pem + brought.certificate_pem).decode()
        await rotate(first, key=brought.key_pem.decode(), signing_ca_cert=certificates)
        if brought.certificate_pem.decode() == before:  # another one signs below the same root
            assert cluster(first).intermediates == brought.intermediates_pem.decode()
            assert cluster(first).root_rotation is None
        else:
            await rotated([first, second], before)
    await works([first, second], "after")


async def test_a_root_that_nobody_trusted_has_signed_is_not_taken(places: list[Place]) -> None:
    first, second = places[:2]
    await second.host.join(second.joining(first))
    await until(lambda: second.state.ready, lambda: second.state)
    mine, stranger = held(second).root_pem, authority(name="stranger")
    member = second.host._member
    assert member is not None
    node = first.control.store.node(second.id)
    for path in ((), (stranger.certificate_pem,)):
        for roots in (stranger.certificate_pem, mine + stranger.certificate_pem):
            member._changing.heard(node, changing.Roots(roots, path))
            await until(lambda: "none of those trusted here has signed" in member._changing.problem)
            assert held(second).root_pem == mine


async def test_a_certificate_is_renewed_when_its_time_has_come(places: list[Place]) -> None:
    first, second = places[:2]
    await managers(places, 2)
    for place in (first, second):
        serial = peer.read_identity(held(place).chain_pem).serial
        member = place.host._member
        assert member is not None
        member._changing._due = 0
        member._changing._woken.set()
        await until(lambda place=place, serial=serial: peer.read_identity(held(place).chain_pem).serial != serial)
        now = peer.read_identity(held(place).chain_pem).serial
        await until(lambda place=place, now=now: first.control.store.node(place.id).serial == now)
        await until(lambda place=place: place.state.ready, lambda place=place: place.state)
    await works([first, second], "after")


async def test_an_authority_outside_takes_over_fails_recovers_and_gives_back(
    places: list[Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = places[:3]
    await managers(places, 2)
    ca = FakeCfssl(tmp_path)
    ca.clients = cluster(first).root_certificate.encode()
    await ca.start()
    try:
        entry = ExternalCA(protocol="cfssl", url=ca.url, ca_cert=ca.root_pem.decode())
        before = cluster(first).root_certificate
        await rotate(first, signing_ca_cert=ca.root_pem.decode(), external_cas=(entry,))
        await rotated([first, second], before)
        assert (cluster(first).root_certificate, cluster(first).root_key) == (ca.root_pem.decode(), "")
        await ca.stop()
        monkeypatch.setattr(host_room, "PENDING_AFTER", 0.1)
        with pytest.raises(Refusal, match="continue in the background"):
            await third.host.join(third.joining(first))
        assert third.state.state == "pending"
        member = second.host._member
        assert member is not None
        serial = peer.read_identity(held(second).chain_pem).serial
        monkeypatch.setattr(renewal_time, "FIRST_TRY", 0.1)
        member._changing._due = 0
        member._changing._woken.set()
        await until(lambda: member._changing._failed > 0)
        await works([first, second], "meanwhile")
        await ca.start()
        await until(lambda: peer.read_identity(held(second).chain_pem).serial != serial)
        await until(lambda: third.state.ready, lambda: third.state)
        await rotate(first, signing_ca_cert=None, external_cas=(entry,))
        await rotated([first, second, third], ca.root_pem.decode())
        assert cluster(first).root_key
        await works([first, second], "after")
    finally:
        await ca.stop()


async def test_who_was_revoked_is_shut_out(places: list[Place]) -> None:
    first, second = places[:2]
    await second.host.join(second.joining(first))
    await until(lambda: second.state.ready, lambda: second.state)
    serial = peer.read_identity(held(second).chain_pem).serial
    assert (await first.control.ca.revoke(serial))["shut_out"] is True
    await until(lambda: not second.state.ready, lambda: second.state)
    await until(lambda: "revoked" in second.state.error, lambda: second.state)
