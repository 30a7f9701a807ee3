# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of services, of the CA and of the swarm."""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    Result,
    apply,
    foreseen,
    said,
    wait_for_service,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import encode, merge, option_names
from ansible_collections.queenright.swarm.plugins.module_utils._spec.service import ServiceSpec
from ansible_collections.queenright.swarm.plugins.module_utils._standing import standing

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
    context = {"resolve_image": params["resolve_image"]}
    if state == "present" and said(module, ["registry"]):
        registry = params["registry"]
        context["registry_auth"] = _registry_auth(registry) if registry else None
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
        return {"changed": False, "services": [], "tasks": [], "ports": [], "needs_manager": True}
    found = engine.get("/services", {"status": "true"})
    if names is not None:
        found = [one for one in found if one["ID"] in names or one["Spec"]["Name"] in names]
    result = {"changed": False, "services": found, "tasks": [], "stale": engine.stale}  # type: Result
    result["ports"] = _readiness(engine, found)
    if module.params["tasks"] and found:
        filters = json.dumps({"service": [one["ID"] for one in found]})
        result["tasks"] = engine.get("/tasks", {"filters": filters})
    return result


def _readiness(engine: Engine, services: t.List[Json]) -> t.List[Json]:
    """Where the ports of these services answer, as nodes told the leader; nothing while there is none to ask."""
    ids = [one["ID"] for one in services if _publishes(one)]
    if not ids:
        return []
    try:
        told = engine.get("/queenright/v1/mesh")
    except EngineError:
        return []
    return [one for one in told["ports"] if one["service_id"] in ids]


def _publishes(service: Json) -> bool:
    ports = (service.get("Endpoint") or {}).get("Ports") or []
    return any(port.get("PublishMode") != "host" for port in ports)


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
    agreed = here.consensus()
    return dict(here.facts(), changed=False, error=here.error, runtime=runtime, tasks=tasks, swarm=swarm, **agreed)
