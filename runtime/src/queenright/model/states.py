# SPDX-License-Identifier: Apache-2.0
"""Task states as a clock that only goes forward, and the states of nodes and updates.

Numbers are Swarm's, so that order is comparison.
"""

from __future__ import annotations

import enum


class TaskState(enum.IntEnum):
    """Where a task is, and (for the desired state) where it shall be. Everything above RUNNING is the end."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832

    @property
    def text(self) -> str:
        """The Engine API's word: ``running``."""
        return self.name.lower()

    @property
    def terminal(self) -> bool:
        """Whether the task has ended (or will never run)."""
        return self > TaskState.RUNNING


class NodeState(enum.StrEnum):
    """What managers know of a node."""

    UNKNOWN = "unknown"
    DOWN = "down"
    READY = "ready"
    DISCONNECTED = "disconnected"


class UpdateState(enum.StrEnum):
    """Where a rolling update or rollback stands."""

    UPDATING = "updating"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLBACK_COMPLETED = "rollback_completed"

    @property
    def active(self) -> bool:
        return self in (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)

    @property
    def paused(self) -> bool:
        return self in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)
