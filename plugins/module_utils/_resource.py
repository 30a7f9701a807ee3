# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One flow for all writing modules: what the user said -> the runtime plans it -> (unless check mode) does it -> wait.

The plan, the diff and the real run are the same call with and without C(dry_run), so they cannot differ.
"""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils import basic
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import DEFAULT_SOCKET, Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._forecast import lines
from ansible_collections.queenright.swarm.plugins.module_utils._spec.errors import SpecError

WAIT_SLICE = 30.0  # seconds of one long poll, so that a stopped daemon is noticed
PATIENCE = 30.0  # seconds for a manager that has just been started
UPDATE_TRIES = 5
ELECTION = 15.0  # seconds for the managers to agree on a leader; it takes them two or three
PAUSE = 0.5
SHOWN_REASONS = 5

SOCKET_ARGUMENTS = {
    "socket": {"type": "path", "default": DEFAULT_SOCKET, "fallback": (basic.env_fallback, ["QUEENRIGHT_SOCKET"])}
}
WAIT_ARGUMENTS = {"wait": {"type": "bool", "default": True}, "wait_timeout": {"type": "int", "default": 300}}
MANAGERS_ARGUMENTS = {"managers_group": {"type": "str", "default": "swarm_managers"}}
STATE_ARGUMENTS = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}

Result = t.Dict[str, t.Any]


# -- what the task says


def said(module: AnsibleModule, names: t.Iterable[str]) -> t.Dict[str, t.Any]:
    """The options among ``names`` that the task mentions, nulls included: what is not mentioned is left as it is.

    ``module.params`` cannot tell null from absent, so the raw arguments say what was mentioned; values are the
    converted ones.
    """
    raw = basic._load_params()
    return {name: _pruned(module.params[name], raw[name]) for name in names if name in raw}


def _pruned(value: t.Any, raw: t.Any) -> t.Any:
    """The converted value without the nulls that conversion added for suboptions nobody mentioned."""
    if isinstance(value, dict) and isinstance(raw, dict):
        return {key: _pruned(item, raw[key]) for key, item in value.items() if key in raw}
    if isinstance(value, list) and isinstance(raw, list) and len(value) == len(raw):
        return [_pruned(item, given) for item, given in zip(value, raw)]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


# -- plan and do


class Plan:
    """What the runtime would do, or did."""

    def __init__(self, answer: t.Dict[str, t.Any], in_words: bool = False) -> None:
        """``in_words``: the diff says what becomes of tasks."""
        self.in_words = in_words
        self.changed = bool(answer.get("changed"))
        self.before = answer.get("before")
        self.after = answer.get("after")
        self.changes = answer.get("diff") or {}
        self.actions = answer.get("actions") or []
        self.warnings = answer.get("warnings") or []
        self.id = answer.get("id") or ""
        self.services = answer.get("services") or []  # that a changed secret or config moves
        self.forecast = (answer.get("forecast") or {}) if self.changed else {}
        self.more = {key: answer[key] for key in ("revision", "plan") if key in answer}  # of stacks

    def result(self, key: str) -> Result:
        """What every writing module returns; ``key`` holds the object's own spec as it stands afterwards.

        In check mode there is also what would become of tasks; in diff mode the diff says it in words.
        """
        result = {
            "changed": self.changed,
            "actions": self.actions,
            "changes": self.changes,
            "diff": {"before": self.before or {}, "after": self.after or {}},
            "id": self.id,
            key: self.after or {},
        }
        words = lines(self.forecast)
        if words:
            result["forecast"] = self.forecast
            if self.in_words:
                result["diff"]["prepared"] = words
        return result


def apply(
    module: AnsibleModule,
    engine: Engine,
    kind: str,
    name: str,
    options: t.Dict[str, t.Any],
    state: str = "present",
    context: t.Optional[t.Dict[str, t.Any]] = None,
) -> Plan:
    """Plan in check mode, do otherwise; warnings are passed on."""
    body = {"kind": kind, "name": name, "state": state, "options": options}  # type: t.Dict[str, t.Any]
    if context:
        body["context"] = context
    query = {"dry_run": int(module.check_mode), "forecast": int(module._diff)}
    plan = Plan(engine.post("/queenright/v1/apply", body, query=query), in_words=module._diff)
    for warning in plan.warnings:
        module.warn(warning)
    return plan


def foreseen(key: str, options: t.Dict[str, t.Any], action: str) -> Result:
    """The result in check mode where no runtime can be asked yet: all of it would be new."""
    return {
        "changed": True,
        "actions": [action],
        "changes": {},
        "diff": {"before": {}, "after": options},
        "id": "",
        key: options,
        "foreseen": True,
    }


# -- wait


class WaitError(Exception):
    """It did not get there. ``last`` is what was known last, ``reasons`` why, most important first."""

    def __init__(self, message: str, last: t.Dict[str, t.Any]) -> None:
        super().__init__(message)
        self.last = last
        self.reasons = last.get("reasons") or []


def wait(
    engine: Engine, kind: str, name: str, timeout: float, extra: t.Optional[t.Dict[str, t.Any]] = None, title: str = ""
) -> t.Dict[str, t.Any]:
    """Wait until the object is as declared. The runtime answers by event; nothing is polled.

    Raises WaitError when the time is over, and at once for an update that paused or was rolled back and for a job that
    failed.
    """
    title = title or "%s %s" % (kind, name)
    left = float(timeout)
    while True:
        part = min(left, WAIT_SLICE)
        query = {"kind": kind, "id": name, "timeout": "%g" % part}
        query.update(extra or {})
        last = _look(engine, query, part + 15)
        state = last.get("state")
        if last.get("converged") or state == "absent":
            return last
        left -= part
        if state in ("paused", "rolled_back"):
            raise WaitError("%s: the update %s" % (title, _words(state, last)), last)
        if state == "failed":
            raise WaitError("%s: the job will not complete%s" % (title, _reasons(last, "completed")), last)
        if left <= 0:
            raise WaitError("%s: not there after %d s%s" % (title, timeout, _reasons(last)), last)


def _look(engine: Engine, query: t.Dict[str, t.Any], timeout: float) -> t.Dict[str, t.Any]:
    """One long poll. Another leader may be elected meanwhile."""
    return t.cast("t.Dict[str, t.Any]", persistently(lambda: engine.get("/queenright/v1/wait", query, timeout=timeout)))


def wait_for_service(module: AnsibleModule, engine: Engine, plan: Plan) -> t.Dict[str, t.Any]:
    """Wait for a service; one that was rolled back before and is declared as it now runs is as declared."""
    title = "service %s" % module.params["name"]
    try:
        return wait(engine, "service", plan.id, module.params["wait_timeout"], title=title)
    except WaitError as failure:
        last = failure.last
        settled = last.get("state") == "rolled_back" and last.get("running") == last.get("desired")
        if plan.changed or not settled:
            raise
        return last


def _words(state: str, last: t.Dict[str, t.Any]) -> str:
    update = last.get("update") or {}
    words = "was rolled back" if state == "rolled_back" else "is paused"
    return words + (": %s" % update["message"] if update.get("message") else "") + _reasons(last)


def _reasons(last: t.Dict[str, t.Any], done: str = "running") -> str:
    reasons = last.get("reasons") or []
    shown = "; ".join(str(reason) for reason in reasons[:SHOWN_REASONS])
    more = " (and %d more)" % (len(reasons) - SHOWN_REASONS) if len(reasons) > SHOWN_REASONS else ""
    running = " (%s of %s %s)" % (last["running"], last["desired"], done) if last.get("desired") is not None else ""
    return running + (": " + shown + more if shown else "")


# -- the frame


def update_swarm(engine: Engine, query: t.Dict[str, str]) -> None:
    """Have secrets of the swarm made anew, as the query says; somebody else's write in between is no reason to fail."""
    for attempt in range(1, UPDATE_TRIES + 1):
        document = engine.get("/swarm")
        try:
            engine.post("/swarm/update", document["Spec"], dict(query, version=document["Version"]["Index"]))
            return
        except EngineError as error:
            if "out of sequence" not in str(error) or attempt == UPDATE_TRIES:
                raise


def run(module: AnsibleModule, flow: t.Callable[[AnsibleModule, Engine], Result]) -> None:
    """The frame of every module's main(): errors become fail_json, results exit_json."""
    try:
        result = _patiently(module, flow)
    except WaitError as failure:
        module.fail_json(msg=str(failure), reasons=failure.reasons, last=failure.last)
    except EngineError as error:
        module.fail_json(**failure_of(error))
    except SpecError as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)


def _patiently(module: AnsibleModule, flow: t.Callable[[AnsibleModule, Engine], Result]) -> Result:
    """The flow's result; one that met a manager in its start, or no leader, is begun anew: nothing was written yet."""
    return persistently(lambda: flow(module, Engine(module.params["socket"])))


def persistently(call: t.Callable[[], t.Any]) -> t.Any:
    """The call's result; it is made again while the manager is in its start or the managers elect a leader."""
    begun = time.monotonic()
    while True:
        try:
            return call()
        except EngineError as error:
            patience = PATIENCE if error.passing else ELECTION if error.leaderless else 0.0
            if time.monotonic() - begun >= patience:
                raise
        time.sleep(PAUSE)


def failure_of(error: EngineError) -> Result:
    """What a module says of an error; ``needs_manager`` lets the action plugin try the managers of the group."""
    message = str(error)
    if error.not_a_manager and not error.missing:
        message += (
            " Run this task on a manager, or name the group of the managers in the option managers_group: "
            "its hosts are tried in turn."
        )
    return dict(error.more, msg=message, status=error.status, needs_manager=error.elsewhere)
