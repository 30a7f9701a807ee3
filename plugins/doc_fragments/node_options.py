# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by scripts/docs from plugins/module_utils/_spec: change the rows there.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  labels:
    description:
      - >-
        Labels of the node, for constraints V(node.labels.KEY) and preferences.
    type: dict
  role:
    description:
      - >-
        Whether the node manages the swarm.
    type: str
    choices:
      - worker
      - manager
  availability:
    description:
      - >-
        V(active) takes tasks, V(pause) keeps what it runs and takes no more, V(drain) gives its tasks away.
    type: str
    choices:
      - active
      - pause
      - drain
  mesh_backend:
    description:
      - >-
        What balances connections in this node's kernel.
      - >-
        If it was never set, what the swarm says applies.
    type: str
    choices:
      - nftables
      - ipvs
"""
