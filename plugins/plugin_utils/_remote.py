# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Running a module on another host than the task's: over that host's connection, with its variables and its become.

It is what C(delegate_to) does, done by ansible-core itself: a copy of the task, delegated, goes through the same
executor that runs the task at hand.
"""

from __future__ import annotations

import inspect
import typing as t

from ansible import constants
from ansible.executor.task_executor import TaskExecutor
from ansible.playbook.play_context import PlayContext
from ansible.plugins.action import ActionBase

Result = t.Dict[str, t.Any]

RELAYED = "queenright_relayed"  # attribute of a task that is such a copy
# What the task at hand says about itself and not about how to reach a host.
_OF_THE_TASK = {
    "loop": None,
    "loop_with": None,
    "when": [],
    "register": None,
    "until": [],
    "retries": None,
    "changed_when": [],
    "failed_when": [],
    "async_val": 0,
    "notify": None,
    "delegate_facts": None,
    "ignore_errors": False,
    "ignore_unreachable": False,
    "run_once": False,
    "diff": False,
}


class _Silence:
    """In the place of the queue to the callbacks: a step of a task is no event of its own."""

    def __getattr__(self, name: str) -> t.Callable[..., None]:
        return lambda *_args, **_kwargs: None


def run_on(
    action: ActionBase,
    host: str,
    module: str,
    arguments: t.Dict[str, t.Any],
    task_vars: t.Dict[str, t.Any],
    secret: bool = False,
) -> Result:
    """The result of a module on another host of the inventory; ``unreachable`` is set where it cannot be reached.

    ``secret``: nothing of the exchange is shown, at any verbosity.
    """
    task = action._task.copy()
    for name, value in _OF_THE_TASK.items():
        setattr(task, name, value)
    task.action = module
    task.args = {key: value for key, value in arguments.items() if value is not None}
    task.delegate_to = host
    task.no_log = bool(secret or action._task.no_log)
    setattr(task, RELAYED, True)
    variables = {key: value for key, value in task_vars.items() if key != "ansible_delegated_vars"}
    hostvars = task_vars["hostvars"]
    known = {
        "host": hostvars._inventory.get_host(task_vars["inventory_hostname"]),
        "task": task,
        "job_vars": variables,
        "play_context": _play_context(action, task_vars),
        "new_stdin": None,
        "loader": action._loader,
        "shared_loader_obj": action._shared_loader_obj,
        "final_q": _Silence(),
        "variable_manager": hostvars._variable_manager,
    }
    wanted = inspect.signature(TaskExecutor.__init__).parameters
    result = TaskExecutor(**{name: value for name, value in known.items() if name in wanted}).run()
    return t.cast("Result", result)


def _play_context(action: ActionBase, task_vars: t.Dict[str, t.Any]) -> PlayContext:
    """As it was before the variables of the task's own host were laid over it; passwords of the command line stay."""
    present = action._play_context
    passwords = {}
    for name, attribute, variable in (
        ("conn_pass", "password", "password"),
        ("become_pass", "become_pass", "become_pass"),
    ):
        if not any(key in task_vars for key in constants.MAGIC_VARIABLE_MAPPING[variable]):
            passwords[name] = getattr(present, attribute, "")
    fresh = PlayContext(
        play=action._task.get_play(), passwords=passwords, connection_lockfd=getattr(present, "connection_lockfd", None)
    )
    fresh.check_mode = present.check_mode
    return fresh


def why(result: Result) -> str:
    """In one line why a result is no success."""
    if result.get("unreachable"):
        return "unreachable (%s)" % _line(result)
    return _line(result)


def _line(result: Result) -> str:
    return " ".join(str(result.get("msg") or "no reason given").split())
