# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_init task: install, ask the other managers, then found, join or change."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import SwarmAction, failure, installed_too
from ansible_collections.queenright.swarm.plugins.plugin_utils._joining import join
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result, why

PAUSE = 2.0  # seconds between two looks at the founder
OUTSIDE = ("absent", "inactive")
JOINING = (
    "advertise_addr",
    "listen_addr",
    "data_path_addr",
    "availability",
    "install_runtime",
    "runtime_options",
    "managers_group",
    "socket",
)


class ActionModule(SwarmAction):
    """Installs the runtime, asks the other managers, then founds, joins or changes."""

    TRANSFERS_FILES = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> Result:
        result = self.begin(tmp, task_vars)
        step = self.install()
        if step is not None and step.get("failed"):
            result.update(step)
            return result
        result.update(installed_too(self._found_or_join(), step))
        return result

    def _found_or_join(self) -> Result:
        others = [] if self.flag("force_init", False) else self.managers()
        if not others:
            return self._found()
        own = self.local("swarm_info", self.socket())
        if own.get("failed"):
            return own
        answers = {host: self.remote(host, "swarm_info", self.socket()) for host in others}
        silent = {host: why(answer) for host, answer in answers.items() if not _settled(answer)}
        swarms = {host: str(answer["cluster_id"]) for host, answer in answers.items() if answer.get("cluster_id")}
        if own.get("cluster_id"):
            swarms[self.here] = str(own["cluster_id"])
        if len(set(swarms.values())) > 1:
            return failure(_two_swarms(swarms))
        if own.get("state") not in OUTSIDE:
            return self._found(silent)
        if swarms:
            return self._join(sorted(swarms, key=others.index))
        if silent:
            return failure(_silent(silent))
        founder = self._founder(others)
        return self._found() if founder == self.here else self._follow(founder)

    def _found(self, silent: t.Optional[t.Dict[str, str]] = None) -> Result:
        """Found a swarm, or bring the one that this host manages to what is declared."""
        result = self.local("swarm_init", dict(self._task.args))
        if silent:
            text = "these managers did not answer: %s" % _listed(silent)
            result["warnings"] = [*(result.get("warnings") or []), text]
        return result

    def _founder(self, others: t.List[str]) -> str:
        """Who founds where several hosts could, all at the same time: the first of the play's batch."""
        candidates = {self.here, *others}
        batch = [str(host) for host in self.vars.get("ansible_play_batch") or [] if str(host) in candidates]
        return batch[0] if self.here in batch else self.here

    def _follow(self, founder: str) -> Result:
        """Join what the founder founds in this very task."""
        if self._task.check_mode:
            return self._join([founder])
        deadline = time.monotonic() + float(self.option("wait_timeout", 300))
        while self.flag("wait", True):
            answer = self.remote(founder, "swarm_info", self.socket())
            if answer.get("state") == "active":
                break
            if time.monotonic() >= deadline:
                return failure(
                    "%s comes first among the managers of this play, so it founds the swarm, but it is in none: %s. "
                    "Run this task on it too, or set force_init on the host that is to found"
                    % (founder, _state(answer))
                )
            time.sleep(PAUSE)
        return self._join([founder])

    def _join(self, managers: t.List[str]) -> Result:
        arguments = {name: self._task.args[name] for name in JOINING if name in self._task.args}
        result = join(self, dict(arguments, role="manager"), managers)
        if not result.get("failed"):
            result.setdefault("swarm", {})
        return result


def _settled(answer: Result) -> bool:
    """Whether an answer says for sure in which swarm the host is, or that it is in none."""
    if answer.get("failed") or answer.get("unreachable"):
        return False
    return answer.get("state") in OUTSIDE or bool(answer.get("cluster_id"))


def _state(answer: Result) -> str:
    return why(answer) if answer.get("failed") or answer.get("unreachable") else "state %s" % answer.get("state")


def _listed(reasons: t.Dict[str, str]) -> str:
    return " | ".join("%s: %s" % item for item in sorted(reasons.items()))


def _two_swarms(swarms: t.Dict[str, str]) -> str:
    parts = ["%s is in %s" % (host, swarms[host]) for host in sorted(swarms)]
    return (
        "the managers are in different swarms: %s. Let those that are in the wrong one leave with "
        "queenright.swarm.swarm_leave, or set force_init" % ", ".join(parts)
    )


def _silent(silent: t.Dict[str, str]) -> str:
    return (
        "these managers do not say whether they are in a swarm, so another one might be founded beside it: %s. Mend "
        "them, take them out of the group, or set force_init" % _listed(silent)
    )
