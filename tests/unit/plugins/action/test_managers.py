# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that need a manager, from hosts that are none."""

from __future__ import annotations

import pytest
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeSwarm

SERVICE = "- queenright.swarm.swarm_service: {name: web, image: nginx}\n"


@pytest.fixture
def swarm(fleet) -> FakeSwarm:
    """Two managers, of which the first is off, and a worker."""
    fleet.manager("m1", "m2")
    fleet.worker("w1")
    swarm = FakeSwarm("ours")
    for name, role in (("m1", "manager"), ("m2", "manager"), ("w1", "worker")):
        fleet.hosts[name].become(swarm, role)
    fleet.kill("m1")
    return swarm


def test_a_worker_has_it_done_by_the_manager_that_answers(fleet, swarm) -> None:
    tasks = """
    - queenright.swarm.swarm_service: {name: web, image: nginx, labels: {a: null}}
      register: done
    - queenright.swarm.swarm_node: {labels: {zone: a}}
      register: labelled
    - queenright.swarm.swarm_service_info: {name: web}
      register: shown
    - queenright.swarm.swarm_node_info:
      register: nodes
    - queenright.swarm.swarm_ca:
      register: ca
    - ansible.builtin.assert:
        that:
          - done.changed and done.manager == "m2" and "invocation" not in done
          - labelled.changed and labelled.id == "nodew1"
          - shown.services | length == 1
          - nodes.nodes | length == 3
          - ca.cluster_id == "ours"
    """
    played = fleet.play(tasks, "--limit", "w1")
    assert played.code == 0, played.output
    assert swarm.nodes["nodew1"].labels == {"zone": "a"}
    [body] = fleet.hosts["m2"].called("/queenright/v1/apply")[:1]
    assert body["options"] == {"image": "nginx", "labels": {"a": None}}


def test_check_and_diff_reach_the_manager(fleet, swarm) -> None:
    played = fleet.play(SERVICE, "--limit", "w1", "--check", "--diff")
    assert played.code == 0, played.output
    assert played.recap("w1")["changed"] == 1
    assert '"Image": "nginx"' in played.output
    assert swarm.services == {}


def test_a_refusal_of_the_manager_is_the_answer(fleet, swarm) -> None:
    fleet.hosts["m2"].refuse("/queenright/v1/apply", 400, "needs the routing mesh")
    played = fleet.play(SERVICE, "--limit", "w1")
    assert played.code == 2
    assert "needs the routing mesh" in played.text()


def test_without_any_manager_everybody_asked_is_named(fleet, swarm) -> None:
    fleet.kill("m2")
    played = fleet.play(SERVICE, "--limit", "w1")
    assert played.code == 2
    text = played.text()
    assert "no manager could do this. w1: This node is not a swarm manager. Worker nodes can't" in text
    assert "| m1: unreachable" in text
    assert "| m2: unreachable" in text


def test_a_lone_host_without_a_swarm_says_what_to_do(fleet) -> None:
    fleet.worker("w1")
    played = fleet.play(SERVICE)
    assert played.code == 2
    assert "Run this task on a manager, or name the group of the managers" in played.text()


def test_join_tokens_are_registered_but_never_shown(fleet, swarm) -> None:
    tasks = """
    - queenright.swarm.swarm_ca: {return_join_tokens: true, rotate_worker_token: true}
      register: ca
    - ansible.builtin.assert:
        that: ca.join_tokens.worker == "SWMTKN-1-root-workersecret1"
        quiet: true
    """
    for host in ("w1", "m2"):
        swarm.tokens["Worker"] = "SWMTKN-1-root-workersecret0"
        played = fleet.play(tasks, "--limit", host, "-vvv")
        assert played.code == 0, played.output
        assert "secret1" not in played.output.replace('"SWMTKN-1-root-workersecret1"', "")
        assert "managersecret" not in played.output


def test_the_credentials_of_a_registry_are_hidden(fleet, swarm) -> None:
    tasks = "- queenright.swarm.swarm_service: {name: w, image: a, registry: {username: bob, password: s3cr3tw0rd}}\n"
    played = fleet.play(tasks, "--limit", "w1", "-vvv")
    assert played.code == 0, played.output
    assert "s3cr3tw0rd" not in played.output


def test_hosts_that_were_lost_in_the_play_are_asked_last(fleet, swarm) -> None:
    tasks = """
    - ansible.builtin.ping:
    - queenright.swarm.swarm_service: {name: web, image: nginx}
      when: inventory_hostname == "w1"
    """
    played = fleet.play(tasks, "-vv")
    assert played.recap("m1")["unreachable"] == 1
    assert played.recap("w1")["failed"] == 0
    assert "asking m2 (swarm_service)" in played.output
    assert "asking m1 (swarm_service)" not in played.output
