# SPDX-License-Identifier: Apache-2.0
"""Authorities outside of the swarm: what they may give, what happens when they are away, and there and back again."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from runtime.authorities import HOUR, FakeCfssl

from queenright.app import outside as outside_room
from queenright.app.certificates import Credentials, PkiMaker
from queenright.app.outside import OutsideAuthorities
from queenright.edge.http import cfssl
from queenright.edge.pki import peer
from queenright.edge.pki.keys import make_csr, make_key
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.manager.ports import IssuedCertificate, RootCA
from queenright.model.errors import InvalidArgument, Unavailable
from queenright.spec.cluster import ExternalCA

NODE, CLUSTER = "1" + 24 * "n", "1" + 24 * "c"
NS = 1_000_000_000
VALIDITY = 2160 * 3600 * NS


class Manager:
    """A manager of a swarm that has a root of its own, and asks outside."""

    def __init__(self, folder: Path, role: str = "manager") -> None:
        self.maker = PkiMaker()
        self.root = self.maker.make_root(time.time_ns())
        key = make_key()
        issued = self.maker.issue(
            self.root,
            make_csr(key),
            node_id=NODE,
            role=role,
            cluster_id=CLUSTER,
            validity=VALIDITY,
            now=time.time_ns(),
        )
        store = KeyStore(folder / "certificates")
        store.save(NodeCredentials(key, issued.chain.encode(), self.root.certificate.encode()))
        self.outside = OutsideAuthorities(Credentials(store))


@pytest.fixture
async def ca(tmp_path: Path) -> AsyncIterator[FakeCfssl]:
    made = FakeCfssl(tmp_path)
    yield made
    await made.stop()


@pytest.fixture
async def manager(tmp_path: Path, ca: FakeCfssl) -> Manager:
    made = Manager(tmp_path)
    ca.clients = made.root.certificate.encode()
    await ca.start()
    return made


def entry(ca: FakeCfssl, url: str = "") -> ExternalCA:
    return ExternalCA(protocol="cfssl", url=url or ca.url, ca_cert=ca.root_pem.decode())


async def ask(
    manager: Manager, ca: FakeCfssl, *cas: ExternalCA, role: str = "worker", validity: int = VALIDITY
) -> IssuedCertificate:
    root = RootCA(ca.root_pem.decode(), "")
    return await manager.outside.sign(
        cas or (entry(ca),),
        root,
        make_csr(make_key()),
        node_id=NODE,
        role=role,
        cluster_id=CLUSTER,
        validity=validity,
        now=time.time_ns(),
    )


# -- what is asked, and taken


@pytest.mark.parametrize(
    ("role", "hosts"),
    [("worker", ["swarm-worker", NODE]), ("manager", ["swarm-manager", NODE, "swarm-ca"])],
)
async def test_a_certificate_is_asked_for_as_docker_does_and_is_good(
    manager: Manager, ca: FakeCfssl, role: str, hosts: list[str]
) -> None:
    issued = await ask(manager, ca, role=role)
    (asked,) = ca.asked
    assert asked["hosts"] == hosts
    assert asked["subject"] == {"CN": NODE, "names": [{"O": CLUSTER, "OU": f"swarm-{role}"}]}
    assert asked["profile"] == "" and asked["certificate_request"].startswith("-----BEGIN CERTIFICATE REQUEST")
    identity = peer.verify(ca.root_pem, issued.chain.encode(), datetime.datetime.now(datetime.UTC))
    assert (identity.node_id, identity.role, identity.serial) == (NODE, role, issued.serial)
    assert issued.not_before < time.time_ns() < issued.not_after


async def test_a_root_is_signed_so_that_who_trusts_the_outer_one_can_follow(manager: Manager, ca: FakeCfssl) -> None:
    new = manager.maker.make_root(time.time_ns())
    cross = await manager.outside.cross_sign((entry(ca),), ca.root_pem.decode(), new)
    manager.maker.check_cross_signed(cross, ca.root_pem.decode(), new.certificate)
    assert ca.asked[-1]["profile"] == "CA" and ca.asked[-1]["hosts"] is None
    assert ca.asked[-1]["extensions"] == [{"id": "2.5.29.19", "critical": True, "value": "30030101ff"}]


def bends() -> dict[str, tuple[Callable[[dict[str, Any]], None], str]]:
    def subject(**parts: str) -> Callable[[dict[str, Any]], None]:
        oids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}
        made = {"O": CLUSTER, "OU": "swarm-worker", "CN": NODE, **parts}
        return lambda plan: plan.update(subject=[x509.NameAttribute(oids[key], text) for key, text in made.items()])

    more = x509.NameAttribute(NameOID.LOCALITY_NAME, "elsewhere")
    stranger = ec.generate_private_key(ec.SECP256R1())
    days = datetime.timedelta(days=1)
    return {
        "another node": (subject(CN="1" + 24 * "x"), "somebody else"),
        "another swarm": (subject(O="1" + 24 * "x"), "somebody else"),
        "another role": (subject(OU="swarm-manager"), "somebody else"),
        "no role": (subject(OU="boss"), "no role"),
        "more of a name": (lambda plan: plan["subject"].append(more), "more than it was asked"),
        "another key": (
            lambda plan: plan.update(key=stranger.public_key()),
            "another key",
        ),
        "more hosts": (lambda plan: plan["hosts"].append("swarm-manager"), "other names"),
        "fewer hosts": (lambda plan: plan["hosts"].pop(), "other names"),
        "no hosts": (lambda plan: plan.update(hosts=None), "without names"),
        "no client": (lambda plan: plan.update(usages=[ExtendedKeyUsageOID.SERVER_AUTH]), "both server and client"),
        "an authority": (lambda plan: plan.update(ca=True), "an authority's"),
        "too long": (lambda plan: plan.update(expiry=2160 * HOUR + 10 * days), "shorter expiry"),
        "too late": (lambda plan: plan.update(begin=HOUR), "set the clocks"),
        "over": (lambda plan: plan.update(begin=-3 * HOUR, expiry=-HOUR), "has expired"),
        "of another key": (
            lambda plan: plan.update(signer=stranger),
            "root certificate",
        ),
    }


@pytest.mark.parametrize("what", bends())
async def test_nothing_but_what_was_asked_for_is_taken(manager: Manager, ca: FakeCfssl, what: str) -> None:
    ca.bend, words = bends()[what]
    with pytest.raises(Unavailable, match=words):
        await ask(manager, ca)
    assert len(ca.asked) == 1


# -- what goes wrong


def faults() -> dict[str, tuple[Callable[[int, bytes], tuple[int, bytes]], str]]:
    empty = json.dumps({"success": True, "result": {}}).encode()
    return {
        "elsewhere": (lambda status, text: (302, b"moved"), "status 302, and not in JSON"),
        "a page": (lambda status, text: (200, b"<html>welcome</html>"), "not in JSON"),
        "a number": (lambda status, text: (200, b"5"), "not as cfssl does"),
        "no word": (lambda status, text: (200, b"{}"), "not as cfssl does"),
        "no certificate": (lambda status, text: (200, empty), "without a certificate"),
        "trouble": (lambda status, text: (500, b'{"success":false,"errors":[{"message":"disk full"}]}'), "disk full"),
        "endless": (lambda status, text: (200, b"x" * (cfssl.MOST + 1)), "longer than"),
        "a certificate and an error": (lambda status, text: (500, text), "status 500"),
    }


@pytest.mark.parametrize("what", faults())
async def test_what_is_no_answer_is_tried_again_later(manager: Manager, ca: FakeCfssl, what: str) -> None:
    ca.answer, words = faults()[what]
    with pytest.raises(Unavailable, match=words):
        await ask(manager, ca)


async def test_a_clear_no_is_for_good(manager: Manager, ca: FakeCfssl) -> None:
    ca.answer = lambda status, text: (400, b'{"success":false,"errors":[{"code":5300,"message":"Policy\\nviolation"}]}')
    with pytest.raises(InvalidArgument, match="refused: Policy violation"):
        await ask(manager, ca)


async def test_who_does_not_answer_is_given_up_in_time(
    manager: Manager, ca: FakeCfssl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cfssl, "TIMEOUT", 0.3)
    held = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/sign"
    with pytest.raises(Unavailable, match="did not answer within"):
        await ask(manager, ca, entry(ca, url))
    held.set()
    server.close()


async def test_the_next_one_is_asked_when_one_is_away(manager: Manager, ca: FakeCfssl) -> None:
    away = entry(ca, "https://127.0.0.1:1/sign")
    assert (await ask(manager, ca, away, entry(ca))).serial
    with pytest.raises(Unavailable, match="1/sign could not be asked"):
        await ask(manager, ca, away)
    with pytest.raises(InvalidArgument, match="1/sign is not reached"):
        await manager.outside.check((away,), ca.root_pem.decode())
    await manager.outside.check((away, entry(ca)), ca.root_pem.decode())


async def test_no_more_than_some_wait_for_an_answer(
    manager: Manager, ca: FakeCfssl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_room, "MOST_ASKING", 2)
    monkeypatch.setattr(cfssl, "TIMEOUT", 0.5)
    held, began = asyncio.Event(), asyncio.Semaphore(0)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began.release()
        await held.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    hole = entry(ca, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/sign")
    waiting = [asyncio.create_task(ask(manager, ca, hole)) for _ in range(2)]
    for _ in waiting:
        await began.acquire()
    with pytest.raises(Unavailable, match="too many requests wait"):
        await ask(manager, ca)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    assert (await ask(manager, ca)).serial
    held.set()
    server.close()


async def test_a_server_that_is_somebody_else_is_told_nothing(manager: Manager, ca: FakeCfssl, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = FakeCfssl(tmp_path / "other", name="other")
    other.clients = ca.clients
    await other.start()
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await ask(manager, ca, dataclasses.replace(entry(ca), url=other.url))
    assert other.asked == []
    await other.stop()


async def test_a_worker_is_refused_by_the_front(ca: FakeCfssl, tmp_path: Path) -> None:
    worker = Manager(tmp_path, role="worker")
    ca.clients = worker.root.certificate.encode()
    await ca.start()
    with pytest.raises(Unavailable, match="only managers may ask"):
        await ask(worker, ca)
    assert ca.refused == ["swarm-worker"] and ca.asked == []


async def test_the_environment_s_proxy_is_not_asked(
    manager: Manager, ca: FakeCfssl, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await ask(manager, ca)).serial
