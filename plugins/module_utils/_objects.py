# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of services, of the CA and of the swarm."""

from __future__ import annotations

import base64
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
    known = dict(here.consensus(), clock_skew=float(status.get("clock_skew") or 0))
    return dict(here.facts(), changed=False, error=here.error, runtime=runtime, tasks=tasks, swarm=swarm, **known)
