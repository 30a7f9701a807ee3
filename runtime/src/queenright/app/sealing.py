# SPDX-License-Identifier: Apache-2.0
"""Which key seals what this host keeps, and who may use it."""

from __future__ import annotations

from queenright.app import world
from queenright.app.state import StateFile
from queenright.edge.pki.data_keys import KeyFile
from queenright.edge.pki.locking import Lock
from queenright.edge.pki.sealing import RecordSealer


def lock_of(file: StateFile, node_id: str) -> Lock:
    """What closes all these keys where managers are locked: always the same one, so that it is opened once."""
    if file.lock is None:
        file.lock = Lock(file.lock_path, node_id, world.random_bytes)
    return file.lock


def for_log(file: StateFile, node_id: str) -> RecordSealer:
    """Of a manager's log and snapshots."""
    return RecordSealer(KeyFile(file.log_key, lock_of(file, node_id)), node_id, world.random_bytes)


def for_tasks(file: StateFile, node_id: str) -> RecordSealer:
    """Of what an agent remembers of its tasks."""
    return RecordSealer(KeyFile(file.tasks_key, lock_of(file, node_id)), node_id, world.random_bytes)
