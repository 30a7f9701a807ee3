# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What a host needs to be reached in a swarm.
    DOCUMENTATION = r"""
options:
  advertise_addr:
    description:
      - Address at which the other nodes reach this one, as C(ADDRESS[:PORT]). An IP address, a DNS name or the name of
        a network interface of the host.
      - It is not checked that the address belongs to the host, so that it can be one that is translated on the way.
      - If not given, the address of the interface with the default route is used.
    type: str
  listen_addr:
    description:
      - Address at which a manager listens for the other nodes, as C(ADDRESS[:PORT]).
      - The port of the join listener is always the one behind it. Both must be reachable from the other nodes.
      - If not given, V(0.0.0.0:2377) is used.
    type: str
  data_path_addr:
    description:
      - Address or interface for the traffic between containers. If not given, it is that of O(advertise_addr).
    type: str
  availability:
    description:
      - Whether the node takes tasks. V(active) takes tasks, V(pause) keeps what it runs and takes no more, V(drain)
        gives its tasks away.
      - It applies when the host becomes a node. Use M(queenright.swarm.swarm_node) to change it later.
    type: str
    choices:
      - active
      - pause
      - drain
"""

    # Modules that bring their runtime along.
    INSTALL = r"""
options:
  install_runtime:
    description:
      - Whether to run M(queenright.swarm.swarm_runtime) on the host first, so that the runtime is there and up to date.
    type: bool
    default: true
  runtime_options:
    description:
      - Options for M(queenright.swarm.swarm_runtime) when O(install_runtime=true).
    type: dict
    default: {}
"""
