# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of nodes: change, promote and demote, remove, show."""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError, segment
from ansible_collections.queenright.swarm.plugins.module_utils._managers import await_role, is_manager
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    Plan,
    Result,
    apply,
    foreseen,
    said,
    wait,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import DRAIN, WORKER, NodeSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import encode, merge, option_names
from ansible_collections.queenright.swarm.plugins.module_utils._standing import (
    Standing,
    require_health,
    settled,
    standing,
)

Json = t.Dict[str, t.Any]


def node(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a node to what is declared, or remove it."""
    here = settled(engine)
    if here.outside and module.check_mode:
        return _foreseen(module, here)
    if module.params["name"] is None:
        _require_node(here)
    name = module.params["name"] or here.node_id
    try:
        if module.params["state"] == "absent":
            return _remove(module, engine, name, here)
        options = said(module, option_names(NodeSpec))
        plan = apply(module, engine, "node", name, options, context=_force(module))
    except EngineError as error:
        error.more["node_id"] = here.node_id
        raise _explained(error)
    result = plan.result("node")
    if module.params["wait"] and not module.check_mode:
        result["progress"] = _wait(module, engine, plan, options, here)
    return result


def _force(module: AnsibleModule) -> t.Optional[Json]:
    return {"force": True} if module.params["force"] else None


def _wait(module: AnsibleModule, engine: Engine, plan: Plan, options: Json, here: Standing) -> Json:
    """Until the node has the role that was asked for, and is ready or drained."""
    begun, timeout = time.monotonic(), module.params["wait_timeout"]
    after = plan.after or {}
    if "role" in options:
        await_role(engine, plan.id, after["Role"], timeout)
        if after["Role"] == WORKER and plan.id == here.node_id:
            return {"converged": True, "state": "converged"}  # no manager any more: it cannot say more
    drained = {"drained": 1} if after.get("Availability") == DRAIN else None
    left = max(1.0, timeout - (time.monotonic() - begun))
    return wait(engine, "node", plan.id, left, drained, title="node %s" % (module.params["name"] or here.node_id))


# -- removal


def _remove(module: AnsibleModule, engine: Engine, name: str, here: Standing) -> Result:
    manager = _manager_to_demote(module, engine, name, here) if module.params["demote"] else None
    if manager is None:
        return apply(module, engine, "node", name, {}, state="absent", context=_force(module)).result("node")
    demotion = apply(module, engine, "node", manager["ID"], {"role": WORKER})
    result = {
        "changed": True,
        "actions": ["demote node %s" % _title(manager), "remove node %s" % _title(manager)],
        "changes": demotion.changes,
        "diff": {"before": demotion.before or {}, "after": {}},
        "id": manager["ID"],
        "node": {},
    }
    if not module.check_mode:
        await_role(engine, manager["ID"], WORKER, module.params["wait_timeout"])
        apply(module, engine, "node", manager["ID"], {}, state="absent", context=_force(module))
    return result


def _manager_to_demote(module: AnsibleModule, engine: Engine, name: str, here: Standing) -> t.Optional[Json]:
    """The node, if it is a manager that can be removed once it is demoted. Nothing is done by halves."""
    try:
        found = engine.get("/nodes/%s" % segment(name))
    except EngineError as error:
        if error.status != 404:
            raise
        return None
    if not is_manager(found) and found["Spec"].get("Role") == WORKER:
        return None
    if found["ID"] == here.node_id:
        raise EngineError("a manager does not remove itself: let it leave with queenright.swarm.swarm_leave")
    if found["Status"]["State"] == "ready" and not module.params["force"]:
        raise EngineError("node %s is not down and can't be removed" % found["ID"])
    return t.cast("Json", found)


def _title(found: Json) -> str:
    return str((found.get("Description") or {}).get("Hostname") or found["ID"])


# -- what is foreseen and what is refused


def _foreseen(module: AnsibleModule, here: Standing) -> Result:
    if module.params["state"] == "absent":
        return dict(foreseen("node", {}, ""), changed=False, actions=[], needs_manager=True)
    spec = encode(merge(NodeSpec, None, said(module, option_names(NodeSpec))))
    named = module.params["name"] is not None
    return dict(foreseen("node", spec, "update the node"), needs_manager=named, node_id=here.node_id)


def _require_node(here: Standing) -> None:
    if here.outside:
        raise EngineError(
            "this host is in no swarm: join it with queenright.swarm.swarm_join first, or name the node that is meant"
        )
    require_health(here)


def _explained(error: EngineError) -> EngineError:
    hint = ""
    if "is not down" in str(error):
        hint = ". Take the host out with queenright.swarm.swarm_leave first, or set force"
    elif "last manager" in str(error):
        hint = ". Promote another node first, or end the swarm with queenright.swarm.swarm_leave and force"
    elif "must be demoted" in str(error):
        hint = ". Set demote to have that done first"
    elif error.status == 404:
        hint = ": a node is named by its id or its host name, as queenright.swarm.swarm_node_info shows them"
    if not hint:
        return error
    explained = EngineError("%s%s" % (error, hint), error.status)
    explained.more = error.more
    return explained


# -- looking


def nodes(module: AnsibleModule, engine: Engine) -> Result:
    """Nodes as the Engine API shows them, and how the managers agree."""
    here = standing(engine)
    if module.check_mode and here.outside:
        return {"changed": False, "nodes": [], "needs_manager": True}
    found = _found(module.params["name"], engine)
    return dict(here.consensus(), changed=False, nodes=found, stale=here.stale or engine.stale)


def _found(names: t.Optional[t.List[str]], engine: Engine) -> t.List[Json]:
    if names is None:
        return t.cast("t.List[Json]", engine.get("/nodes"))
    found = []
    for name in names:
        try:
            found.append(engine.get("/nodes/%s" % segment(name)))
        except EngineError as error:
            if error.status != 404:
                raise
    return found
