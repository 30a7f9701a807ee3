# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Waiting until managers are what was asked: one of the voters, no manager any more, in agreement with each other.

The log's own word counts, not the wish: a node is a manager when it is one of the voters.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError, segment
from ansible_collections.queenright.swarm.plugins.module_utils._resource import WaitError
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import MANAGER, WORKER
from ansible_collections.queenright.swarm.plugins.module_utils._standing import ACTIVE, Standing, standing

PAUSE = 0.25  # seconds between two looks
QUORUM_PATIENCE = 10.0  # seconds without a quorum before it counts as lost; an election takes two or three

Json = t.Dict[str, t.Any]


def await_own_role(engine: Engine, role: str, timeout: float) -> Standing:
    """Wait until this host is what it was made: a voter, or a worker. Raises WaitError."""
    deadline = time.monotonic() + timeout
    while True:
        here = standing(engine)
        if here.state == ACTIVE and here.role == role and _settled_as(here, role):
            return here
        if time.monotonic() >= deadline:
            raise WaitError(
                "this host is no %s after %d s%s" % (role, timeout, _explanation(here)), {"reasons": _reasons(here)}
            )
        time.sleep(PAUSE)


def _settled_as(here: Standing, role: str) -> bool:
    if role == WORKER or not here.raft:
        return True
    return here.counts(here.node_id) and here.has_quorum


def _reasons(here: Standing) -> t.List[str]:
    if here.error:
        return [here.error]
    if here.state != ACTIVE:
        return ["its membership is %s" % here.state]
    if here.role != MANAGER:
        return []
    if not here.has_quorum:
        return ["it does not hear from a majority of the managers"]
    return [] if here.counts(here.node_id) else ["the leader has not taken it among the voters yet"]


def _explanation(here: Standing) -> str:
    reasons = _reasons(here)
    return ": %s" % "; ".join(reasons) if reasons else ""


def await_role(engine: Engine, node_id: str, role: str, timeout: float) -> None:
    """Wait until a node is what it was made, whether its host answers or not. Raises WaitError.

    Of this very host it is waited for by its own word: once demoted it cannot be asked about nodes.
    """
    here = standing(engine)
    if node_id == here.node_id:
        await_own_role(engine, role, timeout)
        return
    deadline = time.monotonic() + timeout
    while not _has_role(engine, node_id, role):
        if time.monotonic() >= deadline:
            reason = "it is not among the voters yet" if role == MANAGER else "the managers still count it as one"
            raise WaitError("node %s is no %s after %d s: %s" % (node_id, role, timeout, reason), {"reasons": [reason]})
        time.sleep(PAUSE)


def _has_role(engine: Engine, node_id: str, role: str) -> bool:
    here = standing(engine)
    if not here.manager:
        raise EngineError("this host was a manager and is none any more, so it cannot say what node %s is" % node_id)
    manages = is_manager(engine.get("/nodes/%s" % segment(node_id)))
    if role == WORKER:
        return not manages and not here.counts(node_id)
    return manages and (not here.raft or here.counts(node_id))


def is_manager(node: Json) -> bool:
    """Whether a node of the Engine API is a manager now, whatever it is to become."""
    return bool(node.get("ManagerStatus"))


def lost_quorum(engine: Engine) -> bool:
    """Whether this manager hears from no majority, and not only for the moment of an election."""
    deadline = time.monotonic() + QUORUM_PATIENCE
    while True:
        if standing(engine).has_quorum:
            return False
        if time.monotonic() >= deadline:
            return True
        time.sleep(PAUSE)
