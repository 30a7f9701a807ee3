# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""All that a playbook declares of a swarm, in one call. Nothing of the tables of options is loaded here: the manager
checks what is sent, and names the object and the option where something is wrong.
"""

from __future__ import annotations

import base64
import json
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._forecast import lines
from ansible_collections.queenright.swarm.plugins.module_utils._resource import Result, wait
from ansible_collections.queenright.swarm.plugins.module_utils._standing import standing

SECTIONS = (
    ("registries", "registry", "server"),
    ("networks", "network", "name"),
    ("secrets", "secret", "name"),
    ("configs", "config", "name"),
    ("nodes", "node", "name"),
    ("services", "service", "name"),
    ("stacks", "stack", "name"),
)
"""Options, the kind of their items and what names one; what is used comes before what uses it."""
CONTEXT = {
    "secret": ("roll", "versions_to_keep"),
    "config": ("roll", "versions_to_keep"),
    "node": ("force",),
    "service": ("resolve_image",),
    "stack": ("resolve_image", "note"),
}
"""What is said of an object and is no option of it."""
NOTED = ("user", "playbook", "git_revision")

Json = t.Dict[str, t.Any]


def whole(module: AnsibleModule, engine: Engine) -> Result:
    """Bring all that is declared to what it shall be, in one write."""
    wishes = list(_wishes(module.params))
    if module.check_mode and standing(engine).outside:
        return _foreseen(wishes)
    query = {"dry_run": int(module.check_mode), "forecast": int(module._diff)}
    answer = engine.post("/queenright/v1/apply_all", {"wishes": wishes}, query=query)
    for warning in answer["warnings"]:
        module.warn(warning)
    changed = [one for one in answer["results"] if one["changed"]]
    result = {
        "changed": answer["changed"],
        "actions": answer["actions"],
        "objects": [{key: one[key] for key in ("kind", "name", "id", "actions", "diff")} for one in changed],
        "diff": {side: {_title(one): one[side] for one in changed if one[side]} for side in ("before", "after")},
    }  # type: Result
    if answer["changed"] and answer.get("forecast"):
        result["forecast"] = answer["forecast"]
        result["diff"]["prepared"] = "".join("%s\n" % one for one in answer["actions"]) + lines(answer["forecast"])
    if module.params["wait"] and not module.check_mode:
        _await(engine, changed, module.params["wait_timeout"])
    return result


def _title(one: Json) -> str:
    return ("%s %s" % (one["kind"], one["name"])).strip()


def _foreseen(wishes: t.List[Json]) -> Result:
    """In check mode where no runtime can be asked yet: all of it would be new."""
    actions = ["create %s" % _title(one) for one in wishes if one["state"] == "present" and one["kind"] != "swarm"]
    return {
        "changed": bool(actions),
        "actions": actions,
        "objects": [],
        "diff": {"before": {}, "after": {}},
        "foreseen": True,
        "needs_manager": True,
    }


def _await(engine: Engine, changed: t.List[Json], timeout: float) -> None:
    """Until what changed is as declared; all of it shares the time."""
    end = time.monotonic() + timeout
    for one in changed:
        moved = [("service", row["id"], row["name"]) for row in one.get("services") or []]
        if one["kind"] in ("service", "stack") and one["id"]:
            moved.append((one["kind"], one["id"], one["name"]))
        for kind, key, name in moved:
            wait(engine, kind, key, max(end - time.monotonic(), 1.0), title="%s %s" % (kind, name))


# -- what is asked for


def _wishes(params: Json) -> t.Iterator[Json]:
    """What shall be there in order, then what shall not in the opposite one."""
    if params["swarm"]:
        yield {"kind": "swarm", "name": "", "state": "present", "options": params["swarm"], "context": {}}
    gone = []
    for section, kind, key in SECTIONS:
        for number, item in enumerate(params[section] or []):
            wish = _wish(params, "%s[%d]" % (section, number), kind, key, dict(item))
            if wish["state"] == "present":
                yield wish
            else:
                gone.append(wish)
    yield from reversed(gone)


def _wish(params: Json, path: str, kind: str, key: str, options: Json) -> Json:
    name, state = options.pop(key, None), options.pop("state", "present")
    if not isinstance(name, str) or not name:
        raise EngineError("%s: %s is missing" % (path, key))
    if state not in ("present", "absent"):
        raise EngineError("%s: state %r is neither present nor absent" % (path, state))
    if kind == "service" and "registry" in options:
        raise EngineError("%s: credentials are said once for all services, in registries" % path)
    context = {one: options.pop(one) for one in CONTEXT.get(kind, ()) if one in options}
    data = (params["contents"] or {}).get("%s:%s" % (kind, name))
    if data is not None:
        context["data"] = _credentials(name, options.get("username"), data) if kind == "registry" else data
    if kind == "stack":
        options = _stack_options(params, name, options)
        context.update({one: params[one] for one in NOTED if params[one]})
        if "note" in context:
            context["message"] = context.pop("note")
    return {
        "kind": kind,
        "name": name,
        "state": state,
        "options": options if state == "present" else {},
        "context": context if state == "present" or kind == "node" else {},
    }


def _stack_options(params: Json, name: str, options: Json) -> Json:
    """With the data of its secrets and configs in their places."""
    held = params["contents"] or {}
    for section in ("secrets", "configs"):
        if isinstance(options.get(section), dict):
            rows = {}
            for key, one in options[section].items():
                data = held.get("stack:%s:%s:%s" % (name, section, key))
                rows[key] = one if data is None else dict(one or {}, data=data)
            options[section] = rows
    return options


def _credentials(server: str, username: t.Optional[str], encoded: str) -> str:
    """What a client would send in X-Registry-Auth, in base64; without a name the word is an identity token."""
    word = base64.b64decode(encoded).decode("utf-8")
    document = {"username": username, "password": word} if username else {"identitytoken": word}
    text = json.dumps(dict(document, serveraddress=server), sort_keys=True)
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
