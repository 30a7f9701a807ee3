# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_init and swarm_join in playbooks: who founds, who joins whom, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeSwarm

FORM = """
- queenright.swarm.swarm_init:
    install_runtime: false
  when: inventory_hostname in groups.swarm_managers
- queenright.swarm.swarm_join:
    install_runtime: false
  when: inventory_hostname in groups.swarm_workers
"""
INIT = """
- queenright.swarm.swarm_init:
    install_runtime: false
"""
JOIN = """
- queenright.swarm.swarm_join:
    install_runtime: false
"""


def _swarms(fleet) -> dict:
    return {name: host.swarm and (host.role, host.swarm.cluster_id) for name, host in fleet.hosts.items()}


def test_a_swarm_forms_and_the_second_run_changes_nothing(fleet) -> None:
    fleet.manager("m1")
    fleet.worker("w1", "w2", "w3")
    for name in fleet.hosts:
        fleet.over_ssh(name)
    first = fleet.play(FORM, "-vvvv", "-f", "50")
    assert first.code == 0, first.output
    member = ("worker", "swarm-of-m1")
    assert _swarms(fleet) == {"m1": ("manager", "swarm-of-m1"), "w1": member, "w2": member, "w3": member}
    assert [first.recap(host)["changed"] for host in fleet.hosts] == [1, 1, 1, 1]
    for secret in ("QRTICKET", "secretof", "SWMTKN"):
        assert secret not in first.output
    assert "censored due to no log" in first.output
    assert '"key_digest": "sha256:w1"' in first.text().replace('\\"', '"')
    again = fleet.play(FORM)
    assert again.code == 0, again.output
    assert [again.recap(host)["changed"] for host in fleet.hosts] == [0, 0, 0, 0]


@pytest.mark.parametrize("forks", ["1", "10"])
def test_of_several_new_managers_the_first_founds_and_the_others_join(fleet, forks) -> None:
    fleet.manager("m1", "m2", "m3")
    played = fleet.play(INIT, "-f", forks)
    assert played.code == 0, played.output
    assert set(_swarms(fleet).values()) == {("manager", "swarm-of-m1")}


def test_a_new_manager_joins_the_swarm_that_another_is_in(fleet) -> None:
    fleet.manager("m1", "m2")
    fleet.hosts["m2"].become(FakeSwarm("old"), "manager")
    played = fleet.play(INIT, "--limit", "m1")
    assert played.code == 0, played.output
    assert _swarms(fleet)["m1"] == ("manager", "old")
    assert fleet.hosts["m1"].called("/swarm/init") == []


def test_two_swarms_among_the_managers_are_named(fleet) -> None:
    fleet.manager("m1", "m2", "m3")
    for name in ("m2", "m3"):
        fleet.hosts[name].become(FakeSwarm(f"swarm-{name}"), "manager")
    played = fleet.play(INIT, "--limit", "m1")
    assert played.code == 2
    assert "the managers are in different swarms: m2 is in swarm-m2, m3 is in swarm-m3" in played.text()
    assert fleet.hosts["m1"].swarm is None


def test_beside_a_silent_manager_a_swarm_is_founded_only_by_force(fleet) -> None:
    fleet.manager("m1", "m2")
    fleet.kill("m2")
    played = fleet.play(INIT, "--limit", "m1")
    assert played.code == 2
    assert "another one might be founded beside it: m2: unreachable (" in played.text()
    assert "no route to host" in played.text()
    assert fleet.hosts["m1"].swarm is None
    forced = fleet.play(INIT + "    force_init: true\n", "--limit", "m1")
    assert forced.code == 0, forced.output
    assert _swarms(fleet)["m1"] == ("manager", "swarm-of-m1")


def test_a_silent_manager_does_no_harm_to_a_swarm_that_is_there(fleet) -> None:
    fleet.manager("m1", "m2")
    fleet.hosts["m1"].become(FakeSwarm("old"), "manager")
    fleet.kill("m2")
    played = fleet.play(INIT, "--limit", "m1")
    assert played.code == 0, played.output
    assert played.recap("m1")["changed"] == 0
    assert "these managers did not answer: m2" in played.text()


def test_a_worker_joins_by_the_manager_that_answers(fleet) -> None:
    fleet.manager("m1", "m2")
    fleet.worker("w1")
    fleet.hosts["m2"].become(FakeSwarm("old"), "manager")
    fleet.kill("m1")
    played = fleet.play(JOIN, "--limit", "w1")
    assert played.code == 0, played.output
    assert _swarms(fleet)["w1"] == ("worker", "old")


def test_without_any_manager_a_join_says_who_was_asked(fleet) -> None:
    fleet.manager("m1", "m2", "m3")
    fleet.worker("w1")
    fleet.kill("m1")
    fleet.bare("m3")
    played = fleet.play(JOIN, "--limit", "w1")
    assert played.code == 2
    text = played.text()
    assert "no manager gave a ticket to join with. m1: unreachable" in text
    assert "| m2: This node is not a swarm manager" in text
    assert "| m3: there is no runtime on this host" in text


def test_without_a_managers_group_a_join_says_how_to_name_managers(fleet) -> None:
    fleet.worker("w1")
    played = fleet.play(JOIN)
    assert played.code == 2
    assert (
        "there is no manager to ask for a ticket: the inventory group swarm_managers has no other host" in played.text()
    )


def test_a_manager_can_be_named_and_must_exist(fleet) -> None:
    fleet.worker("w1", "w2")
    fleet.hosts["w2"].become(FakeSwarm("old"), "manager")
    played = fleet.play(JOIN + "    manager: nobody\n", "--limit", "w1")
    assert "the inventory has no host nobody" in played.text()
    played = fleet.play(JOIN + "    manager: w2\n", "--limit", "w1")
    assert played.code == 0, played.output
    assert _swarms(fleet)["w1"] == ("worker", "old")


def test_a_host_in_another_swarm_stays_there_and_both_are_named(fleet) -> None:
    fleet.manager("m1")
    fleet.worker("w1")
    fleet.hosts["m1"].become(FakeSwarm("ours"), "manager")
    fleet.hosts["w1"].become(FakeSwarm("theirs"), "worker")
    played = fleet.play(JOIN, "--limit", "w1")
    assert played.code == 2
    assert "this host is in swarm theirs, and manager m1 is in swarm ours" in played.text()


def test_a_member_whose_managers_are_silent_is_left_with_a_warning(fleet) -> None:
    fleet.manager("m1")
    fleet.worker("w1")
    fleet.hosts["w1"].become(FakeSwarm("ours"), "worker")
    fleet.kill("m1")
    played = fleet.play(JOIN, "--limit", "w1")
    assert played.code == 0, played.output
    assert played.recap("w1")["changed"] == 0
    assert "no manager answered" in played.text()


def test_a_manager_that_refuses_is_not_asked_in_vain_again(fleet) -> None:
    fleet.manager("m1", "m2")
    fleet.worker("w1")
    swarm = FakeSwarm("ours")
    for name in ("m1", "m2"):
        fleet.hosts[name].become(swarm, "manager")
    fleet.hosts["m1"].refuse("/queenright/v1/tickets", 400, "labels: too many of them")
    played = fleet.play(JOIN + "    role: manager\n", "--limit", "w1")
    assert played.code == 2
    assert "m1: labels: too many of them" in played.text()
    assert fleet.hosts["m2"].called("/queenright/v1/tickets") == []


def test_labels_and_availability_go_with_the_ticket(fleet) -> None:
    fleet.manager("m1")
    fleet.worker("w1")
    fleet.hosts["m1"].become(FakeSwarm("ours"), "manager")
    played = fleet.play(JOIN + "    labels: {zone: a}\n    availability: pause\n", "--limit", "w1")
    assert played.code == 0, played.output
    [wish] = fleet.hosts["m1"].called("/queenright/v1/tickets")
    assert (wish["labels"], wish["availability"], wish["role"]) == ({"zone": "a"}, "pause", "worker")
    [joined] = fleet.hosts["w1"].called("/swarm/join")
    assert (joined["RemoteAddrs"], joined["Availability"]) == (["m1:2377"], "pause")


def test_a_whole_run_is_foreseen_on_hosts_without_a_runtime(fleet) -> None:
    fleet.manager("m1")
    fleet.worker("w1")
    for name in fleet.hosts:
        fleet.bare(name)
    tasks = FORM + (
        "- queenright.swarm.swarm_node: {labels: {zone: a}}\n"
        "- queenright.swarm.swarm_service: {name: web, image: nginx}\n"
        "- queenright.swarm.swarm_service_info:\n"
        "- queenright.swarm.swarm_node_info:\n"
        "- queenright.swarm.swarm_ca:\n"
        "- queenright.swarm.swarm_info:\n"
        "- queenright.swarm.swarm_leave:\n"
    )
    played = fleet.play(tasks, "--check", "--diff")
    assert played.code == 0, played.output
    assert [played.recap(name)["changed"] for name in fleet.hosts] == [3, 3]
    assert '+    "Image": "nginx"' in played.output or '"Image": "nginx"' in played.output


def test_checking_a_join_asks_no_manager_for_a_ticket(fleet) -> None:
    fleet.manager("m1")
    fleet.worker("w1")
    fleet.hosts["m1"].become(FakeSwarm("ours"), "manager")
    played = fleet.play(JOIN, "--limit", "w1", "--check")
    assert played.recap("w1")["changed"] == 1
    assert fleet.hosts["m1"].calls == []
    assert fleet.hosts["w1"].swarm is None


def test_what_the_task_says_about_itself_does_not_reach_its_steps(fleet) -> None:
    fleet.manager("m1")
    fleet.worker("w1")
    fleet.hosts["m1"].become(FakeSwarm("ours"), "manager")
    tasks = """
    - queenright.swarm.swarm_join:
        install_runtime: false
        role: "{{ item }}"
      loop: [worker, worker]
      register: joined
      when: item == "worker"
      retries: 2
      delay: 0
      until: joined.cluster_id == "ours"
      changed_when: joined.manager | default("") == "m1"
      failed_when: joined.cluster_id != "ours"
      environment: {SOME: "{{ item }}"}
    - ansible.builtin.assert:
        that:
          - joined.results | map(attribute="changed") | list == [true, false]
          - joined.results[0].manager == "m1"
          - "'ticket' not in joined.results[0]"
    """
    played = fleet.play(tasks, "--limit", "w1")
    assert played.code == 0, played.output
