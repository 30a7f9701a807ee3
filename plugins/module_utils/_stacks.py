# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of stacks: to make one as it is declared, to put a former revision back, to show them."""

from __future__ import annotations

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    WAIT_ARGUMENTS,
    Plan,
    Result,
    WaitError,
    apply,
    foreseen,
    wait,
)
from ansible_collections.queenright.swarm.plugins.module_utils._standing import standing

NATIVE = ("services", "networks", "secrets", "configs")
SETTINGS = ("labels", "keep", "on_failure", "timeout", "prune")
NOTED = {"user": "user", "playbook": "playbook", "git_revision": "git_revision", "note": "message"}
"""Options that are kept with a revision, and what the manager calls them."""
ROLLED_BACK = "rolled_back"
SHOWN_FIELDS = 20

Json = t.Dict[str, t.Any]

ARGUMENTS = dict(
    name={"type": "str", "required": True},
    state={"type": "str", "choices": ["present", "absent", ROLLED_BACK], "default": "present"},
    revision={"type": "int"},
    labels={"type": "dict"},
    prune={"type": "bool"},
    keep={"type": "int"},
    on_failure={"type": "str", "choices": ["rollback", "pause"]},
    timeout={"type": "str"},
    resolve_image={"type": "str", "choices": ["changed", "always", "never"], "default": "changed"},
    registries={
        "type": "list",
        "elements": "dict",
        "options": {
            "server": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
    note={"type": "str"},
    git_revision={"type": "str"},
    user={"type": "str"},
    playbook={"type": "str"},
    contents={"type": "dict", "no_log": True},
    **WAIT_ARGUMENTS,
    **MANAGERS_ARGUMENTS,
    **SOCKET_ARGUMENTS,
)  # type: Json
"""Options of all modules that declare a stack."""


def stack(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a stack to what a Compose file, or the task itself, declares."""
    params = module.params
    options, context = {}, {}  # type: Json, Json
    if params["compose"] is not None:
        options["compose"] = params["compose"]
        context["files"] = _below(params, "file:")
        context["variables"] = {str(key): _text(value) for key, value in (params["variables"] or {}).items()}
    for section in NATIVE:
        if params[section] is not None:
            options[section] = _with_data(params, section) if section in ("secrets", "configs") else params[section]
    return _declared(module, engine, options, context)


def bundle(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a stack to what a bundle declares."""
    content = module.params["content"]
    text = content if content is None or isinstance(content, str) else json.dumps(content)
    options = {} if text is None else {"bundle": text}
    return _declared(module, engine, options, {"tags": module.params["tags"]})


def _declared(module: AnsibleModule, engine: Engine, options: Json, context: Json) -> Result:
    params = module.params
    name, state = params["name"], params["state"]
    _refuse_contradictions(params, bool(options))
    if module.check_mode and standing(engine).outside:
        if state == "present":
            return dict(foreseen("stack", {"Name": name}, "create stack %s" % name), needs_manager=True)
        return dict(foreseen("stack", {}, ""), changed=False, actions=[], needs_manager=True)
    if state == "present":
        options.update({key: params[key] for key in SETTINGS if params[key] is not None})
        context["resolve_image"] = params["resolve_image"]
        context["registry_auth"] = {one["server"]: _auth(one) for one in params["registries"] or []}
    elif state == ROLLED_BACK:
        options = {"rollback": True} if params["revision"] is None else {"rollback_to": params["revision"]}
    context.update({name: params[key] for key, name in NOTED.items() if params[key] is not None})
    wanted = "absent" if state == "absent" else "present"
    plan = apply(module, engine, "stack", name, options, state=wanted, context=context)
    result = _shown(plan)
    if params["wait"] and not module.check_mode and plan.id:
        result["progress"] = _await(engine, plan, name, params["wait_timeout"])
    return result


def _await(engine: Engine, plan: Plan, name: str, timeout: float) -> Json:
    """Until the stack is as declared, or gone; one that was rolled back before and is declared as it now runs is that.

    Raises WaitError at once where it was taken back or halted, and says why.
    """
    try:
        return wait(engine, "stack", plan.id, timeout, title="stack %s" % name)
    except WaitError as error:
        last = error.last
        settled = last.get("state") == ROLLED_BACK and last.get("running") == last.get("desired")
        if plan.changed or not settled:
            raise
        return last


def _refuse_contradictions(params: Json, has_source: bool) -> None:
    state = params["state"]
    if state == "present" and not has_source:
        raise EngineError("a stack that is to be present needs a source: say what it consists of")
    if state != "present" and has_source:
        raise EngineError("state %s: what a stack consists of is said with state present only" % state)
    if params["revision"] is not None and state != ROLLED_BACK:
        raise EngineError("revision: it is for state %s" % ROLLED_BACK)


def _shown(plan: Plan) -> Result:
    """What the modules return: as of any object, with revision and plan. The diff says the plan in words."""
    found = plan.result("stack")
    found["revision"] = plan.more.get("revision") or 0
    found["plan"] = plan.more.get("plan") or {}
    if plan.changed:
        words = plan_lines(found["plan"])
        found["diff"]["prepared"] = words + (found["diff"].get("prepared") or "")
    return found


def plan_lines(plan: Json) -> str:
    """The plan, a line for each object, and in which order services begin."""
    lines = []
    for verb in ("create", "update", "remove"):
        for one in plan.get(verb) or []:
            fields = sorted(one.get("diff") or {})
            more = ": %s" % ", ".join(fields[:SHOWN_FIELDS]) if verb == "update" and fields else ""
            lines.append("%s %s %s%s" % (verb, one["kind"], one["name"], more))
    for one in plan.get("restarts") or []:
        lines.append("service %(service)s: %(tasks)d tasks in %(batches)d batches" % one)
    order = [wave for wave in plan.get("order") or [] if wave]
    if len(order) > 1:
        lines.append("order: %s" % " -> ".join(", ".join(wave) for wave in order))
    return "".join(line + "\n" for line in lines)


def stacks(module: AnsibleModule, engine: Engine) -> Result:
    """The stacks of the swarm, those that clients made included; with a name, all of one."""
    name, number = module.params["name"], module.params["revision"]
    if number is not None and name is None:
        raise EngineError("revision: it is that of one stack, which the option name names")
    if module.check_mode and standing(engine).outside:
        return {"changed": False, "stacks": [], "needs_manager": True}
    if name is None:
        return {"changed": False, "stacks": engine.get("/queenright/v1/stacks"), "stale": engine.stale}
    try:
        query = {} if number is None else {"revision": number}  # type: Json
        found = [engine.get("/queenright/v1/stacks/%s" % name, query)]
    except EngineError as error:
        if error.status != 404 or number is not None:
            raise
        found = []
    return {"changed": False, "stacks": found, "stale": engine.stale}


# -- data stands beside what may be shown


def _below(params: Json, prefix: str) -> Json:
    """Contents whose name begins so, without that."""
    held = params["contents"] or {}
    return {name[len(prefix) :]: text for name, text in held.items() if name.startswith(prefix)}


def _with_data(params: Json, section: str) -> Json:
    data = _below(params, section + ":")
    return {key: dict(one or {}, data=data[key]) if key in data else one for key, one in params[section].items()}


def _text(value: t.Any) -> str:
    """A variable as the environment would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _auth(registry: Json) -> str:
    document = {
        "username": registry["username"],
        "password": registry["password"],
        "serveraddress": registry["server"],
    }
    return json.dumps(document, sort_keys=True)
