# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of several managers in playbooks: second runs, hosts that come back, hosts that change sides, lost quorums."""

from __future__ import annotations

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import NodeSpec
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeSwarm

INIT = """
- queenright.swarm.swarm_init:
    install_runtime: false
"""
JOIN = """
- queenright.swarm.swarm_join:
    install_runtime: false
"""


@pytest.fixture
def swarm(fleet) -> FakeSwarm:
    """Three managers, the first of which leads."""
    fleet.manager("m1", "m2", "m3")
    swarm = FakeSwarm("ours")
    for name in ("m1", "m2", "m3"):
        fleet.hosts[name].become(swarm, "manager")
    return swarm


# -- second runs


def test_nothing_changes_whichever_manager_is_off(fleet, swarm) -> None:
    fleet.kill("m1")
    swarm.silent.add("nodem1")
    played = fleet.play(INIT, "-f", "10")
    assert played.recap("m1")["unreachable"] == 1
    for name in ("m2", "m3"):
        assert (played.recap(name)["changed"], played.recap(name)["failed"]) == (0, 0), played.output


def test_one_other_manager_is_asked_where_all_is_well(fleet, swarm) -> None:
    played = fleet.play(INIT, "--limit", "m3", "-vv")
    assert played.code == 0, played.output
    assert played.output.count("queenright: asking") == 1


def test_a_manager_of_another_swarm_is_named(fleet, swarm) -> None:
    fleet.hosts["m2"].become(FakeSwarm("theirs"), "manager")
    played = fleet.play(INIT, "--limit", "m2")
    assert played.code == 2
    assert "the managers are in different swarms: m1 is in ours, m2 is in theirs" in played.text()


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (3, ""),
        (4, "so many managers survive the loss of 1, as 3 would"),
        (9, "every change waits for a majority of them. Use 1, 3, 5 or 7"),
    ],
)
def test_a_number_of_managers_that_is_no_good_is_warned_of(fleet, count, words) -> None:
    fleet.manager(*(f"m{number}" for number in range(1, count + 1)))
    fleet.hosts["m1"].become(FakeSwarm("ours"), "manager")
    played = fleet.play(INIT + "    force_init: true\n", "--limit", "m1")
    assert played.code == 0, played.output
    assert (f"the group swarm_managers has {count} hosts" in played.text()) == bool(words)
    assert words in played.text()


# -- hosts that come back


def test_a_first_manager_that_lost_its_state_joins_its_swarm_and_is_told_of_its_old_self(fleet, swarm) -> None:
    fleet.hosts["m1"].lose_state()
    played = fleet.play(INIT, "-f", "10")
    assert played.code == 0, played.output
    assert (fleet.hosts["m1"].swarm, fleet.hosts["m1"].role) == (swarm, "manager")
    assert fleet.hosts["m1"].called("/swarm/init") == []
    assert "a node of this host's name that is down and still counts as a manager: nodem1." in played.text()
    assert "nodem1" in swarm.nodes


def test_a_manager_takes_the_place_of_what_it_was(fleet, swarm) -> None:
    swarm.nodes["nodem1"] = NodeSpec(role="manager", availability="drain", labels={"zone": "a"})
    fleet.hosts["m1"].lose_state()
    tasks = INIT + "    replace: true\n"
    played = fleet.play(tasks, "-f", "10")
    assert played.code == 0, played.output
    assert played.recap("m1")["changed"] == 1
    assert swarm.voters == ["nodem2", "nodem3", "nodem1x"]
    assert (swarm.nodes["nodem1x"].availability, swarm.nodes["nodem1x"].labels) == ("drain", {"zone": "a"})
    again = fleet.play(tasks, "-f", "10")
    assert [again.recap(name)["changed"] for name in ("m1", "m2", "m3")] == [0, 0, 0]


def test_an_old_self_that_was_left_is_replaced_later(fleet, swarm) -> None:
    fleet.hosts["m1"].lose_state()
    fleet.hosts["m1"].become(swarm, "manager")
    foreseen = fleet.play(INIT + "    replace: true\n", "--limit", "m1", "--check")
    assert foreseen.recap("m1")["changed"] == 1
    assert "nodem1" in swarm.nodes
    played = fleet.play(INIT + "    replace: true\n", "--limit", "m1")
    assert played.recap("m1")["changed"] == 1, played.output
    assert "nodem1" not in swarm.nodes


def test_a_worker_takes_the_place_of_what_it_was(fleet, swarm) -> None:
    fleet.worker("w1")
    fleet.hosts["w1"].become(swarm, "worker").lose_state()
    played = fleet.play(JOIN + "    replace: true\n    labels: {zone: b}\n", "--limit", "w1")
    assert played.code == 0, played.output
    assert [key for key, name in swarm.hostnames.items() if name == "w1" and key in swarm.nodes] == ["nodew1x"]


# -- hosts that change sides


def test_a_worker_that_moved_into_the_managers_group_is_promoted(fleet, swarm) -> None:
    fleet.manager("m4", "m5")
    for name in ("m4", "m5"):
        fleet.hosts[name].become(swarm, "worker")
    refused = fleet.play(INIT, "--limit", "m4")
    assert refused.code == 2
    assert "promote it with queenright.swarm.swarm_node (role: manager), or set change_role" in refused.text()
    tasks = INIT + "    change_role: true\n"
    foreseen = fleet.play(tasks, "--limit", "m4", "--check")
    assert (foreseen.recap("m4")["changed"], fleet.hosts["m4"].role) == (1, "worker")
    played = fleet.play(tasks, "--limit", "m4,m5")
    assert played.code == 0, played.output
    assert [fleet.hosts[name].role for name in ("m4", "m5")] == ["manager", "manager"]
    again = fleet.play(tasks, "--limit", "m4,m5")
    assert [again.recap(name)["changed"] for name in ("m4", "m5")] == [0, 0]


def test_a_manager_that_moved_into_the_workers_group_is_demoted(fleet, swarm) -> None:
    fleet.worker("w1")
    fleet.hosts["w1"].become(swarm, "manager")
    tasks = JOIN + "    change_role: true\n"
    played = fleet.play(tasks, "--limit", "w1")
    assert played.code == 0, played.output
    assert (played.recap("w1")["changed"], fleet.hosts["w1"].role) == (1, "worker")
    assert fleet.play(tasks, "--limit", "w1").recap("w1")["changed"] == 0


# -- lost quorums


def test_one_survivor_goes_on_alone_and_only_if_nobody_else_can(fleet, swarm) -> None:
    tasks = INIT + "    force_new_cluster: true\n"
    fleet.hosts["m1"].cut = True
    elsewhere = fleet.play(tasks, "--limit", "m1")
    assert elsewhere.code == 2
    assert "manager m2 of the same swarm hears from a majority" in elsewhere.text()
    for name in ("m2", "m3"):
        fleet.hosts[name].cut = True
    rivals = fleet.play(tasks)
    assert rivals.code == 2
    assert "this play is for m2, m3 too: each would go on with a swarm of its own. Say --limit m1" in rivals.text()
    played = fleet.play(tasks, "--limit", "m1")
    assert (played.code, played.recap("m1")["changed"]) == (0, 1), played.output
    assert swarm.voters == ["nodem1"]
    assert fleet.play(tasks, "--limit", "m1").recap("m1")["changed"] == 0


def test_a_manager_that_is_cut_off_lets_another_answer(fleet, swarm) -> None:
    fleet.hosts["m1"].cut = True
    tasks = """
    - queenright.swarm.swarm_node_info:
      register: nodes
    - queenright.swarm.swarm_service: {name: web, image: nginx}
      register: done
    - ansible.builtin.assert:
        that:
          - nodes.manager == "m2" and not nodes.stale and nodes.has_quorum
          - done is changed and done.manager == "m2"
    """
    played = fleet.play(tasks, "--limit", "m1")
    assert played.code == 0, played.output
    for name in ("m2", "m3"):
        fleet.hosts[name].cut = True
    tasks = """
    - queenright.swarm.swarm_node_info:
      register: nodes
    - ansible.builtin.assert:
        that: nodes.stale and nodes.nodes | length == 3 and "manager" not in nodes
    """
    played = fleet.play(tasks, "--limit", "m1")
    assert played.code == 0, played.output
    assert "what is shown is what was known before" in played.text()


# -- the end


def test_a_reset_takes_managers_out_one_after_another_and_the_leader_last(fleet, swarm) -> None:
    fleet.worker("w1")
    fleet.hosts["w1"].become(swarm, "worker")
    inventory = str(fleet.inventory())
    arguments = [
        "-i",
        inventory,
        "queenright.swarm.reset",
        "-e",
        "swarm_reset_runtime=false",
        "-e",
        "ansible_become=false",
    ]
    played = fleet.ansible_playbook(*arguments, "-e", "swarm_reset_confirm=ours", "-f", "10")
    assert played.code == 0, played.output
    assert [host.swarm for host in fleet.hosts.values()] == [None] * 4
    assert swarm.left == ["nodew1", "nodem2", "nodem3", "nodem1"]
    again = fleet.ansible_playbook(*arguments, "-f", "10")
    assert [again.recap(name)["changed"] for name in fleet.hosts] == [0] * 4
