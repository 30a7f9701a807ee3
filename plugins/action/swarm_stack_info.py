# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_stack_info task: done where there is a manager."""

from __future__ import annotations

from ansible_collections.queenright.swarm.plugins.plugin_utils._action import ManagerAction


class ActionModule(ManagerAction):
    """Done by the host itself if it is a manager, else by a manager of the group."""

    module = "swarm_stack_info"
