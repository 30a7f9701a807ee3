# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_node task: done where there is a manager."""

from __future__ import annotations

import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import ManagerAction
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result


class ActionModule(ManagerAction):
    """Done by the host itself if it is a manager, else by one of the group. By default its own node is meant."""

    module = "swarm_node"

    def arguments_for(self, arguments: t.Dict[str, t.Any], first: Result) -> t.Dict[str, t.Any]:
        if arguments.get("name") is not None:
            return arguments
        return dict(arguments, name=first["node_id"])
