# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where a host stands: without a runtime, in no swarm, on its way into one, a worker or a manager."""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError

STATE_DIR = "/var/lib/queenright"
PATIENCE = 30.0  # seconds
PAUSE = 0.5
ABSENT = "absent"  # no runtime on this host
INACTIVE = "inactive"
PENDING = "pending"
ACTIVE = "active"
LOCKED = "locked"  # a manager that was started anew and waits for the unlock key
LOCKED_WORDS = (
    "this host is a manager that is locked: it was started anew and needs the unlock key of the swarm. Unlock it with "
    "queenright.swarm.swarm_unlock and unlock_key (manager_unlock_key of the role manager), or with docker swarm "
    "unlock on the host. The key is shown by swarm_unlock with return_unlock_key, or docker swarm unlock-key, on a "
    "manager that is not locked"
)


class Standing:
    """The runtime's own word on this host, or ABSENT where there is none."""

    def __init__(self, status: t.Dict[str, t.Any]) -> None:
        self.status = status
        self.state = t.cast("str", status.get("state") or ABSENT)
        self.role = t.cast("str", status.get("role") or "")
        self.node_id = t.cast("str", status.get("node_id") or "")
        self.cluster_id = t.cast("str", status.get("cluster_id") or "")
        self.error = t.cast("str", status.get("error") or "")
        self.leader = t.cast("t.Dict[str, str]", status.get("leader") or {})
        self.stale = bool(status.get("stale"))
        self.raft = t.cast("t.Dict[str, t.Any]", status.get("raft") or {})

    @property
    def outside(self) -> bool:
        """In no swarm, whether there is a runtime or not."""
        return self.state in (ABSENT, INACTIVE)

    @property
    def manager(self) -> bool:
        return self.state == ACTIVE and self.role == "manager"

    @property
    def has_quorum(self) -> bool:
        """Whether it is a manager that hears from a majority of them."""
        return self.role == "manager" and bool(self.status.get("has_quorum"))

    @property
    def voters(self) -> t.List[t.Dict[str, t.Any]]:
        """The managers that count for a majority, as this one knows them."""
        return [member for member in self.raft.get("members") or [] if member.get("voter")]

    def counts(self, node_id: str) -> bool:
        """Whether a node is one of the voters."""
        return any(member.get("node_id") == node_id for member in self.voters)

    def consensus(self) -> t.Dict[str, t.Any]:
        """What modules that look return of the managers' agreement."""
        return {"leader": self.leader, "has_quorum": self.has_quorum, "stale": self.stale, "raft": self.raft}

    def facts(self) -> t.Dict[str, t.Any]:
        """What modules return of it."""
        status = self.status
        return {
            "state": self.state,
            "role": self.role,
            "node_id": self.node_id,
            "node_addr": status.get("node_addr") or "",
            "cluster_id": self.cluster_id,
            "managers": status.get("managers") or [],
        }


def standing(engine: Engine) -> Standing:
    """Ask the runtime. Raises EngineError if it does not answer though this host is known to be in a swarm."""
    try:
        return Standing(engine.get("/queenright/v1/status"))
    except EngineError as error:
        if not error.missing:
            raise
        _refuse_if_a_member_sleeps(error)
        return Standing({})


def settled(engine: Engine) -> Standing:
    """Ask the runtime; a membership that is just being resumed is given a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        here = standing(engine)
        if here.state != PENDING or time.monotonic() >= deadline:
            return here
        time.sleep(PAUSE)


def require_health(here: Standing) -> None:
    """Raise EngineError where the membership is neither whole nor absent."""
    if here.state == PENDING:
        raise EngineError("this host is on its way into a swarm: try again when it has arrived or given up")
    if here.state == LOCKED:
        raise EngineError(LOCKED_WORDS)
    if not here.outside and here.state != ACTIVE:
        raise EngineError(
            "the membership of this host in a swarm cannot go on: %s. Mend it, or leave the swarm with "
            "queenright.swarm.swarm_leave and force" % (here.error or here.state)
        )


def _refuse_if_a_member_sleeps(error: EngineError) -> None:
    """A stopped runtime is not an absent one: founding or joining a second swarm over it would lose the first."""
    try:
        names = os.listdir(STATE_DIR)
    except FileNotFoundError:
        return
    except OSError as denied:
        raise EngineError("%s; and %s cannot be read (%s): run the task with become" % (error, STATE_DIR, denied))
    if "state.json" in names:
        raise EngineError(
            "this host is in a swarm (%s/state.json), but its runtime does not answer: start the service queenright. %s"
            % (STATE_DIR, error)
        )
