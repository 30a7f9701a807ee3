# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A host joins: it makes its key, a manager gives a ticket bound to that key, the host joins with the ticket.

The ticket goes from the manager's answer into the joiner's arguments, where it is hidden, and nowhere else.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import SwarmAction, failure
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result, why
from ansible_collections.queenright.swarm.plugins.plugin_utils._succession import Succession

Arguments = t.Dict[str, t.Any]
SPOKEN_FOR_BY_TICKET = ("availability", "labels")
TIMEOUT = 300.0  # seconds, the default of wait_timeout
PAUSE = 0.5
VERBS = {"manager": "promote", "worker": "demote"}


def join(action: SwarmAction, arguments: Arguments, managers: t.List[str]) -> Result:
    """Bring the action's host into the swarm of ``managers``, which are asked in turn. ``arguments``: of swarm_join."""
    result = _joined(action, arguments, managers)
    result.pop("other_role", None)
    if result.get("failed") or result.get("foreseen") or not result.get("node_id"):
        return result
    joined = any(str(what).startswith("join") for what in result.get("actions") or [])
    return Succession(action, result, managers).settle(joined)


def _joined(action: SwarmAction, arguments: Arguments, managers: t.List[str]) -> Result:
    first = action.local("swarm_join", arguments)
    if first.get("other_role") and action.flag("change_role", False):
        return _turn(action, arguments, first, managers)
    if first.get("failed") or first.get("foreseen") or arguments.get("join_token"):
        return first
    if not first.get("key_digest"):
        return _same_swarm(action, first, managers)
    if not managers:
        return failure(_nobody(action))
    ticket, manager, refusal = _ticket(action, arguments, first["key_digest"], managers)
    if ticket is None:
        return refusal
    arguments = {key: value for key, value in arguments.items() if key not in ("labels", "manager")}
    arguments.update(join_token=ticket["ticket"], remote_addrs=ticket["managers"])
    result = action.local("swarm_join", arguments)
    if not result.get("failed"):
        result["manager"] = manager
    return result


def _ticket(
    action: SwarmAction, arguments: Arguments, key_digest: str, managers: t.List[str]
) -> t.Tuple[t.Optional[Result], str, Result]:
    """(ticket, the manager that gave it, -), or (None, -, why there is none)."""
    wish = dict(action.socket(), key_digest=key_digest, role=arguments.get("role", "worker"))
    wish.update({name: arguments[name] for name in SPOKEN_FOR_BY_TICKET if arguments.get(name) is not None})
    reasons = []
    for host in managers:
        answer = action.remote(host, "swarm_ticket", wish, secret=True)
        if not answer.get("failed") and not answer.get("unreachable"):
            return answer, host, {}
        reasons.append("%s: %s" % (host, why(answer)))
        if not answer.get("unreachable") and not answer.get("needs_manager"):
            break  # a manager that says no: the others would say the same
    return None, "", failure("no manager gave a ticket to join with. %s" % " | ".join(reasons))


def _turn(action: SwarmAction, arguments: Arguments, member: Result, managers: t.List[str]) -> Result:
    """Promote or demote a host that is in the swarm already."""
    member = {key: value for key, value in member.items() if key not in ("failed", "msg", "status")}
    checked = _same_swarm(action, member, managers)
    if checked.get("failed"):
        return checked
    role = str(arguments.get("role", "worker"))
    wish = dict(action.socket(), name=member["node_id"], role=role)
    wish.update({name: arguments[name] for name in ("wait", "wait_timeout") if name in arguments})
    answer = action.ask_manager("swarm_node", wish, member["role"] == "manager", managers)
    if answer.get("failed"):
        return failure("this host could not be made a %s: %s" % (role, why(answer)))
    foreseen = bool(action._task.check_mode)
    if not foreseen and action.flag("wait", True):
        member = _as(action, arguments)
    return dict(member, changed=True, foreseen=foreseen, actions=["%s this host" % VERBS[role]])


def _as(action: SwarmAction, arguments: Arguments) -> Result:
    """The member in its new role, once its own runtime says so too."""
    deadline = time.monotonic() + float(action.option("wait_timeout", TIMEOUT))
    while True:
        member = action.local("swarm_join", arguments)
        if not member.get("other_role") or time.monotonic() >= deadline:
            return member
        time.sleep(PAUSE)


def _same_swarm(action: SwarmAction, member: Result, managers: t.List[str]) -> Result:
    """A host that is a member already is as declared, if it is in the swarm of the managers."""
    for host in managers:
        answer = action.remote(host, "swarm_info", action.socket())
        other = answer.get("cluster_id")
        if other and other != member["cluster_id"]:
            return failure(
                "this host is in swarm %s, and manager %s is in swarm %s: let the host leave its swarm with "
                "queenright.swarm.swarm_leave first, or name other managers" % (member["cluster_id"], host, other)
            )
        if other:
            return member
    if managers:
        text = "no manager answered, so it was not checked that this host is in their swarm"
        member["warnings"] = [*(member.get("warnings") or []), text]
    return member


def _nobody(action: SwarmAction) -> str:
    group = action.option("managers_group", "swarm_managers")
    return (
        "there is no manager to ask for a ticket: the inventory group %s has no other host. Put the managers into that "
        "group, or name them with managers_group or manager, or give join_token and remote_addrs" % group
    )
