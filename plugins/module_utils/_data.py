# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of secrets, configs and credentials for registries. Data goes to it, and never comes back."""

from __future__ import annotations

import base64
import binascii
import json
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    WAIT_ARGUMENTS,
    Plan,
    Result,
    apply,
    foreseen,
    said,
    wait,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.data import ConfigSpec, RegistrySpec, SecretSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import (
    argument_spec,
    encode,
    merge,
    option_names,
)
from ansible_collections.queenright.swarm.plugins.module_utils._standing import standing

HIDDEN = "(not shown)"
SPECS = {"secret": SecretSpec, "config": ConfigSpec}  # type: t.Dict[str, t.Any]
BASE_LABEL = "queenright.base"

Json = t.Dict[str, t.Any]


def arguments(kind: str) -> Json:
    """The options of swarm_secret or swarm_config."""
    hidden = kind == "secret"
    return dict(
        argument_spec(SPECS[kind]),
        name={"type": "str"},
        data={"type": "str", "no_log": hidden},
        data_is_b64={"type": "bool", "default": False},
        src={"type": "path"},
        roll={"type": "bool", "default": True},
        versions_to_keep={"type": "int", "default": 2},
        prune={"type": "bool", "default": False},
        prune_filters={
            "type": "dict",
            "options": {
                "labels": {"type": "list", "elements": "str"},
                "without_labels": {"type": "list", "elements": "str"},
                "until": {"type": "str"},
            },
        },
        **WAIT_ARGUMENTS,
    )


LIMITS = {
    "mutually_exclusive": [("data", "src")],
    "required_if": [("prune", False, ["name"])],
}  # type: t.Dict[str, t.Any]


def secret(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a secret to what is declared."""
    return _declared(module, engine, "secret")


def config(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a config to what is declared."""
    return _declared(module, engine, "config")


def _declared(module: AnsibleModule, engine: Engine, kind: str) -> Result:
    params = module.params
    if params["prune"]:
        _check_filters(params["prune_filters"] or {})
    if module.check_mode and standing(engine).outside:
        return _foreseen(module, kind)
    result = {"changed": False, "actions": [], "changes": {}, "diff": {"before": {}, "after": {}}}  # type: Result
    if params["name"] is not None:
        result = _one(module, engine, kind)
    if params["prune"]:
        _prune(module, engine, kind, result)
    return result


def _one(module: AnsibleModule, engine: Engine, kind: str) -> Result:
    params, present = module.params, module.params["state"] == "present"
    options = said(module, option_names(SPECS[kind])) if present else {}
    context = {"roll": params["roll"], "versions_to_keep": params["versions_to_keep"]} if present else {}
    if present and params["data"] is not None:
        context["data"] = _text(params["data"], params["data_is_b64"])
    plan = apply(module, engine, kind, params["name"], options, state=params["state"], context=context)
    result = plan.result(kind)
    result["services"] = [one["name"] for one in plan.services]
    if params["wait"] and not module.check_mode:
        _wait(engine, plan, params["wait_timeout"])
    return result


def _text(data: str, encoded: bool) -> str:
    """The data in base64. Raises EngineError, which quotes nothing."""
    if not encoded:
        return base64.b64encode(data.encode("utf-8", "surrogateescape")).decode("ascii")
    try:
        return base64.b64encode(base64.b64decode("".join(data.split()), validate=True)).decode("ascii")
    except (ValueError, binascii.Error):
        raise EngineError("data: with data_is_b64 it must be base64") from None


def _wait(engine: Engine, plan: Plan, timeout: float) -> None:
    """Until the services that were moved run as declared; all of them share the time."""
    end = time.monotonic() + timeout
    for one in plan.services:
        wait(engine, "service", one["id"], max(end - time.monotonic(), 1.0), title="service %s" % one["name"])


def _foreseen(module: AnsibleModule, kind: str) -> Result:
    params = module.params
    if params["name"] is None or params["state"] == "absent":
        empty = {"before": {}, "after": {}}  # type: Json
        result = {"changed": False, "actions": [], "changes": {}, "diff": empty, "foreseen": True}  # type: Result
        return dict(result, needs_manager=True)
    spec = encode(merge(SPECS[kind], None, said(module, option_names(SPECS[kind]))))
    shown = dict(spec, Name=params["name"], Data=HIDDEN)
    action = "create %s %s" % (kind, params["name"])
    return dict(foreseen(kind, shown, action), services=[], needs_manager=True)


def _prune(module: AnsibleModule, engine: Engine, kind: str, result: Result) -> None:
    """Remove what nobody uses, and add that to the result. What was just declared stays, used or not."""
    params = module.params
    query = {"dry_run": int(module.check_mode)}  # type: Json
    if params["name"] is not None and params["state"] == "present" and not (module.check_mode and _renewed(result)):
        query["spare"] = params["name"]
    given = params["prune_filters"] or {}
    filters = {"label": given.get("labels"), "label!": given.get("without_labels")}
    if given.get("until") is not None:
        filters["until"] = [given["until"]]
    filters = {key: value for key, value in filters.items() if value}
    if filters:
        query["filters"] = json.dumps(filters)
    gone = [one["name"] for one in engine.post("/queenright/v1/%ss/prune" % kind, query=query)["deleted"]]
    result["pruned"] = gone
    result["changed"] = result["changed"] or bool(gone)
    result["actions"] = result["actions"] + ["remove %s %s, which nobody uses" % (kind, name) for name in gone]
    if gone:
        before, after = result["diff"]["before"], result["diff"]["after"]
        result["diff"] = {"before": dict(before, Unused=gone), "after": dict(after, Unused=[])}


def _check_filters(given: Json) -> None:
    """An empty list would take everything: what was meant is not known, and what is removed does not come back."""
    for name in ("labels", "without_labels"):
        if given.get(name) is not None and not [one for one in given[name] if one.strip()]:
            raise EngineError(
                "prune_filters: %s is empty, so that everything unused would be removed: name labels, or leave %s out"
                % (name, name)
            )


def _renewed(result: Result) -> bool:
    """Whether there would be a new version, so that the one that is there now would not be the newest any more."""
    return "Data" in result["changes"]


def _listed(module: AnsibleModule, engine: Engine, kind: str) -> Result:
    names, key = module.params["name"], "%ss" % kind
    if module.check_mode and standing(engine).outside:
        return {"changed": False, key: [], "needs_manager": True}
    found = engine.get("/%s" % key)
    if names is not None:
        found = [one for one in found if _meant(one, names)]
    return {"changed": False, key: found, "stale": engine.stale}


def _meant(one: Json, names: t.List[str]) -> bool:
    """By id, by name, or as a version of what is called so."""
    spec = one["Spec"]
    return bool({one["ID"], spec["Name"], (spec.get("Labels") or {}).get(BASE_LABEL)} & set(names))


def secrets(module: AnsibleModule, engine: Engine) -> Result:
    """Secrets as the Engine API shows them: never their data."""
    return _listed(module, engine, "secret")


def configs(module: AnsibleModule, engine: Engine) -> Result:
    """Configs as the Engine API shows them, data included."""
    return _listed(module, engine, "config")


# -- registries


def registry(module: AnsibleModule, engine: Engine) -> Result:
    """Bring the swarm's credentials for a registry to what is declared."""
    params, present = module.params, module.params["state"] == "present"
    name, credentials = params["server"], _credentials(params) if present else {}
    options = said(module, option_names(RegistrySpec)) if present else {}
    if module.check_mode and standing(engine).outside:
        if not present:
            return dict(foreseen("registry", {}, ""), changed=False, actions=[], needs_manager=True)
        shown = dict(encode(merge(RegistrySpec, None, options)), Server=name, Credentials=HIDDEN)
        return dict(foreseen("registry", shown, "store the credentials for registry %s" % name), needs_manager=True)
    context = {"data": _text(json.dumps(credentials, sort_keys=True), False)} if credentials else {}
    return apply(module, engine, "registry", name, options, state=params["state"], context=context).result("registry")


def _credentials(params: Json) -> Json:
    """What a client would send in X-Registry-Auth."""
    if params["identity_token"] is not None:
        return {"identitytoken": params["identity_token"], "serveraddress": params["server"]}
    if params["password"] is None:
        return {}
    return {"username": params["username"], "password": params["password"], "serveraddress": params["server"]}


def registries(module: AnsibleModule, engine: Engine) -> Result:
    """For which registries there are credentials, and whose."""
    if module.check_mode and standing(engine).outside:
        return {"changed": False, "registries": [], "needs_manager": True}
    return {"changed": False, "registries": engine.get("/queenright/v1/registries"), "stale": engine.stale}
