# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_join task: install, get a ticket, join."""

from __future__ import annotations

import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import SwarmAction, failure, installed_too
from ansible_collections.queenright.swarm.plugins.plugin_utils._joining import join
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result


class ActionModule(SwarmAction):
    """Installs the runtime, gets a ticket from a manager, joins."""

    TRANSFERS_FILES = False
    speaks_of_nodes = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> Result:
        result = self.begin(tmp, task_vars)
        manager = self.option("manager")
        if manager is not None and manager not in self.vars.get("groups", {}).get("all", []):
            result.update(failure("manager: the inventory has no host %s" % manager))
            return result
        step = self.install()
        if step is not None and step.get("failed"):
            result.update(step)
            return result
        managers = [str(manager)] if manager is not None else self.managers()
        result.update(installed_too(join(self, dict(self._task.args), managers), step))
        return result
