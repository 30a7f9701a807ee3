# SPDX-License-Identifier: Apache-2.0
"""The real cfssl signs for a swarm: from its founding, through an outage, and there and back again."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from runtime.app.group import managers, works
from runtime.app.kit import Dockerd, Place, until
from runtime.app.test_trust import cluster, held, rotate, rotated
from security.cfssl import RealCfssl

from queenright.decide import renewal_time
from queenright.edge.pki import peer
from queenright.manager.ports import FirstManager, InitOptions
from queenright.model.errors import InvalidArgument, Refusal
from queenright.spec.cluster import CAConfig, ExternalCA, SwarmSpec
from queenright.spec.fields import encode

NODE, CLUSTER = "0" + 24 * "n", "0" + 24 * "c"


@pytest.fixture
async def ca(tmp_path: Path) -> AsyncIterator[RealCfssl]:
    made = RealCfssl(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def places() -> AsyncIterator[list[Place]]:
    """Three hosts in no swarm."""
    dockerd = Dockerd()
    made = [Place(dockerd.path) for _ in range(3)]
    yield made
    for place in made:
        await place.close()
    dockerd.close()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What could not be renewed is tried again at once."""
    monkeypatch.setattr(renewal_time, "FIRST_TRY", 0.1)
    yield


def entry(ca: RealCfssl) -> ExternalCA:
    return ExternalCA(protocol="cfssl", url=ca.url, ca_cert=ca.root_pem.decode())


def founding(place: Place, ca: RealCfssl, first: FirstManager | None) -> InitOptions:
    spec = SwarmSpec(ca=CAConfig(external_cas=(entry(ca),)))
    return dataclasses.replace(place.init, spec=encode(spec), first_manager=first)


def serial(place: Place) -> str:
    return peer.read_identity(held(place).chain_pem).serial


async def renew(place: Place) -> None:
    """Have a node ask for another certificate now."""
    member = place.host._member
    assert member is not None
    member.renew_soon()


async def renewed(place: Place, before: str) -> None:
    await until(lambda: serial(place) != before, lambda: place.state)


async def found(place: Place, ca: RealCfssl) -> None:
    """A swarm below the root of the authority, with a certificate whose key was made on the host."""
    first = ca.first_manager(NODE, CLUSTER)
    await place.host.init(founding(place, ca, first))
    given = peer.read_identity(first.certificate.encode()).serial
    await renewed(place, given)


async def test_a_swarm_is_founded_below_an_outer_root_and_has_no_key_of_a_ca(
    places: list[Place], ca: RealCfssl
) -> None:
    first, second, third = places[:3]
    await found(first, ca)
    assert (first.id, cluster(first).id) == (NODE, CLUSTER)
    assert (cluster(first).root_certificate, cluster(first).root_key) == (ca.root_pem.decode(), "")
    await managers([first, second], 2)
    await third.host.join(third.joining(first))
    for place in (first, second, third):
        await until(lambda place=place: place.state.ready, lambda place=place: place.state)
        now = serial(place)
        await renew(place)
        await renewed(place, now)
        assert peer.verify(ca.root_pem, held(place).chain_pem, None).node_id == place.id
    assert not ca.refused
    await works([first, second], "works")


async def test_the_founder_s_certificate_may_lie_in_the_state_directory(places: list[Place], ca: RealCfssl) -> None:
    first = places[0]
    folder = first.settings.state_dir / "first-manager"
    with pytest.raises(InvalidArgument, match=f"needs a certificate for its first manager.*{folder}"):
        await first.host.init(founding(first, ca, None))
    brought = ca.first_manager(NODE, CLUSTER)
    folder.mkdir(mode=0o700)
    (folder / "swarm-node.crt").write_text(brought.certificate)
    (folder / "swarm-node.key").write_text(brought.key)
    await ca.stop()
    with pytest.raises(InvalidArgument, match=ca.url):
        await first.host.init(founding(first, ca, None))
    assert (folder / "swarm-node.key").read_text() == brought.key, "nothing is lost by a founding that failed"
    assert first.state.state == "inactive"
    await ca.start()
    await first.host.init(founding(first, ca, None))
    assert first.id == NODE
    assert not list(folder.iterdir())


async def test_a_certificate_that_does_not_fit_founds_nothing(places: list[Place], ca: RealCfssl) -> None:
    first = places[0]
    good, other = ca.first_manager(NODE, CLUSTER), ca.first_manager(NODE, CLUSTER)
    bent = {
        "does not belong to this node's private key": FirstManager(good.certificate, other.key),
        "cannot be read": FirstManager("no certificate", good.key),
        "key": FirstManager(good.certificate, "no key"),
    }
    for words, brought in bent.items():
        with pytest.raises(InvalidArgument, match=words) as caught:
            await first.host.init(founding(first, ca, brought))
        assert "PRIVATE" not in str(caught.value)
    with pytest.raises(InvalidArgument, match="only with an external CA"):
        await first.host.init(dataclasses.replace(first.init, first_manager=good))
    assert first.kept() == []
    await first.host.init(first.init)


async def test_while_it_is_away_nodes_wait_and_work_and_then_get_their_certificates(
    places: list[Place], ca: RealCfssl
) -> None:
    first, second, third = places[:3]
    await found(first, ca)
    await managers([first, second], 2)
    await ca.stop()
    before = serial(second)
    await renew(second)
    with pytest.raises(Refusal, match="no external CA has signed"):
        await third.host.join(third.joining(first))
    member = second.host._member
    assert member is not None
    await until(lambda: member._changing._failed > 0)
    await works([first, second], "meanwhile")
    assert serial(second) == before
    await ca.start()
    await renewed(second, before)
    await third.host.join(third.joining(first))
    await until(lambda: third.state.ready, lambda: third.state)


async def test_from_inside_to_outside_and_back(places: list[Place], ca: RealCfssl) -> None:
    first, second = places[:2]
    await first.host.init(first.init)
    await managers([first, second], 2)
    inner = cluster(first).root_certificate
    await ca.stop()
    ca.clients = inner.encode()
    await ca.start()
    await rotate(first, signing_ca_cert=ca.root_pem.decode(), external_cas=(entry(ca),))
    await rotated([first, second], inner)
    assert (cluster(first).root_certificate, cluster(first).root_key) == (ca.root_pem.decode(), "")
    await works([first, second], "outside")
    await rotate(first, signing_ca_cert=None)
    await rotated([first, second], ca.root_pem.decode())
    assert cluster(first).root_key
    await works([first, second], "inside-again")


async def test_from_outside_to_inside_and_back(places: list[Place], ca: RealCfssl) -> None:
    first, second = places[:2]
    await found(first, ca)
    await managers([first, second], 2)
    await rotate(first, signing_ca_cert=None)
    await rotated([first, second], ca.root_pem.decode())
    inner = cluster(first).root_certificate
    assert cluster(first).root_key
    await ca.stop()
    ca.clients = inner.encode()
    await ca.start()
    await rotate(first, signing_ca_cert=ca.root_pem.decode(), external_cas=(entry(ca),))
    await rotated([first, second], inner)
    assert (cluster(first).root_certificate, cluster(first).root_key) == (ca.root_pem.decode(), "")
    await works([first, second], "outside-again")
