# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of the swarm's CA: options, tokens, another root, authorities outside, revocation."""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    Result,
    WaitError,
    apply,
    said,
    update_swarm,
)
from ansible_collections.queenright.swarm.plugins.module_utils._standing import standing

OPTIONS = ("node_cert_expiry", "ca_key_algorithm", "ca_rotation_grace", "ca_expired_grace")
ROOT = ("ca_cert", "ca_key", "external_cas")
EXTERNAL_CAS_ARGUMENTS = {
    "external_cas": {
        "type": "list",
        "elements": "dict",
        "options": {
            "url": {"type": "str", "required": True},
            "protocol": {"type": "str", "choices": ["cfssl"]},
            "ca_cert": {"type": "str"},
        },
    }
}
LOOK_EVERY = 1.0  # seconds between two looks at a rotation

Json = t.Dict[str, t.Any]


def authority(module: AnsibleModule, engine: Engine) -> Result:
    """Show the swarm's CA; change what is asked for."""
    params = module.params
    if module.check_mode and standing(engine).outside:
        return _foreseen(module)
    result = {"changed": False, "actions": [], "changes": {}, "diff": {"before": {}, "after": {}}}  # type: Result
    options = said(module, OPTIONS)
    if options:
        result = apply(module, engine, "swarm", "", options).result("swarm")
        del result["id"], result["swarm"]
    if params["revoke"]:
        add(result, _revoke(module, engine))
    if params["rotate"] or said(module, ROOT):
        add(result, _declare(module, engine))
    tokens = _rotations(params)
    if tokens:
        add(result, {"changed": True, "actions": tokens})
        if not module.check_mode:
            update_swarm(
                engine,
                {
                    "rotateWorkerToken": str(params["rotate_worker_token"]).lower(),
                    "rotateManagerToken": str(params["rotate_manager_token"]).lower(),
                },
            )
    if params["wait"] and not module.check_mode:
        _wait(engine, params["wait_timeout"])
    result.update(_shown(engine.get("/queenright/v1/ca")))
    if params["return_join_tokens"]:
        tokens = engine.get("/swarm")["JoinTokens"]
        result["join_tokens"] = {"worker": tokens["Worker"], "manager": tokens["Manager"]}
    return result


def external_cas(module: AnsibleModule, engine: Engine) -> Json:
    """Have these external CAs sign, if the task names them; a second time nothing changes."""
    named = said(module, ("external_cas",))
    if not named:
        return {"changed": False, "actions": []}
    body = {"external_cas": named["external_cas"] or []}
    return engine.post("/queenright/v1/ca", body, {"dry_run": "1"} if module.check_mode else None)


def add(result: Result, more: Json) -> None:
    """What another step has changed."""
    result["changed"] = result["changed"] or more["changed"]
    result["actions"] = result["actions"] + more["actions"]
    changes = more.get("diff") or {}
    result["changes"] = dict(result["changes"], **{"CAConfig.%s" % path: change for path, change in changes.items()})
    if changes:
        before, after = result["diff"]["before"], result["diff"]["after"]
        result["diff"] = {"before": dict(before, CAConfig=more["before"]), "after": dict(after, CAConfig=more["after"])}


def _foreseen(module: AnsibleModule) -> Result:
    params = module.params
    actions = _rotations(params)
    if params["rotate"] or said(module, ROOT):
        actions = ["rotate the root certificate", *actions]
    shown = {
        "root_certificate": "",
        "root_digest": "",
        "issuer_subject": "",
        "issuer_public_key": "",
        "certificates": [],
        "left_behind": [],
        "rotation": {},
    }
    changed = bool(actions or said(module, OPTIONS))
    return dict(shown, changed=changed, actions=actions, changes={}, diff={}, cluster_id="", needs_manager=True)


# -- the root


def _declare(module: AnsibleModule, engine: Engine) -> Json:
    """Ask for another root, or for other authorities; a second time it is what is so."""
    body = {"rotate": True} if module.params["rotate"] else {}  # type: Json
    body.update(said(module, ROOT))
    if "external_cas" in body:
        body["external_cas"] = body["external_cas"] or []
    return engine.post("/queenright/v1/ca", body, {"dry_run": "1"} if module.check_mode else None)


def _wait(engine: Engine, timeout: float) -> None:
    """Until no rotation is under way. Raises WaitError naming those that have yet to turn."""
    end = time.monotonic() + timeout
    while True:
        rotation = engine.get("/queenright/v1/ca")["rotation"]
        if rotation is None:
            return
        left = end - time.monotonic()
        if left <= 0:
            waiting = [(one["hostname"] or one["id"], one["state"]) for one in rotation["waiting"]]
            reasons = ["node %s (%s) has yet to turn" % one for one in waiting]
            raise WaitError(
                "the root certificate is not replaced after %d s: %d of %d nodes have turned"
                % (timeout, rotation["turned"], rotation["total"]),
                {"reasons": reasons, "rotation": rotation},
            )
        time.sleep(min(LOOK_EVERY, left))


# -- certificates and tokens


def _revoke(module: AnsibleModule, engine: Engine) -> Json:
    serial = module.params["revoke"]
    query = {"dry_run": "1"} if module.check_mode else None
    answer = engine.post("/queenright/v1/ca/revoke", {"serial": serial}, query)
    if answer["shut_out"] and answer["changed"]:
        module.warn(
            "certificate %s is the one that node %s uses: the node is shut out until it joins again"
            % (serial, answer["node_id"])
        )
    actions = ["revoke certificate %s of node %s" % (serial, answer["node_id"])] if answer["changed"] else []
    return {"changed": answer["changed"], "actions": actions}


def _rotations(params: Json) -> t.List[str]:
    return ["rotate the join token of %ss" % role for role in ("worker", "manager") if params["rotate_%s_token" % role]]


def _shown(document: Json) -> Json:
    """What is told of the CA: no key and no token is in it."""
    names = (
        "cluster_id",
        "root_certificate",
        "root_digest",
        "issuer_subject",
        "issuer_public_key",
        "certificates",
        "left_behind",
    )
    return dict({name: document[name] for name in names}, rotation=document["rotation"] or {})
