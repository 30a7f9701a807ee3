# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_manage_firewall
short_description: Open a host's firewall to the other nodes of a swarm
version_added: 0.1.0
description:
  - Lets the nodes of a swarm reach the ports that a swarm needs, and nobody else, by the firewall that the host has.
  - On managers these are O(control_port) and the port after it (TCP), on all nodes O(data_path_port) (UDP), through
    which the nodes' overlay networks reach each other.
  - Ports that services publish are not opened here. They are meant for everybody who reaches the node.
  - Only what this module made is changed or removed, ever.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) opens the ports to O(nodes), and closes them to nodes that are not named any more.
      - V(absent) takes away all that this module has opened.
    type: str
    choices:
      - present
      - absent
    default: present
  nodes:
    description:
      - Addresses or networks of all nodes of the swarm, IPv4 or IPv6. Names cannot be used.
      - Needed unless O(state=absent).
    type: list
    elements: str
  manager:
    description:
      - Whether the host is a manager or may become one. Workers listen on no control port.
    type: bool
    default: true
  control_port:
    description:
      - The port at which managers listen. Hosts join at the port after it.
    type: int
    default: 2377
  data_path_port:
    description:
      - The port of the tunnels between nodes.
    type: int
    default: 4789
  mesh:
    description:
      - Let through what the host forwards to and from C(swgw0), the link by which published ports reach their tasks.
    type: bool
    default: true
  backend:
    description:
      - The firewall to use. V(auto) takes firewalld where it runs, else ufw where it is active, else nftables.
      - With V(nftables) a table C(inet swarm_firewall) keeps all but the nodes from the ports, and chains of others that
        drop packets get a first rule that lets the nodes pass. Chains of iptables are left alone, with a warning.
    type: str
    choices:
      - auto
      - firewalld
      - ufw
      - nftables
    default: auto
  zone:
    description:
      - The zone of firewalld in which the nodes arrive. By default it is the default zone.
    type: str
  persistent:
    description:
      - With nftables, keep the rules over a restart of the host or of C(nftables.service), by a unit of systemd. The
        other firewalls keep their rules by themselves.
    type: bool
    default: true
seealso:
  - module: queenright.swarm.swarm_preflight_info
"""

EXAMPLES = r"""
- name: Let the nodes of the swarm reach each other
  queenright.swarm.swarm_manage_firewall:
    nodes:
      - 192.0.2.11
      - 192.0.2.12
      - 192.0.2.13

- name: Open a worker to a network of nodes
  queenright.swarm.swarm_manage_firewall:
    nodes:
      - 192.0.2.0/28
    manager: false

- name: Close what was opened
  queenright.swarm.swarm_manage_firewall:
    state: absent
"""

RETURN = r"""
backend:
  description: The firewall that was used, empty if the host has none.
  type: str
  returned: success
  sample: nftables
rules:
  description: All that is open because of this module.
  type: list
  elements: str
  returned: success
  sample:
    - "nodes only: udp 4789"
    - node 192.0.2.11
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - "open: node 192.0.2.11"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._firewall_flow import manage


def main() -> None:
    manage(
        AnsibleModule(
            argument_spec={
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                "nodes": {"type": "list", "elements": "str"},
                "manager": {"type": "bool", "default": True},
                "control_port": {"type": "int", "default": 2377},
                "data_path_port": {"type": "int", "default": 4789},
                "mesh": {"type": "bool", "default": True},
                "backend": {"type": "str", "choices": ["auto", "firewalld", "ufw", "nftables"], "default": "auto"},
                "zone": {"type": "str"},
                "persistent": {"type": "bool", "default": True},
            },
            required_if=[("state", "present", ["nodes"])],
            supports_check_mode=True,
        )
    )


if __name__ == "__main__":
    main()
