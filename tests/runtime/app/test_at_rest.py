# SPDX-License-Identifier: Apache-2.0
"""What lies in the state directories of managers and workers tells nobody anything, and nothing without its key."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queenright.manager.ports import InitOptions
from queenright.model.errors import Unavailable
from queenright.spec.data import SecretSpec
from queenright.spec.fields import decode
from queenright.spec.service import ServiceSpec

from .group import managers, names, same_voters, works
from .kit import Dockerd, Place, until

pytestmark = pytest.mark.group

PAYLOAD = b"bees-know-the-way-home-7413"
PASSWORD = "correct-horse-battery-staple"
AUTH = base64.urlsafe_b64encode(json.dumps({"username": "bee", "password": PASSWORD}).encode()).decode()
ENVIRONMENT = "DB_PASSWORD=honey-pot-0815"
KEYS = {"raft.key", "tasks.key"}


@pytest.fixture
async def group(dockerd: Dockerd, hurry: None) -> AsyncIterator[list[Place]]:
    """Hosts that write a snapshot every few entries; the first one has founded a swarm."""
    made = [Place(dockerd.path) for _ in range(3)]
    for place in made:
        place.settings = dataclasses.replace(place.settings, snapshot_entries=10)
        place.again()
    await made[0].host.init(made[0].init)
    yield made
    await asyncio.gather(*(place.close() for place in made))


async def filled(first: Place) -> set[bytes]:
    """Give the swarm secrets; answers all that must not be found."""
    control = first.control
    await control.secrets.create(SecretSpec(name="hive"), PAYLOAD)
    task = {"ContainerSpec": {"Image": "none", "Env": [ENVIRONMENT]}}
    spec = decode(ServiceSpec, {"Name": "guarded", "TaskTemplate": task, "Mode": {"Replicated": {"Replicas": 2}}})
    await control.services.create(spec, AUTH)
    for number in range(30):
        await control.secrets.create(SecretSpec(name=f"more{number}"), PAYLOAD + b"%d" % number)
    cluster = control.context.cluster
    texts = {PAYLOAD.decode(), base64.b64encode(PAYLOAD).decode()[:-4], PASSWORD, AUTH, ENVIRONMENT, "honey-pot-0815"}
    texts |= {token.rpartition("-")[2] for token in (cluster.worker_token, cluster.manager_token)}
    lines = [line for line in cluster.root_key.splitlines() if not line.startswith("-----")]
    assert lines and cluster.worker_token
    texts |= {*lines, "PRIVATE KEY"}
    return {text.encode() for text in texts} | {base64.b64decode("".join(lines))[8:40]}


def contents(directory: Path) -> dict[Path, bytes]:
    found = {}
    for path in directory.rglob("*"):
        if path.is_file() and path.parent.name != "certificates":
            try:
                found[path.relative_to(directory)] = path.read_bytes()
            except FileNotFoundError:  # it was renamed
                continue
    return found


def leaks(place: Place, secrets: set[bytes]) -> list[str]:
    files = contents(place.settings.state_dir)
    return [f"{path}: {secret[:6]!r}..." for path, data in files.items() for secret in secrets if secret in data]


def has_snapshot(place: Place) -> bool:
    return (place.settings.state_dir / "raft" / "snapshot").exists()


async def test_no_secret_byte_lies_in_any_file_of_a_manager_or_a_worker(group: list[Place]) -> None:
    first, second, third = group
    await third.host.join(third.joining(first))
    secrets = await filled(first)
    await second.host.join(second.joining(first, "manager"))
    await works([first, second], "after")
    for place in (first, second):
        await until(lambda place=place: has_snapshot(place), place.kept)
        assert {"log", "snapshot"} <= {path.name for path in contents(place.settings.state_dir)}
    held = contents(third.settings.state_dir)
    assert Path("tasks.db") in held
    for place in group:
        assert leaks(place, secrets) == []
        planted = place.settings.state_dir / "raft.planted"
        planted.write_bytes(b"..." + ENVIRONMENT.encode())
        assert leaks(place, secrets), "it would be found"
        planted.unlink()
    for place in group:
        await place.host.stop()
        assert leaks(place, secrets) == []
        keys = KEYS if place is not third else {"tasks.key"}
        for path in place.settings.state_dir.glob("*.key"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {path.name for path in place.settings.state_dir.glob("*.key")} == keys


async def test_each_manager_has_a_key_of_its_own_which_lies_in_no_log(group: list[Place]) -> None:
    both = await managers(group, 2)
    await same_voters(both)
    await filled(both[0])
    keys = []
    for place in both:
        text = json.loads((place.settings.state_dir / "raft.key").read_text())["keys"]
        keys.append(base64.b64decode(text))
    assert len({len(key) for key in keys}) == 1 and keys[0] != keys[1]
    for place in both:
        for path, data in contents(place.settings.state_dir / "raft").items():
            assert not [key for key in keys if key in data or base64.b64encode(key) in data], path


async def test_a_manager_without_its_key_says_so_and_goes_on_when_it_is_back(group: list[Place]) -> None:
    first = group[0]
    await filled(first)
    await first.host.stop()
    key = first.settings.state_dir / "raft.key"
    kept = key.rename(key.with_name("elsewhere"))
    await first.again().resume()
    assert first.state.state == "error"
    assert "is sealed with key" in first.state.error and "raft.key is missing: restore it" in first.state.error
    assert not key.exists(), "no key is made in the place of the lost one"
    await first.host.stop()
    kept.rename(key)
    await first.again().resume()
    assert names(first) == {"guarded"}


async def test_another_manager_s_key_is_told_from_damage(group: list[Place]) -> None:
    first, second, _ = await managers(group, 2) + [group[2]]
    await same_voters([first, second])
    await first.host.stop()
    key = first.settings.state_dir / "raft.key"
    own = key.read_bytes()
    shutil.copy(second.settings.state_dir / "raft.key", key)
    await first.again().resume()
    assert "raft.key holds another one" in first.state.error and "damaged" not in first.state.error
    await first.host.stop()
    key.write_bytes(own)
    log = first.settings.state_dir / "raft" / "log"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    await first.again().resume()
    assert "is damaged at byte" in first.state.error and "key" not in first.state.error


async def test_who_leaves_or_is_a_manager_no_more_has_no_key_left(group: list[Place]) -> None:
    both = await managers(group, 2)
    first, second = both
    await same_voters(both)
    await first.give_role(second.id, "worker")
    await until(lambda: second.state.role == "worker" and second.state.ready, lambda: second.state)
    await until(lambda: not (second.settings.state_dir / "raft").exists(), second.kept)
    assert {path.name for path in second.settings.state_dir.glob("*.key")} == {"tasks.key"}
    for place in (second, first):
        await place.host.leave(True)
        assert not list(place.settings.state_dir.glob("*.key"))
        assert not list(place.settings.state_dir.glob("tasks.db*"))
    with pytest.raises(Unavailable):
        first.host.manager()


async def test_a_forced_new_cluster_reads_what_was_sealed_and_seals_on(group: list[Place]) -> None:
    both = await managers(group, 2)
    first, second = both
    await same_voters(both)
    secrets = await filled(first)
    await second.host.stop()
    assert await first.host.init(InitOptions(force_new_cluster=True)) == first.id
    await works([first], "alone")
    assert names(first) == {"guarded", "alone"}
    assert leaks(first, secrets) == []


async def test_a_state_directory_that_was_cleared_gets_a_new_key(group: list[Place]) -> None:
    first = group[0]
    key = first.settings.state_dir / "raft.key"
    before = key.read_bytes()
    await first.host.leave(True)
    await first.host.init(first.init)
    assert key.read_bytes() != before
