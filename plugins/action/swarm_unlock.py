# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_unlock task: unlocks the host; the key is rotated and shown by a manager."""

from __future__ import annotations

import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import ManagerAction
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result


class ActionModule(ManagerAction):
    """Done by the host itself; a worker asks a manager of the group for the key. Output with the key is hidden."""

    module = "swarm_unlock"

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> Result:
        if not self.flag("return_unlock_key", False):
            return ManagerAction.run(self, tmp, task_vars)
        self.hide()
        return dict(ManagerAction.run(self, tmp, task_vars), _ansible_no_log=True)
