# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that was in the swarm before under another id: what is taken over, what is left alone."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.queenright.swarm.plugins.plugin_utils import _succession
from ansible_collections.queenright.swarm.plugins.plugin_utils._succession import Succession


def node(key: str, name: str = "h1", state: str = "ready", **more) -> dict:
    """A node of the Engine API."""
    spec = {"Role": "worker", "Availability": more.pop("availability", "active"), "Labels": more.pop("labels", {})}
    return {"ID": key, "Description": {"Hostname": name}, "Status": {"State": state}, "Spec": spec, **more}


class Action:
    """A task whose managers list nodes as ``listings`` say, in turn; ``told`` is what else they were told."""

    speaks_of_nodes = True

    def __init__(self, *listings: list[dict], **options) -> None:
        self._listings = list(listings)
        self._options = options
        self.told: list[tuple[str, dict]] = []
        self.refusal: dict | None = None

    def flag(self, name, default):
        return self._options.get(name, default)

    def option(self, name, default=None):
        return self._options.get(name, default)

    def socket(self):
        return {}

    def ask_manager(self, module, arguments, manages, managers):
        if module == "swarm_node_info":
            listing = self._listings.pop(0) if len(self._listings) > 1 else self._listings[0]
            return {"nodes": copy.deepcopy(listing)}
        self.told.append((module, arguments))
        return self.refusal or {"changed": True}


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(_succession, "PAUSE", 0.0)
    monkeypatch.setattr(_succession, "PATIENCE", 0.05)
    monkeypatch.setattr(_succession, "FIRST_WORD", 0.05)


def settle(action: Action, joined: bool = True) -> dict:
    member = {"node_id": "new", "role": "manager", "changed": joined, "actions": ["join a swarm as manager"]}
    return Succession(action, member, ["m2"]).settle(joined)


def test_an_old_self_is_demoted_and_removed() -> None:
    action = Action([node("new"), node("old", state="down"), node("h2", "h2", "down")], replace=True)
    result = settle(action)
    assert action.told == [("swarm_node", {"name": "old", "state": "absent", "demote": True})]
    assert result["actions"] == ["join a swarm as manager", "replace node old"]


def test_labels_and_availability_go_over_but_for_what_the_task_says() -> None:
    old = node("old", state="down", labels={"zone": "a", "disk": "ssd", "rack": "1"}, availability="drain")
    action = Action([node("new", labels={"zone": "b"}), old], replace=True, labels={"rack": "2"})
    settle(action)
    assert action.told[0] == (
        "swarm_node",
        {"name": "new", "labels": {"disk": "ssd"}, "availability": "drain", "wait": False},
    )
    declared = Action(
        [node("new"), node("old", state="down", availability="drain")], replace=True, availability="active"
    )
    settle(declared)
    assert [arguments["name"] for _module, arguments in declared.told] == ["old"]


def test_what_a_live_node_was_set_to_since_is_not_undone() -> None:
    action = Action([node("new"), node("old", state="down", availability="drain")], replace=True)
    settle(action, joined=False)
    assert [arguments["name"] for _module, arguments in action.told] == ["old"]


def test_of_several_old_selves_the_latest_has_the_last_word() -> None:
    first = node("first", state="down", labels={"zone": "a", "disk": "hdd"}, UpdatedAt="2026-05-01T00:00:00Z")
    second = node("second", state="down", labels={"zone": "b"}, UpdatedAt="2026-06-01T00:00:00Z")
    action = Action([first, node("new"), second], replace=True)
    result = settle(action)
    given = [arguments["labels"] for _module, arguments in action.told if "labels" in arguments]
    assert given == [{"zone": "b"}, {"disk": "hdd"}]
    assert result["actions"][1:] == ["replace node second", "replace node first"]


def test_a_node_that_is_not_down_is_given_time_and_then_left_alone() -> None:
    noticed = Action([node("new"), node("old")], [node("new"), node("old", state="down")], replace=True)
    assert settle(noticed)["actions"][1:] == ["replace node old"]
    living = Action([node("new"), node("other")], replace=True)
    result = settle(living)
    assert living.told == []
    assert result["warnings"] == ["another node has the name of this host and is not down; it was left as it is"]


@pytest.mark.parametrize("unnamed", [[], [node("new", "")]])
def test_a_node_that_has_just_joined_is_given_time_to_say_its_name(unnamed) -> None:
    old = node("old", state="down")
    action = Action([*unnamed, old], [node("new"), old], replace=True)
    assert settle(action)["actions"][1:] == ["replace node old"]


def test_without_the_option_an_old_self_is_only_spoken_of_and_only_at_the_join() -> None:
    old = node("old", state="down", ManagerStatus={"Reachability": "unreachable"})
    action = Action([node("new"), old])
    [warning] = settle(action)["warnings"]
    assert "down and still counts as a manager: old." in warning
    assert "warnings" not in settle(action, joined=False)
    assert action.told == []


def test_a_removal_that_fails_fails_the_task_and_says_what_was_to_be_removed() -> None:
    action = Action([node("new"), node("old", state="down")], replace=True)
    action.refusal = {"failed": True, "msg": "would leave the swarm without a quorum"}
    result = settle(action)
    assert result["failed"]
    assert result["msg"] == (
        "node old, which this host was, could not be removed: would leave the swarm without a quorum"
    )
