# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the action plugins share: the managers of the inventory, the install step, a task that any manager can do."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.plugins.action import ActionBase
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import RELAYED, Result, run_on, why

COLLECTION = "queenright.swarm."
GROUP = "swarm_managers"


class SwarmAction(ActionBase):
    """Base of the collection's action plugins."""

    speaks_of_nodes = False  # whether the option labels is about the node, not the swarm

    def begin(self, tmp: t.Optional[str], task_vars: t.Optional[t.Dict[str, t.Any]]) -> Result:
        """The empty result; from here on ``self.vars`` is there."""
        self.vars = task_vars or {}
        self.here = str(self.vars.get("inventory_hostname"))
        return t.cast("Result", ActionBase.run(self, tmp, self.vars))

    def option(self, name: str, default: t.Any = None) -> t.Any:
        """An option as the task gave it."""
        value = self._task.args.get(name)
        return default if value is None else value

    def flag(self, name: str, default: bool) -> bool:
        """A boolean option; the module refuses what is none."""
        value = self.option(name, default)
        return str(value).strip().lower() in ("1", "true", "yes", "on", "y", "t") if value is not default else default

    def local(self, module: str, arguments: t.Dict[str, t.Any]) -> Result:
        """A module on the host of the task. Nulls are kept: they mean something."""
        result = self._execute_module(
            module_name=COLLECTION + module, module_args=arguments, task_vars=self.vars, wrap_async=False
        )
        return t.cast("Result", result)

    def remote(self, host: str, module: str, arguments: t.Dict[str, t.Any], secret: bool = False) -> Result:
        """A module on another host, or on this one."""
        self._display.vv("queenright: asking %s (%s)" % (host, module), host=self.here)
        return run_on(self, host, COLLECTION + module, arguments, self.vars, secret)

    def socket(self) -> t.Dict[str, t.Any]:
        """The option that every module has, if the task gave it."""
        return {name: self._task.args[name] for name in ("socket",) if name in self._task.args}

    def managers(self) -> t.List[str]:
        """The other hosts of the managers group, those that are known not to answer last."""
        group = self.option("managers_group", GROUP)
        hosts = [str(host) for host in self.vars.get("groups", {}).get(group, []) if host != self.here]
        lost = set(self.vars.get("ansible_play_hosts_all") or ()) - set(self.vars.get("ansible_play_hosts") or ())
        return sorted(hosts, key=lambda host: host in lost)

    def ask_manager(
        self, module: str, arguments: t.Dict[str, t.Any], manages: bool, managers: t.Sequence[str]
    ) -> Result:
        """A module on this host if it ``manages``, else on the first manager that can do it; ``failed`` if none can."""
        answer = failure("there is no manager to ask")
        if manages:
            answer = self.local(module, arguments)
            if not answer.get("needs_manager"):
                return answer
        for host in managers:
            answer = self.remote(host, module, arguments)
            if not answer.get("unreachable") and not answer.get("needs_manager"):
                return answer
        return dict(answer, failed=True)

    def install(self) -> t.Optional[Result]:
        """Bring the runtime to the host unless the task says no. None if it is switched off."""
        if not self.flag("install_runtime", True):
            return None
        options = self.option("runtime_options", {})
        if not isinstance(options, Mapping):
            return failure("runtime_options: expected a dictionary, got %s" % type(options).__name__)
        task = self._task.copy()
        task.action = COLLECTION + "swarm_runtime"
        task.args = dict(self.socket(), **dict(options, state="present"))
        plugin = self._shared_loader_obj.action_loader.get(
            task.action,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        if plugin is None:
            return self.local("swarm_runtime", task.args)
        return t.cast("Result", plugin.run(task_vars=self.vars))

    def hide(self) -> None:
        """Show nothing of this task from now on, at any verbosity; what is registered is whole."""
        self._task.no_log = True
        self._play_context.no_log = True
        self._connection._play_context.no_log = True


def failure(message: str, **more: t.Any) -> Result:
    """A result that fails the task."""
    return dict({"failed": True, "changed": False, "msg": message}, **more)


def installed_too(result: Result, step: t.Optional[Result]) -> Result:
    """The result of a task that had an install step."""
    if step is not None and step.get("changed"):
        result["changed"] = True
        result["actions"] = ["install the runtime", *(result.get("actions") or [])]
    return result


class ManagerAction(SwarmAction):
    """A task that only a manager can do: the host itself, else the managers of the group in turn."""

    TRANSFERS_FILES = False
    module = ""  # name of the module in the collection

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> Result:
        result = self.begin(tmp, task_vars)
        arguments = dict(self._task.args)
        first = self.local(self.module, arguments)
        relayed = getattr(self._task, RELAYED, False)  # asked by another host's task, which tries the next one itself
        if not relayed and first.pop("needs_manager", False):
            first = self._by_another(arguments, first)
        elif not relayed and first.get("stale"):
            first = self._fresher(arguments, first)
        result.update(first)
        return result

    def arguments_for(self, arguments: t.Dict[str, t.Any], first: Result) -> t.Dict[str, t.Any]:
        """The arguments for another host, in the light of what the task's own host answered."""
        return arguments

    def _fresher(self, arguments: t.Dict[str, t.Any], first: Result) -> Result:
        """What a manager says that hears from a majority, where this host's is cut off; else what this one knew."""
        for host in self.managers():
            answer = self.remote(host, self.module, self.arguments_for(arguments, first), secret=self._task.no_log)
            if not any(answer.get(key) for key in ("failed", "unreachable", "stale", "needs_manager")):
                return dict(_shown(answer), manager=host)
        text = "no manager that was asked hears from a majority of them: what is shown is what was known before"
        return dict(first, warnings=[*(first.get("warnings") or []), text])

    def _by_another(self, arguments: t.Dict[str, t.Any], first: Result) -> Result:
        reasons = ["%s: %s" % (self.here, why(first))]
        for host in self.managers():
            answer = self.remote(host, self.module, self.arguments_for(arguments, first), secret=self._task.no_log)
            if answer.pop("needs_manager", False) or answer.get("unreachable"):
                reasons.append("%s: %s" % (host, why(answer)))
                continue
            return dict(_shown(answer), manager=host)
        if not first.get("failed"):
            return first  # foreseen in check mode: there is no swarm yet
        if len(reasons) == 1:
            return first
        return failure("no manager could do this. %s" % " | ".join(reasons))


def _shown(answer: Result) -> Result:
    """Without what the executor notes for itself."""
    return {key: value for key, value in answer.items() if not key.startswith("_ansible_") and key != "invocation"}
