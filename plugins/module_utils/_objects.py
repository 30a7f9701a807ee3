# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of services, nodes and the CA."""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError, segment
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    Result,
    apply,
    foreseen,
    said,
    wait,
    wait_for_service,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import DRAIN, NodeSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import encode, merge, option_names
from ansible_collections.queenright.swarm.plugins.module_utils._spec.service import ServiceSpec
from ansible_collections.queenright.swarm.plugins.module_utils._standing import (
    Standing,
    require_health,
    settled,
    standing,
)

ROTATION_TRIES = 5

Json = t.Dict[str, t.Any]


def _to_be_foreseen(module: AnsibleModule, engine: Engine) -> bool:
    """Check mode, on a host that is in no swarm yet: what a manager would say can only be foreseen."""
    return module.check_mode and standing(engine).outside


# -- services


def service(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a service to what is declared."""
    params = module.params
    name, state = params["name"], params["state"]
    options = said(module, option_names(ServiceSpec)) if state == "present" else {}
    if _to_be_foreseen(module, engine):
        if state == "absent":
            return dict(foreseen("service", {}, ""), changed=False, actions=[], needs_manager=True)
        spec = dict(encode(merge(ServiceSpec, None, options)), Name=name)
        return dict(foreseen("service", spec, "create service %s" % name), needs_manager=True)
    context = {"registry_auth": _registry_auth(params["registry"])} if params["registry"] else None
    plan = apply(module, engine, "service", name, options, state=state, context=context)
    result = plan.result("service")
    if params["wait"] and not module.check_mode and plan.id:
        result["progress"] = wait_for_service(module, engine, plan)
    return result


def _registry_auth(registry: Json) -> str:
    """The value of X-Registry-Auth; equal credentials give equal text: the runtime sees that nothing changed."""
    document = {
        "username": registry["username"],
        "password": registry["password"],
        "serveraddress": registry["server"] or "",
    }
    return base64.urlsafe_b64encode(json.dumps(document, sort_keys=True).encode("utf-8")).decode("ascii")


def services(module: AnsibleModule, engine: Engine) -> Result:
    """Services as the Engine API shows them, and their tasks."""
    names = module.params["name"]
    if _to_be_foreseen(module, engine):
        return {"changed": False, "services": [], "tasks": [], "needs_manager": True}
    found = engine.get("/services", {"status": "true"})
    if names is not None:
        found = [one for one in found if one["ID"] in names or one["Spec"]["Name"] in names]
    result = {"changed": False, "services": found, "tasks": []}  # type: Result
    if module.params["tasks"] and found:
        filters = json.dumps({"service": [one["ID"] for one in found]})
        result["tasks"] = engine.get("/tasks", {"filters": filters})
    return result


# -- nodes


def node(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a node to what is declared, or remove it."""
    params = module.params
    here = settled(engine)
    if here.outside and module.check_mode:
        return _foreseen_node(module, here)
    if params["name"] is None:
        _require_node(here)
    name = params["name"] or here.node_id
    options = said(module, option_names(NodeSpec)) if params["state"] == "present" else {}
    context = {"force": True} if params["force"] else None
    try:
        plan = apply(module, engine, "node", name, options, state=params["state"], context=context)
    except EngineError as error:
        error.more["node_id"] = here.node_id
        raise _explained(error)
    result = plan.result("node")
    if params["wait"] and params["state"] == "present" and not module.check_mode:
        drained = {"drained": 1} if (plan.after or {}).get("Availability") == DRAIN else None
        title = "node %s" % name
        result["progress"] = wait(engine, "node", plan.id, params["wait_timeout"], drained, title=title)
    return result


def _foreseen_node(module: AnsibleModule, here: Standing) -> Result:
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
    elif error.status == 404:
        hint = ": a node is named by its id or its host name, as queenright.swarm.swarm_node_info shows them"
    return EngineError("%s%s" % (error, hint), error.status) if hint else error


def nodes(module: AnsibleModule, engine: Engine) -> Result:
    """Nodes as the Engine API shows them."""
    if _to_be_foreseen(module, engine):
        return {"changed": False, "nodes": [], "needs_manager": True}
    names = module.params["name"]
    if names is None:
        return {"changed": False, "nodes": engine.get("/nodes")}
    found = []
    for name in names:
        try:
            found.append(engine.get("/nodes/%s" % segment(name)))
        except EngineError as error:
            if error.status != 404:
                raise
    return {"changed": False, "nodes": found}


# -- the CA


def authority(module: AnsibleModule, engine: Engine) -> Result:
    """Show the swarm's CA; change its options and make join tokens anew where that is asked."""
    params = module.params
    if _to_be_foreseen(module, engine):
        return _foreseen_authority(module)
    options = said(module, ["node_cert_expiry"])
    result = {"changed": False, "actions": [], "changes": {}, "diff": {"before": {}, "after": {}}}  # type: Result
    if options:
        result = apply(module, engine, "swarm", "", options).result("swarm")
        del result["id"], result["swarm"]
    actions = _rotations(params)
    if actions:
        result["changed"] = True
        result["actions"] = result["actions"] + actions
        if not module.check_mode:
            _rotate(engine, params)
    document = engine.get("/swarm")
    result.update(_shown(document))
    if params["return_join_tokens"]:
        tokens = document["JoinTokens"]
        result["join_tokens"] = {"worker": tokens["Worker"], "manager": tokens["Manager"]}
    return result


def _foreseen_authority(module: AnsibleModule) -> Result:
    actions = _rotations(module.params)
    shown = {"root_certificate": "", "root_digest": "", "issuer_subject": "", "issuer_public_key": ""}
    changed = bool(actions or said(module, ["node_cert_expiry"]))
    return dict(shown, changed=changed, actions=actions, changes={}, diff={}, cluster_id="", needs_manager=True)


def _rotations(params: Json) -> t.List[str]:
    return ["rotate the join token of %ss" % role for role in ("worker", "manager") if params["rotate_%s_token" % role]]


def _rotate(engine: Engine, params: Json) -> None:
    """Make tokens anew; somebody else's write in between is no reason to fail."""
    for attempt in range(1, ROTATION_TRIES + 1):
        document = engine.get("/swarm")
        query = {
            "version": document["Version"]["Index"],
            "rotateWorkerToken": str(params["rotate_worker_token"]).lower(),
            "rotateManagerToken": str(params["rotate_manager_token"]).lower(),
        }
        try:
            engine.post("/swarm/update", document["Spec"], query)
            return
        except EngineError as error:
            if "out of sequence" not in str(error) or attempt == ROTATION_TRIES:
                raise


def _shown(document: Json) -> Json:
    info = document["TLSInfo"]
    certificate = info.get("TrustRoot") or ""
    return {
        "cluster_id": document["ID"],
        "root_certificate": certificate,
        "root_digest": "sha256:%s" % hashlib.sha256(certificate.encode("utf-8")).hexdigest(),
        "issuer_subject": info.get("CertIssuerSubject") or "",
        "issuer_public_key": info.get("CertIssuerPublicKey") or "",
    }


# -- the swarm


def overview(module: AnsibleModule, engine: Engine) -> Result:
    """Where this host stands, its runtime, and on a manager the swarm; never its join tokens."""
    here = standing(engine)
    status = here.status
    runtime = {
        "installed": bool(status),
        "version": status.get("version") or "",
        "ready": bool(status.get("ready")),
        "started_at": status.get("started_at") or "",
        "engine": status.get("engine") or {},
    }
    swarm = {}  # type: Json
    if here.manager:
        swarm = {key: value for key, value in engine.get("/swarm").items() if key != "JoinTokens"}
    tasks = status.get("tasks") or {"running": 0, "total": 0}
    return dict(here.facts(), changed=False, error=here.error, runtime=runtime, tasks=tasks, swarm=swarm)
