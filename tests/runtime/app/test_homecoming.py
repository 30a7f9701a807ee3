# SPDX-License-Identifier: Apache-2.0
"""Members come home that missed a change of the root, or whose certificates have ended while they were off."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable

import pytest
from runtime.pki.test_succession import authority

from queenright.app import homecoming
from queenright.app.certificates import PkiMaker
from queenright.app.homecoming import HomePeers
from queenright.edge.http import home_client, home_messages
from queenright.edge.http.home_server import HomeDoor
from queenright.edge.pki import peer, possession
from queenright.edge.pki.keys import make_csr, make_key
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.manager.signing import present_root
from queenright.model.changes import Update
from queenright.model.home import HomeGrant, HomeRequest
from queenright.model.join import BadRequest, JoinRefused

from .group import managers, works
from .kit import Place, until
from .test_trust import cluster, held, rotate, rotated

NS = 1_000_000_000
HOUR = 3600 * NS
NODE, CLUSTER = "1" + 24 * "n", "1" + 24 * "c"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before it suspects its certificate."""
    monkeypatch.setattr(homecoming, "PATIENCE", 0.3)
    monkeypatch.setattr(homecoming, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(homecoming, "PAUSE", (0.1, 1.0))


async def end_certificate(first: Place, away: Place, hours: float = 1) -> None:
    """As if the host had been off: its certificate ended that long ago, and the swarm knows it by just that one."""
    node, key = first.control.store.node(away.id or held_id(away)), make_key()
    issued = PkiMaker().issue(
        present_root(cluster(first)),
        make_csr(key),
        node_id=node.id,
        role=node.role,
        cluster_id=cluster(first).id,
        validity=HOUR,
        now=time.time_ns() - int((hours + 1) * HOUR),
    )
    chain, root = issued.chain.encode(), cluster(first).root_certificate.encode()
    KeyStore(away.settings.state_dir / "certificates").save(NodeCredentials(key, chain, root))
    known = dataclasses.replace(first.control.store.node(node.id), serial=issued.serial)
    await first.control.context.write([Update(known)])


def held_id(place: Place) -> str:
    return peer.read_identity(held(place).chain_pem).node_id


@pytest.mark.group
@pytest.mark.parametrize("role", ["worker", "manager"])
async def test_who_was_off_while_the_root_was_replaced_comes_home(places: list[Place], soon: None, role: str) -> None:
    first, second, third = places[:3]
    if role == "manager":
        await managers(places, 3)
    else:
        await managers(places, 1)
        await second.host.join(second.joining(first))
    await until(lambda: second.state.ready, lambda: second.state)
    others = [first, third] if role == "manager" else [first]
    before = cluster(first).root_certificate
    await second.host.stop()
    for _ in range(2):  # it missed more than one
        previous = cluster(first).root_certificate
        await rotate(first, rotation_grace=0)
        await rotated(others, previous)
    assert held(second).root_pem == before.encode()
    await second.again().resume()
    await until(lambda: held(second).root_pem == cluster(first).root_certificate.encode(), lambda: second.state)
    await until(lambda: second.state.ready, lambda: second.state)
    await works([*others, second] if role == "manager" else others, "after")


@pytest.mark.group
async def test_whose_certificate_has_ended_comes_home(places: list[Place], soon: None) -> None:
    first, second = places[:2]
    await second.host.join(second.joining(first))
    await until(lambda: second.state.ready, lambda: second.state)
    await second.host.stop()
    await end_certificate(first, second)
    ended = peer.read_identity(held(second).chain_pem).serial
    await second.again().resume()
    await until(lambda: second.state.ready, lambda: second.state)
    now = peer.read_identity(held(second).chain_pem).serial
    assert now != ended
    await until(lambda: first.control.store.node(second.id).serial == now)


@pytest.mark.group
async def test_who_knows_its_certificate_only_from_a_copy_stays_out(places: list[Place], soon: None) -> None:
    first, second = places[:2]
    await second.host.join(second.joining(first))
    await until(lambda: second.state.ready, lambda: second.state)
    await second.host.stop()
    await end_certificate(first, second)
    chain = held(second).chain_pem
    csr, thief, mine = make_csr(make_key()), make_key(), held(second).key_pem

    def proof(key: bytes) -> Callable[[bytes], bytes]:
        return lambda challenge: possession.prove(key, challenge, csr)

    for prove in (proof(thief), lambda challenge: possession.prove(mine, b"old", csr)):
        with pytest.raises(home_client.HomeError, match="proof was not made"):
            await home_client.come(first.addr, chain, csr, prove)
    stranger = authority(name="stranger")
    forged = PkiMaker().issue(
        PkiMaker().read_root(stranger.certificate_pem.decode(), stranger.key_pem.decode(), time.time_ns()),
        make_csr(thief),
        node_id=held_id(second),
        role="worker",
        cluster_id=cluster(first).id,
        validity=HOUR,
        now=time.time_ns(),
    )
    with pytest.raises(home_client.HomeError, match="not issued by this cluster's root"):
        await home_client.come(first.addr, forged.chain.encode(), csr, proof(thief))
    assert (await home_client.come(first.addr, chain, csr, proof(mine))).role == "worker"


# -- the door


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def door(answer: HomeGrant | Exception) -> tuple[HomeDoor, Clock, list[HomeRequest]]:
    clock, asked, count = Clock(), [], [0]

    async def come(request: HomeRequest) -> HomeGrant:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def dice(size: int) -> bytes:
        count[0] += 1
        return count[0].to_bytes(size, "big")

    return HomeDoor(come, clock=clock, dice=dice), clock, asked


GRANT = HomeGrant(b"CERT", "worker", b"ROOTS", (b"ONE", b"TWO"))


async def call(at: HomeDoor, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    found = await at.answer(method.encode(), path, body, "192.0.2.7", "192.0.2.7")
    assert found is not None
    return found.status, found.body


async def challenge(at: HomeDoor) -> bytes:
    status, body = await call(at, "GET", home_messages.CHALLENGE_PATH)
    assert status == 200
    return home_messages.decode_challenge(body)


def request(given: bytes) -> bytes:
    return home_messages.encode_request(HomeRequest(b"CHAIN", b"CSR", given, b"\x00proof"))


async def test_a_challenge_is_good_once_and_for_a_minute() -> None:
    at, clock, asked = door(GRANT)
    given = await challenge(at)
    status, body = await call(at, "POST", home_messages.HOME_PATH, request(given))
    assert (status, home_messages.decode_grant(body)) == (200, GRANT)
    assert asked == [HomeRequest(b"CHAIN", b"CSR", given, b"\x00proof")]
    for stale in (given, b"x" * 32, b""):
        assert (await call(at, "POST", home_messages.HOME_PATH, request(stale)))[0] == 400
    late = await challenge(at)
    clock.now += 60
    assert (await call(at, "POST", home_messages.HOME_PATH, request(late)))[0] == 400
    assert len(asked) == 1


async def test_what_is_malformed_reaches_nobody() -> None:
    at, _, asked = door(GRANT)
    given = (await challenge(at)).hex()
    whole = json.loads(request(bytes.fromhex(given)))["home"]
    values = (5, None, "\u00e4", "x" * 40000)
    homes = [{**whole, name: value} for name in whole for value in values]
    homes += [{key: item for key, item in whole.items() if key != name} for name in ("certificate", "csr")]
    for wrong in (b"", b"[]", b'{"home": 5}', *(json.dumps({"home": home}).encode() for home in homes)):
        status, body = await call(at, "POST", home_messages.HOME_PATH, wrong)
        assert status in (400, 429), body
    assert asked == []


async def test_one_source_may_not_try_without_end() -> None:
    at, clock, _ = door(GRANT)
    found = [(await call(at, "GET", home_messages.CHALLENGE_PATH))[0] for _ in range(40)]
    assert found == [200] * 30 + [429] * 10
    clock.now += 60
    assert (await call(at, "GET", home_messages.CHALLENGE_PATH))[0] == 200


async def test_refusals_are_told_and_other_paths_are_not_its_own() -> None:
    at, _, _ = door(JoinRefused("node x was removed from swarm"))
    status, body = await call(at, "POST", home_messages.HOME_PATH, request(await challenge(at)))
    assert status == 403 and b"removed from swarm" in body
    assert (await call(at, "POST", home_messages.CHALLENGE_PATH))[0] == 405
    assert (await call(at, "GET", home_messages.HOME_PATH))[0] == 405
    assert await at.answer(b"GET", "/v1/elsewhere", b"", "192.0.2.7", "192.0.2.7") is None


def test_answers_that_are_none_are_no_grants() -> None:
    good = json.loads(home_messages.encode_grant(GRANT))
    assert home_messages.decode_grant(json.dumps(good).encode()) == GRANT
    bad = [("role", "boss"), ("certificate", 5), ("roots", None), ("path", "x"), ("path", [5]), ("path", ["x"] * 99)]
    for name, value in bad:
        with pytest.raises(ValueError):
            home_messages.decode_grant(json.dumps({**good, name: value}).encode())
    with pytest.raises(BadRequest):
        home_messages.decode_request(b"{}")


def test_the_reader_takes_a_certificate_that_has_ended_below_any_root_that_is_remembered() -> None:
    maker, key = PkiMaker(), make_key()
    old, new = maker.make_root(time.time_ns() - 100 * HOUR), maker.make_root(time.time_ns())
    issued = maker.issue(
        old,
        make_csr(key),
        node_id=NODE,
        role="worker",
        cluster_id=CLUSTER,
        validity=HOUR,
        now=time.time_ns() - 50 * HOUR,
    )
    chain, csr = issued.chain.encode(), make_csr(make_key())
    proven = HomeRequest(chain, csr, b"c" * 32, possession.prove(key, b"c" * 32, csr))
    found = HomePeers().holder(proven, [new.certificate, old.certificate])
    assert (found.node_id, found.cluster_id, found.serial) == (NODE, CLUSTER, issued.serial)
    assert found.not_after < time.time_ns()
    for wrong, roots in (
        (proven, [new.certificate]),
        (proven, []),
        (dataclasses.replace(proven, challenge=b"d" * 32), [old.certificate]),
        (dataclasses.replace(proven, csr_pem=make_csr(make_key())), [old.certificate]),
        (dataclasses.replace(proven, chain_pem=b"junk"), [old.certificate]),
        (dataclasses.replace(proven, chain_pem=old.certificate.encode()), [old.certificate]),
    ):
        with pytest.raises(JoinRefused):
            HomePeers().holder(wrong, roots)
