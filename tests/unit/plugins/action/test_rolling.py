# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role runtime on several managers: brought to all at once, used by one after another, by the leader last."""

from __future__ import annotations

import pathlib
import shutil

import pytest
from ansible_collections.queenright.swarm.tests.unit.plugins.action.conftest import CHECKOUT, Fleet

NOTING = '''#!/usr/bin/python
"""In the place of swarm_runtime: notes when it begins and ends on which host, and what it was told."""
import os
import time

from ansible.module_utils.basic import AnsibleModule

LOG, LEADER = "{log}", "{leader}"


def note(*words):
    with open(LOG, "a") as log:
        log.write(" ".join(words) + "\\n")


def main():
    names = ("wheelhouse_remote", "extra_index_urls", "service_manager", "docker_context", "keep_releases", "mesh")
    arguments = {{name: {{"type": "raw"}} for name in (*names, "ready_timeout", "keep_quorum")}}
    module = AnsibleModule(dict(arguments, activate={{"type": "bool"}}), supports_check_mode=True)
    host = os.path.basename(os.path.dirname(os.environ["QUEENRIGHT_SOCKET"]))
    word = "use" if module.params["activate"] else "bring"
    note(word, host)
    time.sleep(0.5)
    note("done", host)
    module.exit_json(changed=False, leads=host == LEADER)


main()
'''
ROLE = """
- ansible.builtin.include_role:
    name: queenright.swarm.runtime
"""


@pytest.fixture
def rolled(fleet: Fleet, tmp_path: pathlib.Path):
    """``rolled(leader)`` runs the role; the answer are the lines that were noted, with the hosts' names."""

    def run(leader: str, *arguments: str) -> list[str]:
        folders = {pathlib.Path(host.folder).name: name for name, host in fleet.hosts.items()}
        home = {name: folder for folder, name in folders.items()}.get(leader, "")
        collection = tmp_path / "collections/ansible_collections/queenright/swarm"
        shutil.rmtree(collection.parent, ignore_errors=True)
        ignore = shutil.ignore_patterns("__pycache__", "files")
        for part in ("plugins", "roles", "meta"):
            shutil.copytree(CHECKOUT / part, collection / part, ignore=ignore)
        (collection / "plugins/action/swarm_runtime.py").unlink()
        (collection / "plugins/modules/swarm_runtime.py").write_text(NOTING.format(log=tmp_path / "log", leader=home))
        (tmp_path / "log").write_text("")
        played = fleet.play(ROLE, "-f", "10", *arguments)
        assert played.code == 0, played.output
        lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
        return [f"{word} {folders[folder]}" for word, folder in lines]

    return run


def test_managers_take_turns_and_the_leader_is_last(fleet, rolled) -> None:
    fleet.manager("m1", "m2", "m3")
    fleet.worker("w1")
    noted = rolled("m1")
    assert {line for line in noted if line.startswith("bring")} == {"bring m1", "bring m2", "bring m3"}
    assert noted.count("use w1") == 1
    first = next(index for index, line in enumerate(noted) if line.startswith("use m"))
    assert noted[first:] == ["use m2", "done m2", "use m3", "done m3", "use m1", "done m1"]


def test_a_single_manager_and_workers_need_one_step(fleet, rolled) -> None:
    fleet.manager("m1")
    fleet.worker("w1", "w2")
    noted = rolled("m1")
    assert sorted(line for line in noted if not line.startswith("done")) == ["use m1", "use w1", "use w2"]


def test_managers_of_another_group_take_turns_too(fleet, rolled) -> None:
    fleet.worker("w1", "w2")
    noted = rolled("", "-e", "runtime_managers_group=swarm_workers")
    assert noted[-4:] in (["use w1", "done w1", "use w2", "done w2"], ["use w2", "done w2", "use w1", "done w1"])
