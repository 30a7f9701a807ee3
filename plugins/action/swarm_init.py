# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_init task: install, ask the other managers, then found, join or change."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import (
    GROUP,
    SwarmAction,
    failure,
    installed_too,
)
from ansible_collections.queenright.swarm.plugins.plugin_utils._joining import join
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result, why
from ansible_collections.queenright.swarm.plugins.plugin_utils._succession import Succession

MOST = 7  # managers
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
    "change_role",
    "replace",
    "wait",
    "wait_timeout",
)
USUAL = "1, 3, 5 or 7"


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
        advice = _advice(str(self.option("managers_group", GROUP)), self._group())
        if advice:
            result["warnings"] = [*(result.get("warnings") or []), advice]
        return result

    def _group(self) -> t.List[str]:
        """All hosts of the managers group, this one among them or not."""
        return [str(host) for host in self.vars.get("groups", {}).get(self.option("managers_group", GROUP), [])]

    def _found_or_join(self) -> Result:
        others = [] if self.flag("force_init", False) else self.managers()
        if not others:
            return self._found()
        own = self.local("swarm_info", self.socket())
        if own.get("failed"):
            return own
        if self.flag("force_new_cluster", False):
            return self._go_on_alone(own, others)
        if own.get("state") not in OUTSIDE:
            return self._declare(own, others)
        answers = {host: self.remote(host, "swarm_info", self.socket()) for host in others}
        silent = {host: why(answer) for host, answer in answers.items() if not _settled(answer)}
        swarms = {host: str(answer["cluster_id"]) for host, answer in answers.items() if answer.get("cluster_id")}
        if len(set(swarms.values())) > 1:
            return failure(_two_swarms(swarms))
        if swarms:
            return self._join(sorted(swarms, key=others.index))
        if silent:
            return failure(_silent(silent))
        founder = self._founder(others)
        return self._found() if founder == self.here else self._follow(founder)

    def _declare(self, own: Result, others: t.List[str]) -> Result:
        """Of a swarm that is there: one other manager says whether it is the same that the others are in."""
        silent = {}
        for host in others:
            answer = self.remote(host, "swarm_info", self.socket())
            other = answer.get("cluster_id")
            if not _settled(answer):
                silent[host] = why(answer)
            elif other and own.get("cluster_id") and other != own["cluster_id"]:
                return failure(_two_swarms({self.here: str(own["cluster_id"]), host: str(other)}))
            elif other and own.get("role") == "worker":
                return self._join([host, *(name for name in others if name != host)])
            elif other:
                break
        result = self._found(silent)
        if result.get("failed"):
            return result
        return Succession(self, result, others).settle(joined=False)

    def _go_on_alone(self, own: Result, others: t.List[str]) -> Result:
        """Force a new cluster of this manager, if nobody else can go on with the old one."""
        if own.get("has_quorum"):
            return self._found()
        batch = {str(host) for host in self.vars.get("ansible_play_batch") or []}
        rivals = sorted(batch.intersection(others))
        if rivals and not self._task.run_once:
            return failure(_rivals(self.here, rivals))
        for host in others:
            answer = self.remote(host, "swarm_info", self.socket())
            if answer.get("has_quorum") and answer.get("cluster_id") == own.get("cluster_id"):
                return failure(_majority_elsewhere(host))
        return self._found()

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


def _rivals(here: str, rivals: t.List[str]) -> str:
    return (
        "force_new_cluster is for one manager, from which the swarm goes on, and this play is for %s too: each would "
        "go on with a swarm of its own. Say --limit %s, or set run_once" % (", ".join(rivals), here)
    )


def _majority_elsewhere(host: str) -> str:
    return (
        "force_new_cluster: manager %s of the same swarm hears from a majority, so the swarm is well and only this "
        "host is cut off from it. Mend the network between them; or let this host leave with "
        "queenright.swarm.swarm_leave and force, and join again" % host
    )


def _advice(group: str, hosts: t.List[str]) -> str:
    """What is to be said of the number of managers, nothing of 1, 3, 5 and 7."""
    count = len(hosts)
    if count > MOST:
        return "the group %s has %d hosts: every change waits for a majority of them. Use %s" % (group, count, USUAL)
    if count == 0 or count % 2:
        return ""
    words = "the group %s has %d hosts: so many managers survive the loss of %d, as %d would, and more can fail. Use %s"
    return words % (group, count, (count - 1) // 2, count - 1, USUAL)


def _silent(silent: t.Dict[str, str]) -> str:
    return (
        "these managers do not say whether they are in a swarm, so another one might be founded beside it: %s. Mend "
        "them, take them out of the group, or set force_init" % _listed(silent)
    )
