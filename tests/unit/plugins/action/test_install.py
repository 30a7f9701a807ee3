# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The install step of swarm_init and swarm_join, with a stand-in for swarm_runtime."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.template import Templar
from ansible_collections.queenright.swarm.plugins.action.swarm_init import ActionModule as Init
from ansible_collections.queenright.swarm.plugins.action.swarm_join import ActionModule as Join


class Runtime:
    """In the place of the action plugin swarm_runtime."""

    def __init__(self, answer: dict[str, t.Any]) -> None:
        self.answer = answer
        self.tasks: list[Task] = []

    def get(self, name: str, task: Task, **_more: t.Any) -> t.Any:
        assert name == "queenright.swarm.swarm_runtime"
        self.tasks.append(task)
        return types.SimpleNamespace(run=lambda task_vars: dict(self.answer))


@pytest.fixture(params=[Init, Join], ids=["swarm_init", "swarm_join"])
def begin(request, monkeypatch) -> t.Callable[..., t.Any]:
    """``begin(answer, **args)``: (result of the task, runtime, modules that were run on the host)."""

    def run(answer: dict[str, t.Any], **args: t.Any) -> t.Any:
        runtime, modules = Runtime(answer), []
        task = Task()
        task.action, task.args, task.async_val = "queenright.swarm.x", args, 0
        task._parent = None
        loader = DataLoader()
        connection = types.SimpleNamespace(
            _shell=types.SimpleNamespace(tmpdir=None), has_pipelining=False, always_pipeline_modules=False
        )
        plugin = request.param(
            task=task,
            connection=connection,
            play_context=PlayContext(),
            loader=loader,
            templar=Templar(loader=loader),
            shared_loader_obj=None,
        )
        plugin._shared_loader_obj = types.SimpleNamespace(action_loader=runtime)

        def local(self: t.Any, module: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
            modules.append(module)
            return {"changed": False, "actions": ["x"], "foreseen": True}

        monkeypatch.setattr(request.param, "local", local)
        return plugin.run(task_vars={"inventory_hostname": "h1", "groups": {}}), runtime, modules

    return run


def test_the_runtime_is_installed_first_with_the_options_for_it(begin) -> None:
    options = {"wheelhouse": "/srv/wheels", "state": "absent"}
    result, runtime, modules = begin({"changed": True}, runtime_options=options, socket="/s.sock")
    [task] = runtime.tasks
    assert task.args == {"wheelhouse": "/srv/wheels", "state": "present", "socket": "/s.sock"}
    assert len(modules) == 1
    assert result["changed"]
    assert result["actions"] == ["install the runtime", "x"]


def test_a_runtime_that_is_there_changes_nothing(begin) -> None:
    result, _runtime, _modules = begin({"changed": False})
    assert not result["changed"]
    assert result["actions"] == ["x"]


@pytest.mark.parametrize("no", [False, "no", "False", 0])
def test_the_install_step_can_be_switched_off(begin, no) -> None:
    _result, runtime, modules = begin({"failed": True}, install_runtime=no)
    assert runtime.tasks == []
    assert len(modules) == 1


def test_a_failed_installation_ends_the_task(begin) -> None:
    result, _runtime, modules = begin({"failed": True, "msg": "no Python 3.11"})
    assert result["failed"]
    assert result["msg"] == "no Python 3.11"
    assert modules == []


def test_options_that_are_no_dictionary_are_refused(begin) -> None:
    result, runtime, _modules = begin({}, runtime_options="wheelhouse")
    assert result["failed"]
    assert "runtime_options: expected a dictionary, got" in result["msg"]
    assert runtime.tasks == []
