# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_network_info
short_description: Show the overlay networks of a swarm
version_added: 0.1.0
description:
  - Shows the networks of the swarm with their subnets, and what they lack if an address could not be given.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.info
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
options:
  name:
    description:
      - Names or ids of the networks. Without it all are shown.
    type: list
    elements: str
seealso:
  - module: queenright.swarm.swarm_network
"""

EXAMPLES = r"""
- name: Look for a network
  queenright.swarm.swarm_network_info:
    name: mynet
  register: known

- name: Show its subnets
  ansible.builtin.debug:
    msg: "{{ known.networks | map(attribute='IPAM.Config') | flatten | map(attribute='Subnet') }}"
"""

RETURN = r"""
networks:
  description: The networks by name, as the Engine API shows them. The key C(Error) says what one lacks, if it does.
  type: list
  elements: dict
  returned: success
  sample:
    - Name: mynet
      Id: x04xgc2oq3xhdcm35vcmymxqx
      Created: "2026-05-04T08:12:33.000000000Z"
      Scope: swarm
      Driver: overlay
      EnableIPv6: false
      IPAM:
        Driver: default
        Config:
          - Subnet: 10.0.1.0/24
            Gateway: 10.0.1.1
      Internal: false
      Attachable: false
      Ingress: false
      Labels: {}
stale:
  description: Whether what is shown may be old, because the manager that was asked hears from no majority of them.
  type: bool
  returned: success
  sample: false
manager:
  description: Inventory name of the manager that was asked.
  type: str
  returned: if it was not the host of the task
  sample: manager1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._networks import networks
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = dict(SOCKET_ARGUMENTS, **MANAGERS_ARGUMENTS)
    arguments["name"] = {"type": "list", "elements": "str"}
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), networks)


if __name__ == "__main__":
    main()
