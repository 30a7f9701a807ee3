# SPDX-License-Identifier: Apache-2.0
"""Managers that need the unlock key after a restart: what is closed, who opens it, and what goes on meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queenright.app.state import StateFile
from queenright.edge.pki.data_keys import KeyFile
from queenright.edge.pki.errors import KeyStoreError
from queenright.edge.pki.keystore import KeyStore
from queenright.lib import atomic
from queenright.manager import texts
from queenright.manager.control_cluster import Rotation
from queenright.manager.ports import InitOptions
from queenright.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    OutOfSequence,
    Unauthenticated,
    Unavailable,
)
from queenright.model.unlock import unlock_key_text
from queenright.spec.cluster import EncryptionConfig

from .group import leader, managers, names, same_voters, saved, works
from .kit import Dockerd, Place, until
from .locks import is_closed, is_open, keys_closed, keys_in_clear, opened_by, opens, serial

pytestmark = pytest.mark.group

LOCKED = {"EncryptionConfig": {"AutoLockManagers": True}}
NOTHING = Rotation()
WRONG = unlock_key_text(b"w" * 32)


@pytest.fixture
async def group(dockerd: Dockerd, hurry: None) -> AsyncIterator[list[Place]]:
    """Hosts that write a snapshot every few entries; none is in a swarm yet."""
    made = [Place(dockerd.path) for _ in range(3)]
    for place in made:
        place.settings = dataclasses.replace(place.settings, snapshot_entries=10)
        place.again()
    yield made
    await asyncio.gather(*(place.close() for place in made))


async def founded(place: Place) -> str:
    """A swarm with locked managers; answers the unlock key."""
    await place.host.init(dataclasses.replace(place.init, spec=LOCKED))
    return key_of(place)


def key_of(place: Place) -> str:
    return place.control.context.cluster.unlock_key


async def autolock(place: Place, wanted: bool, rotation: Rotation = NOTHING) -> None:
    """On the leader: have managers locked or not, or the unlock key made anew."""
    while True:
        cluster = place.control.context.cluster
        spec = dataclasses.replace(cluster.spec, encryption=EncryptionConfig(autolock=wanted))
        try:
            await place.control.cluster.update(cluster.version, spec, rotation)
            return
        except OutOfSequence:
            continue


async def restart(place: Place) -> None:
    await place.host.stop()
    await place.again().resume()


async def test_a_manager_that_was_started_anew_waits_for_the_unlock_key(group: list[Place]) -> None:
    first = group[0]
    key = await founded(first)
    assert len(key) == 52 and key.startswith("SWMKEY-1-")
    assert is_closed(first), "as soon as the swarm is founded"
    await works([first], "web")
    node, swarm = first.id, first.state.cluster_id
    await restart(first)
    assert (first.state.state, first.state.role, first.state.error) == ("locked", "manager", texts.LOCKED)
    assert (first.id, first.state.cluster_id, first.state.ready) == (node, swarm, False)
    assert first.listening() == []
    with pytest.raises(Unavailable, match="Swarm is encrypted and needs to be unlocked before it can be used"):
        first.host.manager()
    await first.host.unlock(key)
    assert (first.state.state, first.id) == ("active", node)
    await works([first], "more")
    assert names(first) == {"web", "more"}
    assert is_closed(first)
    with pytest.raises(AlreadyExists, match="swarm is not locked"):
        await first.host.unlock(key)


async def test_a_wrong_key_changes_nothing_and_no_key_is_said_to_be_none(group: list[Place]) -> None:
    first = group[0]
    key = await founded(first)
    await restart(first)
    before = {path: path.read_bytes() for path in first.settings.state_dir.rglob("*") if path.is_file()}
    for _ in range(3):
        with pytest.raises(Unauthenticated, match="swarm could not be unlocked: invalid key provided"):
            await first.host.unlock(WRONG)
        assert first.state.state == "locked"
    for text in ("", "SWMKEY-1-", "SWMKEY-1-x", key[:-1], key + "A", key.lower(), "SWMKEY-2" + key[8:]):
        with pytest.raises(InvalidArgument, match="invalid key string"):
            await first.host.unlock(text)
    assert {path: path.read_bytes() for path in before} == before
    await first.host.unlock(f" {key}\n")
    assert first.state.state == "active"


async def test_damage_is_told_from_a_wrong_key(group: list[Place]) -> None:
    first = group[0]
    key = await founded(first)
    await restart(first)
    path = first.settings.state_dir / "autolock.key"
    content = path.read_text()
    data = json.loads(content)
    data["sealed"] = ("B" if data["sealed"][0] == "A" else "A") + data["sealed"][1:]
    path.write_text(json.dumps(data))
    for text in (key, WRONG):
        with pytest.raises(Unavailable, match=r"whatever the key: .*autolock\.key is damaged: restore it"):
            await first.host.unlock(text)
    path.write_text(content)
    await first.host.unlock(key)
    assert first.state.state == "active"


async def test_nothing_else_is_done_on_a_locked_host_but_to_leave_with_force(group: list[Place]) -> None:
    first = group[0]
    await founded(first)
    await restart(first)
    for options in (first.init, InitOptions(force_new_cluster=True)):
        with pytest.raises(Unavailable, match="Swarm is encrypted"):
            await first.host.init(options)
    with pytest.raises(Unavailable, match="Swarm is encrypted"):
        await first.host.leave(False)
    assert first.state.state == "locked"
    await first.host.leave(True)
    assert first.state.state == "inactive"
    assert not list(first.settings.state_dir.glob("*.key"))
    with pytest.raises(Unavailable, match="not part of a swarm"):
        await first.host.unlock(WRONG)
    await first.host.init(first.init)
    assert is_open(first)


async def test_the_others_go_on_while_one_manager_is_locked(group: list[Place]) -> None:
    key = await founded(group[0])
    for place in group[1:]:
        await place.host.join(place.joining(group[0], "manager"))
    await same_voters(group)
    for place in group:
        await until(lambda place=place: is_closed(place), place.kept)
        assert opens(place, key)
    locks = {(place.settings.state_dir / "autolock.key").read_bytes() for place in group}
    assert len(locks) == 3
    third = group[2]
    await restart(third)
    assert third.state.state == "locked"
    await works(group[:2], "meanwhile")
    await third.host.unlock(key)
    await until(lambda: third.state.state == "active" and "meanwhile" in names(third), lambda: third.state)
    await same_voters(group)


async def test_a_worker_is_never_locked(group: list[Place]) -> None:
    first, _, third = group
    await founded(first)
    await third.host.join(third.joining(first))
    await until(lambda: third.state.ready, lambda: third.state)
    with pytest.raises(Unavailable, match="Worker nodes can't"):
        await third.host.unlock(WRONG)
    await restart(third)
    await until(lambda: third.state.ready, lambda: third.state)
    assert not (third.settings.state_dir / "autolock.key").exists()


async def test_locking_begins_and_ends_on_every_manager_of_a_running_swarm(group: list[Place]) -> None:
    await group[0].host.init(group[0].init)
    both = await managers(group, 2)
    await same_voters(both)
    assert [key_of(place) for place in both] == ["", ""]
    before = [keys_in_clear(place) for place in both]
    serials = [serial(place) for place in both]
    await autolock(both[0], True)
    key = key_of(both[0])
    for place in both:
        await until(lambda place=place: is_closed(place) and opens(place, key), place.kept)
    for place, was in zip(both, serials, strict=True):  # the key in clear is used no more
        await until(lambda place=place, was=was: serial(place) != was, lambda place=place: place.state)
        assert is_closed(place)
    await works(both, "then")
    for place, keys in zip(both, before, strict=True):
        await until(lambda place=place, keys=keys: not opened_by(place, keys), place.kept)
    before, serials = [keys_closed(place, key) for place in both], [serial(place) for place in both]
    await autolock(leader(both) or both[0], False)
    for place, keys, was in zip(both, before, serials, strict=True):  # an old disk with its unlock key opens nothing
        await until(lambda place=place: is_open(place), place.kept)
        await until(lambda place=place, keys=keys: not set(keys_in_clear(place)) & set(keys), place.kept)
        assert not opened_by(place, keys)
        await until(lambda place=place, was=was: serial(place) != was, lambda place=place: place.state)
    for place in both:
        await restart(place)
        assert place.state.state == "active"
    await works(both, "afterwards")
    assert names(both[0]) == {"then", "afterwards"}


async def test_another_unlock_key_is_in_force_at_once_and_the_old_one_opens_nothing(group: list[Place]) -> None:
    key = await founded(group[0])
    both = await managers(group, 2)
    await same_voters(both)
    for place in both:
        await until(lambda place=place: is_closed(place), place.kept)
    before = [keys_closed(place, key) for place in both]
    await autolock(both[0], True, Rotation(unlock_key=True))
    fresh = key_of(both[0])
    assert fresh != key
    for place, keys in zip(both, before, strict=True):
        await until(lambda place=place: opens(place, fresh), place.kept)
        assert not opens(place, key)
        await until(lambda place=place, keys=keys: not set(keys_closed(place, fresh)) & set(keys), place.kept)
        assert not opened_by(place, keys)
    await works(both, "web")
    second = both[1]
    await restart(second)
    with pytest.raises(Unauthenticated):
        await second.host.unlock(key)
    await second.host.unlock(fresh)
    await same_voters(both)


async def test_a_manager_that_was_down_takes_the_key_of_today_when_it_comes_back(group: list[Place]) -> None:
    key = await founded(group[0])
    for place in group[1:]:
        await place.host.join(place.joining(group[0], "manager"))
    await same_voters(group)
    third = group[2]
    await until(lambda: is_closed(third), third.kept)
    await third.host.stop()
    await autolock(leader(group[:2]) or group[0], True, Rotation(unlock_key=True))
    fresh = key_of(group[0]) if key_of(group[0]) != key else key_of(group[1])
    await third.again().resume()
    with pytest.raises(Unauthenticated):
        await third.host.unlock(fresh)
    await third.host.unlock(key)
    await until(lambda: opens(third, fresh), third.kept)
    await restart(third)
    await third.host.unlock(fresh)
    await same_voters(group)


async def test_what_a_log_tells_anew_after_a_restart_does_not_lock_again(group: list[Place]) -> None:
    first = group[0]
    await founded(first)
    await autolock(first, False)
    assert is_open(first) or not (first.settings.state_dir / "autolock.key").exists()
    acted = saved(first).lock_version
    assert acted == first.control.context.cluster.version
    for _ in range(2):
        await restart(first)
        assert first.state.state == "active"
        assert is_open(first)
    assert saved(first).lock_version == acted


async def test_a_manager_that_is_a_worker_again_keeps_no_lock(group: list[Place]) -> None:
    await founded(group[0])
    both = await managers(group, 2)
    first, second = both
    await same_voters(both)
    await until(lambda: is_closed(second), second.kept)
    await first.give_role(second.id, "worker")
    await until(lambda: second.state.role == "worker" and second.state.ready, lambda: second.state)
    await until(lambda: not (second.settings.state_dir / "autolock.key").exists(), second.kept)
    assert not (second.settings.state_dir / "raft.key").exists()
    await restart(second)
    await until(lambda: second.state.ready, lambda: second.state)
    await first.give_role(second.id, "manager")
    await same_voters(both)
    await until(lambda: is_closed(second), second.kept)


async def test_a_demotion_that_was_cut_short_ends_without_the_key(group: list[Place]) -> None:
    await founded(group[0])
    both = await managers(group, 2)
    first, second = both
    await same_voters(both)
    await until(lambda: is_closed(second), second.kept)
    await first.give_role(second.id, "worker")
    await until(lambda: second.state.role == "worker" and second.state.ready, lambda: second.state)
    await second.host.stop()
    lock = second.settings.state_dir / "autolock.key"
    lock.write_text("what a power cut left")
    lock.chmod(0o600)
    await second.again().resume()
    assert second.state.state == "active"
    assert not lock.exists()


async def test_the_key_is_rotated_only_where_managers_are_locked(group: list[Place]) -> None:
    first = group[0]
    await first.host.init(first.init)
    with pytest.raises(FailedPrecondition, match="autolock is not turned on"):
        await autolock(first, False, Rotation(unlock_key=True))
    assert key_of(first) == ""


async def test_a_disk_that_is_full_is_said_and_the_lock_made_later(
    group: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = group[0]
    await first.host.init(first.init)
    real = atomic.replace_file
    full = True

    def replace(path: Path, data: bytes, *, mode: int = 0o600) -> None:
        if full and path.name == "autolock.key":
            raise OSError(28, "No space left on device")
        real(path, data, mode=mode)

    monkeypatch.setattr(atomic, "replace_file", replace)
    await autolock(first, True)
    await until(lambda: "not locked as the swarm wants it" in first.state.error, lambda: first.state)
    assert first.state.state == "active"
    full = False
    await until(lambda: is_closed(first) and not first.state.error, lambda: first.state)


async def test_a_disk_that_is_full_leaves_no_manager_half_open(
    group: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = group[0]
    await founded(first)
    await until(lambda: is_closed(first), first.kept)
    real = atomic.replace_file
    full = True

    def replace(path: Path, data: bytes, *, mode: int = 0o600) -> None:
        if full and path.name == "tasks.key":
            raise OSError(28, "No space left on device")
        real(path, data, mode=mode)

    monkeypatch.setattr(atomic, "replace_file", replace)
    await autolock(first, False)
    await until(lambda: "not locked as the swarm wants it" in first.state.error, lambda: first.state)
    full = False
    await until(lambda: is_open(first) and not first.state.error, lambda: first.state)
    await restart(first)
    assert first.state.state == "active"


async def test_what_is_on_the_disk_opens_without_the_key_nowhere(group: list[Place]) -> None:
    first = group[0]
    key = await founded(first)
    await works([first], "web")
    await first.host.stop()
    folder = first.settings.state_dir
    for read in (KeyFile(folder / "raft.key").load, KeyFile(folder / "tasks.key").load):
        with pytest.raises(KeyStoreError, match="locked"):
            read()
    with pytest.raises(KeyStoreError, match="does not open"):
        KeyStore(folder / "certificates").load()
    held = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert key.encode() not in held
    assert key[9:].encode() not in held
    assert StateFile(folder).load() is not None
