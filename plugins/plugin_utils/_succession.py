# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A host that joins anew after its state was lost is another node: what it was stays in the list, down for ever.

A manager that was lost so still counts for the majority. The new node takes its place: labels and availability go
over, then the old entry is demoted and removed.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import SwarmAction
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result, why

PATIENCE = 60.0  # seconds until a node that does not answer is down: three heartbeats, and a grace after an election
FIRST_WORD = 15.0  # seconds until a new node has told its name
PAUSE = 1.0

Node = t.Dict[str, t.Any]


class Succession:
    """What a member of the swarm was before, and that it takes its place."""

    def __init__(self, action: SwarmAction, member: Result, managers: t.List[str]) -> None:
        self._action = action
        self._member = member
        self._managers = managers

    def settle(self, joined: bool) -> Result:
        """The member's result, with what was done or is to be done. ``joined``: in this very task."""
        wanted = self._action.flag("replace", False)
        if not wanted and not joined:
            return self._member
        listed = self._nodes()
        deadline = time.monotonic() + (PATIENCE if wanted else FIRST_WORD)
        while joined and self._waits(listed, wanted) and time.monotonic() < deadline:
            time.sleep(PAUSE)
            listed = self._nodes()
        if listed.get("failed"):
            return self._failed("the nodes could not be listed", listed) if wanted else self._member
        former = self._twins(listed, down=True)
        if former and not wanted:
            self._warn(_left_behind(former))
            return self._member
        if wanted and self._twins(listed, down=False):
            self._warn("another node has the name of this host and is not down; it was left as it is")
        for entry in former:
            failed = self._replace(entry, listed["nodes"], joined)
            if failed is not None:
                return failed
        return self._member

    def _waits(self, listed: Result, wanted: bool) -> bool:
        """Whether the new node has not told its name yet, or an old one is not known to be down yet."""
        if listed.get("failed"):
            return False
        own = self._own(listed)
        nameless = own is None or not (own.get("Description") or {}).get("Hostname")
        return nameless or (wanted and bool(self._twins(listed, down=False)))

    def _own(self, listed: Result) -> t.Optional[Node]:
        nodes = listed.get("nodes") or []
        return next((node for node in nodes if node["ID"] == self._member["node_id"]), None)

    def _twins(self, listed: Result, down: bool) -> t.List[Node]:
        """The other nodes of this host's name, the one that changed last first."""
        own = self._own(listed)
        if own is None:
            return []
        twins = [node for node in listed["nodes"] if node is not own and _name(node) == _name(own)]
        found = [node for node in twins if (node["Status"]["State"] == "down") == down]
        return sorted(found, key=lambda node: str(node.get("UpdatedAt") or ""), reverse=True)

    def _replace(self, entry: Node, nodes: t.List[Node], joined: bool) -> t.Optional[Result]:
        """Take the place of one entry. None, or the result that fails the task."""
        own = next(node for node in nodes if node["ID"] == self._member["node_id"])
        bequest = self._bequest(entry, own, joined)
        if bequest:
            answer = self._ask("swarm_node", dict(bequest, name=own["ID"], wait=False))
            if answer.get("failed"):
                return self._failed("node %s did not get what %s had" % (own["ID"], entry["ID"]), answer)
            own["Spec"].setdefault("Labels", {}).update(bequest.get("labels") or {})
        answer = self._ask("swarm_node", {"name": entry["ID"], "state": "absent", "demote": True})
        if answer.get("failed"):
            return self._failed("node %s, which this host was, could not be removed" % entry["ID"], answer)
        self._member["changed"] = True
        self._member["actions"] = [*(self._member.get("actions") or []), "replace node %s" % entry["ID"]]
        return None

    def _bequest(self, entry: Node, own: Node, joined: bool) -> t.Dict[str, t.Any]:
        labels = own["Spec"].get("Labels") or {}
        declared = self._action.option("labels", {}) if self._action.speaks_of_nodes else {}
        missing = {
            key: value
            for key, value in (entry["Spec"].get("Labels") or {}).items()
            if key not in labels and key not in declared
        }
        bequest = {"labels": missing} if missing else {}  # type: t.Dict[str, t.Any]
        availability = entry["Spec"].get("Availability")
        if joined and self._action.option("availability") is None and availability != own["Spec"].get("Availability"):
            bequest["availability"] = availability
        return bequest

    def _nodes(self) -> Result:
        return self._ask("swarm_node_info", {})

    def _ask(self, module: str, arguments: t.Dict[str, t.Any]) -> Result:
        arguments = dict(self._action.socket(), **arguments)
        return self._action.ask_manager(module, arguments, self._member.get("role") == "manager", self._managers)

    def _failed(self, words: str, answer: Result) -> Result:
        return dict(self._member, failed=True, msg="%s: %s" % (words, why(answer)))

    def _warn(self, text: str) -> None:
        self._member["warnings"] = [*(self._member.get("warnings") or []), text]


def _name(node: Node) -> str:
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])


def _left_behind(former: t.List[Node]) -> str:
    counted = " and still counts as a manager" if any(node.get("ManagerStatus") for node in former) else ""
    return (
        "the swarm has a node of this host's name that is down%s: %s. If it is what this host was before its state was "
        "lost, set replace, or remove it with queenright.swarm.swarm_node (state: absent, demote: true)"
        % (counted, ", ".join(node["ID"] for node in former))
    )
