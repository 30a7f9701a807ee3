# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How a host gets out of its swarm. A manager hands over first, unless it is told not to."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._managers import await_own_role
from ansible_collections.queenright.swarm.plugins.module_utils._resource import Result, apply
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import WORKER
from ansible_collections.queenright.swarm.plugins.module_utils._standing import Standing, settled, standing

LEAVE_TIMEOUT = 300.0  # seconds: the containers get their grace period
DEMOTION_TIMEOUT = 120.0  # seconds


def leave(module: AnsibleModule, engine: Engine) -> Result:
    """Take this host out of its swarm."""
    here = settled(engine)
    wanted, force = module.params["cluster_id"], module.params["force"]
    before = here.facts()
    if here.outside:
        return dict(before, changed=False, actions=[], diff={"before": {}, "after": {}})
    if wanted and wanted != here.cluster_id:
        raise EngineError("this host is in swarm %s, not in %s: it stays there" % (here.cluster_id, wanted))
    hands_over = here.manager and not force
    if hands_over:
        _demote(module, engine, here)
    actions = ["demote this host"] if hands_over else []
    result = {
        "changed": True,
        "actions": [*actions, "leave swarm %s" % here.cluster_id],
        "diff": {"before": before, "after": {}},
    }
    if not module.check_mode:
        engine.post("/queenright/v1/leave", query={"force": int(force)}, timeout=LEAVE_TIMEOUT)
        before = dict(before, **standing(engine).facts())
    return dict(before, **result)


def _demote(module: AnsibleModule, engine: Engine, here: Standing) -> None:
    """The other managers go on without this one, and know it. In check mode it is only asked whether they can."""
    try:
        apply(module, engine, "node", here.node_id, {"role": WORKER})
    except EngineError as error:
        raise _explained(error, here)
    if not module.check_mode:
        await_own_role(engine, WORKER, DEMOTION_TIMEOUT)


def _explained(error: EngineError, here: Standing) -> EngineError:
    if "last manager" in str(error):
        return EngineError(
            "this host is the last manager of swarm %s: when it leaves, all state of the swarm is gone. "
            "Promote another node first, or set force if the swarm is to end" % here.cluster_id
        )
    if error.leaderless:
        return EngineError(
            "%s This manager cannot hand over, so it stays in swarm %s. Bring the other managers back, or set force to "
            "leave all the same" % (error, here.cluster_id),
            error.status,
        )
    return EngineError("this manager cannot hand over: %s" % error, error.status)
