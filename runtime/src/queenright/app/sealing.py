# SPDX-License-Identifier: Apache-2.0
"""Which key seals what this host keeps, and who may use it."""

from __future__ import annotations

from queenright.app import world
from queenright.app.state import StateFile
from queenright.edge.pki.data_keys import KeyFile
from queenright.edge.pki.sealing import RecordSealer


def for_log(file: StateFile, node_id: str) -> RecordSealer:
    """Of a manager's log and snapshots."""
    return RecordSealer(KeyFile(file.log_key), node_id, world.random_bytes)


def for_tasks(file: StateFile, node_id: str) -> RecordSealer:
    """Of what an agent remembers of its tasks."""
    return RecordSealer(KeyFile(file.tasks_key), node_id, world.random_bytes)
