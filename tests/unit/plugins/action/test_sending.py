# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_secret and swarm_config in plays: files of the controller, hosts that are no managers, and what is printed."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.queenright.swarm.tests.unit.plugins.action.conftest import Fleet
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeSwarm

HUSH = "h4rd-to-guess"


def _swarm(fleet: Fleet) -> FakeSwarm:
    fleet.manager("manager1")
    fleet.worker("worker1")
    swarm = FakeSwarm("swarm1")
    fleet.hosts["manager1"].become(swarm, "manager")
    fleet.hosts["worker1"].become(swarm, "worker")
    return swarm


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_a_file_of_the_controller_is_sent_byte_for_byte(fleet: Fleet, tmp_path, kind) -> None:
    swarm = _swarm(fleet)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/key.bin").write_bytes(bytes(range(256)))
    tasks = f"""
    - queenright.swarm.swarm_{kind}:
        name: key
        src: key.bin
      loop: [1, 2]
    """
    played = fleet.play(tasks, "--limit", "worker1")
    assert played.code == 0, played.output
    assert played.recap("worker1")["changed"] == 1
    versions = swarm.data.families[kind, "key"]
    assert [one.data for one in versions] == [bytes(range(256))]


def test_a_file_that_is_not_there_is_named(fleet: Fleet) -> None:
    _swarm(fleet)
    tasks = "- queenright.swarm.swarm_config: {name: key, src: nosuch.conf}"
    played = fleet.play(tasks, "--limit", "manager1")
    assert played.code != 0
    assert "src: cannot read the file on the controller" in played.text()
    assert "nosuch.conf" in played.text()


def test_a_secret_is_printed_at_no_verbosity(fleet: Fleet, tmp_path) -> None:
    swarm = _swarm(fleet)
    (tmp_path / "key.txt").write_text(HUSH)
    (tmp_path / "vars.yml").write_text(f"hush: {HUSH}\n")
    tasks = """
    - queenright.swarm.swarm_secret: {name: one, data: "{{ hush }}"}
    - queenright.swarm.swarm_secret: {name: two, src: key.txt}
    - queenright.swarm.swarm_secret: {name: bad, data: "{{ hush }}", data_is_b64: true}
      ignore_errors: true
    - queenright.swarm.swarm_registry: {server: r.io, username: bob, password: "{{ hush }}"}
    """
    played = fleet.play(tasks, "--limit", "worker1", "-vvvv", "--diff", "-e", f"@{tmp_path}/vars.yml")
    assert played.code == 0, played.output
    assert [one.data for one in swarm.data.families["secret", "two"]] == [HUSH.encode()]
    shown = [
        line for line in played.output.splitlines() if HUSH in line or base64.b64encode(HUSH.encode()).decode() in line
    ]
    assert shown == []
