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

    # A host that was in the swarm before, as something else.
    RETURN = r"""
options:
  change_role:
    description:
      - Promote or demote a host that is in the swarm with the other role already. Otherwise that is an error.
    type: bool
    default: false
  replace:
    description:
      - Take the place of what this host was. A host whose state was lost, for example one that was installed anew, joins
        as another node; what it was stays in the swarm's list and is down for ever. A manager that was lost so still
        counts for the majority.
      - With this option, nodes that have the host's name and are down are demoted if need be and removed, once the host
        has joined. Their labels go over to the new node, and if it joins in this task their availability, unless the
        task says something else.
      - Host names must be unique in the swarm for that. A node that is not down is never replaced. When the host joins, a
        node of its name is given a minute to be noticed as down.
      - Without it the task warns of such a node when the host joins.
      - In check mode nothing is said of it before the host has joined.
    type: bool
    default: false
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
