# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One flow for all writing modules: what the user said -> the runtime plans it -> (unless check mode) does it -> wait.

The plan, the diff and the real run are the same call with and without C(dry_run), so they cannot differ.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils import basic
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import (
    DEFAULT_SOCKET,
    Engine,
    EngineError,
    segment,
)

WAIT_SLICE = 30.0  # seconds of one long poll, so that a stopped daemon is noticed

COMMON_ARGUMENTS = {"socket": {"type": "path", "default": DEFAULT_SOCKET}}
WAIT_ARGUMENTS = {"wait": {"type": "bool", "default": True}, "wait_timeout": {"type": "int", "default": 300}}


def said(module: AnsibleModule, names: t.Iterable[str]) -> t.Dict[str, t.Any]:
    """The options among ``names`` that the task mentions, nulls included: what is not mentioned is left as it is.

    ``module.params`` cannot tell null from absent, so the raw arguments say what was mentioned; values are the
    converted ones.
    """
    raw = raw_arguments(module)
    return {name: _pruned(module.params[name], raw.get(name)) for name in names if name in raw}


def raw_arguments(module: AnsibleModule) -> t.Dict[str, t.Any]:
    """The arguments as the task gave them, before defaults and conversion."""
    loaded = basic._load_params()
    if isinstance(loaded, tuple):
        loaded = loaded[0]
    return t.cast("t.Dict[str, t.Any]", loaded)


def _pruned(value: t.Any, raw: t.Any) -> t.Any:
    """The converted value without the nulls that conversion added for suboptions nobody mentioned."""
    if isinstance(value, dict) and isinstance(raw, dict):
        return {key: _pruned(item, raw.get(key)) for key, item in value.items() if key in raw}
    if isinstance(value, list) and isinstance(raw, list) and len(value) == len(raw):
        return [_pruned(item, given) for item, given in zip(value, raw)]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


class Plan:
    """What the runtime would do, or did."""

    def __init__(self, answer: t.Dict[str, t.Any]) -> None:
        self.changed = bool(answer.get("changed"))
        self.before = answer.get("before")
        self.after = answer.get("after")
        self.actions = answer.get("actions") or []
        self.warnings = answer.get("warnings") or []
        self.id = answer.get("id") or ""
        self.version = answer.get("version")

    def result(self, name: str) -> t.Dict[str, t.Any]:
        """Keys that every writing module returns; ``name`` is the key of the object's own spec."""
        return {
            "changed": self.changed,
            "actions": self.actions,
            "diff": {"before": self.before or {}, "after": self.after or {}},
            name: self.after or {},
            "id": self.id,
        }


def apply(
    module: AnsibleModule,
    engine: Engine,
    kind: str,
    name: str,
    state: str,
    options: t.Dict[str, t.Any],
    context: t.Optional[t.Dict[str, t.Any]] = None,
) -> Plan:
    """Plan in check mode, do otherwise; warnings are passed on."""
    body = {"kind": kind, "name": name, "state": state, "options": options}  # type: t.Dict[str, t.Any]
    if context:
        body["context"] = context
    plan = Plan(engine.post("/queenright/v1/apply", body, query={"dry_run": int(module.check_mode)}))
    for warning in plan.warnings:
        module.warn(warning)
    return plan


class WaitFailed(Exception):
    """It did not get there. ``last`` is what was known last, ``reasons`` why, most important first."""

    def __init__(self, message: str, last: t.Dict[str, t.Any]) -> None:
        super().__init__(message)
        self.last = last
        self.reasons = last.get("reasons") or []


def wait(
    engine: Engine, kind: str, name: str, timeout: float, extra: t.Optional[t.Dict[str, t.Any]] = None
) -> t.Dict[str, t.Any]:
    """Wait until the object is as declared. The runtime answers by event; nothing is polled.

    Raises WaitFailed when the time is over, and at once for an update that paused or was rolled back.
    """
    left = float(timeout)
    while True:
        part = min(left, WAIT_SLICE)
        query = {"kind": kind, "id": name, "timeout": "%g" % part}
        query.update(extra or {})
        last = engine.get("/queenright/v1/wait", query, timeout=part + 15)
        if last.get("converged"):
            return t.cast("t.Dict[str, t.Any]", last)
        state = last.get("state")
        left -= part
        if state in ("paused", "rolled_back"):
            raise WaitFailed("%s %s: the update %s" % (kind, name, _words(state, last)), last)
        if left <= 0:
            raise WaitFailed("%s %s was not there after %d s%s" % (kind, name, timeout, _reasons(last)), last)


def _words(state: str, last: t.Dict[str, t.Any]) -> str:
    update = last.get("update") or {}
    words = "was rolled back" if state == "rolled_back" else "is paused"
    return words + (": %s" % update["message"] if update.get("message") else "") + _reasons(last)


def _reasons(last: t.Dict[str, t.Any]) -> str:
    reasons = last.get("reasons") or []
    shown = "; ".join(str(reason) for reason in reasons[:5])
    more = " (and %d more)" % (len(reasons) - 5) if len(reasons) > 5 else ""
    running = (
        " (%s of %s running)" % (last["running"], last["desired"]) if "running" in last and "desired" in last else ""
    )
    return running + (": " + shown + more if shown else "")


def run(module: AnsibleModule, flow: t.Callable[[AnsibleModule, Engine], t.Dict[str, t.Any]]) -> None:
    """The frame of every module's main(): errors become fail_json, results exit_json."""
    engine = Engine(module.params.get("socket") or DEFAULT_SOCKET)
    try:
        result = flow(module, engine)
    except WaitFailed as failure:
        module.fail_json(msg=str(failure), reasons=failure.reasons, last=failure.last)
    except EngineError as error:
        module.fail_json(msg=str(error), status=error.status)
    else:
        module.exit_json(**result)


__all__ = [
    "COMMON_ARGUMENTS",
    "WAIT_ARGUMENTS",
    "EngineError",
    "Plan",
    "WaitFailed",
    "apply",
    "run",
    "said",
    "segment",
    "wait",
]
