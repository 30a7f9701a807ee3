# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  managers_group:
    description:
      - Inventory group of the hosts that are managers of the swarm, or are to become managers.
      - If the host of the task cannot do what only a manager can, the hosts of this group are tried in turn, each over
        its own connection and with its own variables. They need not be hosts of the play.
      - So are they if the host is a manager that hears from no majority of the managers.
    type: str
    default: swarm_managers
"""
