# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_network
short_description: Declare an overlay network of a swarm
version_added: 0.1.0
description:
  - Creates, relabels and removes the networks by which services of a swarm reach each other on all nodes.
  - A network gets its subnets at once. One that overlaps with another network, or with what a node routes itself, is
    refused, and both are named.
  - Of a network only its labels can be changed. When something else is declared, a network that nobody uses is
    replaced by another one of its name. For one that is in use the task fails, and says who uses it.
  - The ingress network, which carries the ports that services publish on all nodes, appears by itself. Declare it with
    O(ingress) only to choose its subnet.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.network_options
attributes:
  check_mode:
    support: full
    details:
      - The runtime plans the change and says what it would be. Where there is no swarm yet it is foreseen.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - Name of the network.
    type: str
    required: true
  state:
    description:
      - V(present) creates the network or brings it to what is declared, V(absent) removes it.
    type: str
    choices:
      - present
      - absent
    default: present
seealso:
  - module: queenright.swarm.swarm_network_info
  - module: queenright.swarm.swarm_service
  - module: community.docker.docker_network
"""

EXAMPLES = r"""
- name: Let services find each other
  queenright.swarm.swarm_network:
    name: mynet

- name: A network without a way out, with IPv6 and a subnet of its own
  queenright.swarm.swarm_network:
    name: database
    internal: true
    enable_ipv6: true
    ipam_config:
      - subnet: 10.20.0.0/24
        gateway: 10.20.0.254
      - subnet: fd00:20::/64
    labels:
      tier: back

- name: Choose the subnet of the network that carries published ports
  queenright.swarm.swarm_network:
    name: ingress
    ingress: true
    ipam_config:
      - subnet: 10.99.0.0/16

- name: Remove a network
  queenright.swarm.swarm_network:
    name: mynet
    state: absent
"""

RETURN = r"""
network:
  description: The network's specification with the subnets that it has, as the Engine API writes it; empty if it was
    removed.
  type: dict
  returned: success
  sample:
    Name: mynet
    Labels: {}
    Driver: overlay
    IPAM:
      Config:
        - Subnet: 10.0.1.0/24
          Gateway: 10.0.1.1
id:
  description: The id of the network, empty if it would be created in check mode.
  type: str
  returned: success
  sample: x04xgc2oq3xhdcm35vcmymxqx
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - create network mynet
changes:
  description: The values that changed.
  type: dict
  returned: success
  sample:
    Labels.tier:
      before: front
      after: back
manager:
  description: Inventory name of the manager that did it.
  type: str
  returned: if it was not the host of the task
  sample: manager1
foreseen:
  description: Whether the result is foreseen, because no manager could be asked yet. Only in check mode.
  type: bool
  returned: if it is
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._networks import network
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    STATE_ARGUMENTS,
    run,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import argument_spec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.network import NetworkSpec


def main() -> None:
    arguments = dict(argument_spec(NetworkSpec), name={"type": "str", "required": True})
    for more in (MANAGERS_ARGUMENTS, SOCKET_ARGUMENTS, STATE_ARGUMENTS):
        arguments.update(more)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), network)


if __name__ == "__main__":
    main()
