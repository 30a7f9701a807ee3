# SPDX-License-Identifier: Apache-2.0
"""What the disk of a manager shows of its lock."""

from __future__ import annotations

import base64
import json

from queenright.edge.pki.data_keys import DataKeys, KeyFile
from queenright.edge.pki.errors import WrongKeyError
from queenright.edge.pki.locking import Lock
from queenright.model.unlock import parse_unlock_key

from .kit import Place


def is_closed(place: Place) -> bool:
    """Whether every key on the disk of a manager is."""
    folder = place.settings.state_dir
    files = [json.loads((folder / name).read_text()) for name in ("raft.key", "tasks.key")]
    key = (folder / "certificates" / "swarm-node.key").read_text()
    return (folder / "autolock.key").exists() and {one["format"] for one in files} == {2} and "ENCRYPTED" in key


def is_open(place: Place) -> bool:
    folder = place.settings.state_dir
    files = [json.loads((folder / name).read_text()) for name in ("raft.key", "tasks.key")]
    key = (folder / "certificates" / "swarm-node.key").read_text()
    return not (folder / "autolock.key").exists() and {one["format"] for one in files} == {1} and "ENCRYPTED" not in key


def opens(place: Place, key: str) -> bool:
    """Whether this is the key of the lock on the disk of a manager."""
    lock = Lock(place.settings.state_dir / "autolock.key", place.id, bytes)
    try:
        lock.unlock(parse_unlock_key(key))
    except WrongKeyError:
        return False
    return True


def serial(place: Place) -> str:
    member = place.host._member
    assert member is not None
    return member._credentials.identity.serial


def keys_in_clear(place: Place) -> list[bytes]:
    value = base64.b64decode(json.loads((place.settings.state_dir / "raft.key").read_text())["keys"])
    return [value[at : at + 32] for at in range(0, len(value), 32)]


def keys_closed(place: Place, unlock_key: str) -> list[bytes]:
    """The keys of the log, by the unlock key and the disk alone."""
    lock = Lock(place.settings.state_dir / "autolock.key", place.id, bytes)
    lock.unlock(parse_unlock_key(unlock_key))
    found = KeyFile(place.settings.state_dir / "raft.key", lock).load()
    assert found is not None
    return list(found.keys)


def opened_by(place: Place, keys: list[bytes]) -> bool:
    """Whether a log or snapshot of the manager says that one of these keys has sealed it."""
    ids = [DataKeys.id_of(key) for key in keys]
    files = [place.settings.state_dir / "raft" / name for name in ("log", "snapshot")]
    return any(key in path.read_bytes()[:200] for key in ids for path in files if path.exists())
