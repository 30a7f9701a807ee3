# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The swarm_runtime task: the wheel goes to hosts that lack it, and only there."""

from __future__ import annotations

import os
import tarfile
import types

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.queenright.swarm.plugins.action import swarm_runtime
from ansible_collections.queenright.swarm.plugins.plugin_utils._wheel import WheelError

FOLDER = "/tmp/on-host"


class Action(swarm_runtime.ActionModule):
    """With a host that says ``answers``, one after the other."""

    def __init__(self, arguments, answers, cwd="/") -> None:
        self._task = types.SimpleNamespace(args=arguments, async_val=0, check_mode=False, action="swarm_runtime")
        self._connection = types.SimpleNamespace(
            _shell=types.SimpleNamespace(tmpdir=None, join_path=os.path.join), has_pipelining=True
        )
        self._loader = types.SimpleNamespace(path_dwim=lambda path: os.path.join(str(cwd), path))
        self._cleanup_remote_tmp = False
        self._answers = list(answers)
        self.asked: list[dict[str, object]] = []
        self.copied: dict[str, list[str]] = {}
        self.removed: list[str] = []

    def _execute_module(self, module_name=None, module_args=None, task_vars=None, wrap_async=False):
        assert module_name == "queenright.swarm.swarm_runtime"
        self.asked.append(module_args)
        return self._answers.pop(0)

    def _make_tmp_path(self, remote_user=None):
        return FOLDER

    def _transfer_file(self, local_path, remote_path):
        names = [local_path]
        if local_path.endswith(".tar"):
            with tarfile.open(local_path) as tar:
                names = tar.getnames()
        self.copied[remote_path] = names

    def _fixup_perms2(self, remote_paths, remote_user=None, execute=True):
        assert remote_paths[0] == FOLDER

    def _remove_tmp_path(self, tmp_path, force=False):
        assert force
        self.removed.append(tmp_path)


@pytest.fixture(autouse=True)
def wheel(tmp_path, monkeypatch) -> str:
    path = tmp_path / "queenright-1-py3-none-any.whl"
    path.write_bytes(b"wheel")

    def find(given):
        return types.SimpleNamespace(path=given or str(path), release="1", digest="d1")

    monkeypatch.setattr(swarm_runtime, "wheel_for", find)
    return str(path)


def test_a_host_that_has_the_release_is_asked_once_and_gets_nothing():
    action = Action({"keep_releases": 3}, [{"changed": False, "needs_wheel": False}])
    result = action.run(task_vars={})
    assert not result["changed"]
    assert action.asked == [{"keep_releases": 3, "bundle": {"release": "1", "digest": "d1"}}]
    assert action.copied == {}
    assert action.removed == []


def test_a_host_that_lacks_it_gets_the_wheel_and_the_copy_is_removed(wheel):
    action = Action({}, [{"changed": True, "needs_wheel": True}, {"changed": True, "release": "1"}])
    assert action.run(task_vars={})["release"] == "1"
    target = f"{FOLDER}/queenright-1-py3-none-any.whl"
    assert action.copied == {target: [wheel]}
    assert action.asked[1]["bundle"] == {"release": "1", "digest": "d1", "path": target}
    assert action.removed == [FOLDER]


def test_a_failure_of_the_host_is_the_result_and_the_copy_is_removed_all_the_same():
    action = Action({}, [{"needs_wheel": True}, {"failed": True, "msg": "no space left"}])
    assert action.run(task_vars={})["msg"] == "no space left"
    assert action.removed == [FOLDER]
    refused = Action({}, [{"failed": True, "needs_wheel": True, "msg": "no Python"}])
    assert refused.run(task_vars={})["msg"] == "no Python"
    assert refused.copied == {}


def test_wheels_of_the_controller_go_in_one_file(tmp_path):
    house = tmp_path / "wheels"
    house.mkdir()
    for name in ("a.whl", "b.whl", "notes.txt", ".complete"):
        (house / name).write_text(name)
    action = Action({"wheelhouse": "wheels"}, [{"needs_wheel": True}, {}], cwd=tmp_path)
    action.run(task_vars={})
    (archive,) = [path for path in action.copied if path.endswith(".tar")]
    assert action.copied[archive] == ["a.whl", "b.whl"]
    assert action.asked[1]["bundle"]["wheelhouse"] == archive
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tar")]


def test_a_wheelhouse_of_the_host_is_not_looked_for_on_the_controller():
    action = Action({"wheelhouse": "/srv/wheels", "wheelhouse_remote": "yes"}, [{"needs_wheel": True}, {}])
    action.run(task_vars={})
    assert "wheelhouse" not in action.asked[1]["bundle"]


def test_a_wheelhouse_that_is_missing_or_empty_is_said(tmp_path):
    for house, words in (("none", "is no directory on the controller"), (".", "there are no wheels in")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        action = Action({"wheelhouse": house}, [{"needs_wheel": True}], cwd=tmp_path / "empty")
        with pytest.raises(AnsibleActionFail, match=words):
            action.run(task_vars={})
        assert action.removed == [FOLDER]


def test_a_removal_needs_no_wheel(monkeypatch):
    def none(given):
        raise WheelError("there is none")

    monkeypatch.setattr(swarm_runtime, "wheel_for", none)
    action = Action({"state": "absent"}, [{"changed": True}])
    assert action.run(task_vars={})["changed"]
    assert action.asked == [{"state": "absent"}]
    with pytest.raises(AnsibleActionFail, match="there is none"):
        Action({}, []).run(task_vars={})


def test_a_wheel_of_the_playbook_is_found_beside_it(tmp_path):
    action = Action({"wheel": "files/queenright-2-py3-none-any.whl"}, [{"needs_wheel": True}, {}], cwd=tmp_path)
    action.run(task_vars={})
    assert list(action.copied.values()) == [[str(tmp_path / "files/queenright-2-py3-none-any.whl")]]


def test_the_option_of_the_plugin_is_not_for_playbooks():
    with pytest.raises(AnsibleActionFail, match="not for playbooks"):
        Action({"bundle": {"release": "x"}}, []).run(task_vars={})
