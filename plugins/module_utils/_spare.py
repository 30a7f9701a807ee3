# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Whether the swarm can spare a manager for the moment of a restart: one at a time, and never the majority."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError
from ansible_collections.queenright.swarm.plugins.module_utils._standing import Standing

PAUSE = 0.5  # seconds between two looks
FEWEST = 3  # managers of which one can be spared


def look(engine: Engine) -> t.Optional[Standing]:
    """What the runtime says now; None where none answers."""
    try:
        return Standing(engine.get("/queenright/v1/status"))
    except EngineError:
        return None


def leads(engine: Engine) -> bool:
    """Whether this host leads the managers."""
    here = look(engine)
    return here is not None and here.manager and here.leader.get("node_id") == here.node_id


def await_spare(engine: Engine, keep: bool, patience: float) -> bool:
    """Wait until the other managers are a majority without this one. Raises InstallError if they are not in time.

    Answers whether this is a manager in agreement with the others, as it shall be again after the restart. Without
    ``keep``, and where nothing can be lost (no manager, no quorum, one or two managers), nothing is waited for.
    """
    deadline = time.monotonic() + patience
    while True:
        here = look(engine)
        if here is None or not here.manager or not here.has_quorum:
            return False
        silent = _silent(here)
        if not keep or len(here.voters) < FEWEST or len(here.voters) - 1 - len(silent) > len(here.voters) // 2:
            return True
        if time.monotonic() >= deadline:
            raise InstallError(
                "this manager is not restarted, since the swarm would have no quorum meanwhile: of its %d managers, %s "
                "do not answer. Bring them back or remove them, or set keep_quorum to false"
                % (len(here.voters), ", ".join(silent))
            )
        time.sleep(PAUSE)


def _silent(here: Standing) -> t.List[str]:
    """The other voters that do not answer."""
    others = [member for member in here.voters if member.get("node_id") != here.node_id]
    return [str(member.get("addr")) for member in others if not member.get("reachable", True)]


def agrees(status: t.Dict[str, t.Any]) -> bool:
    """Whether a manager is in agreement with the others again."""
    here = Standing(status)
    return here.manager and here.has_quorum and (not here.raft or here.counts(here.node_id))
