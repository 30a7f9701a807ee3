# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_node_info
short_description: Show the nodes of a swarm
version_added: 0.1.0
description:
  - Shows nodes as the Engine API shows them.
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
      - Ids or host names of the nodes to show. If not given, all are shown. Those that do not exist are left out.
    type: list
    elements: str
seealso:
  - module: queenright.swarm.swarm_node
  - module: queenright.swarm.swarm_info
  - module: community.docker.docker_node_info
"""

EXAMPLES = r"""
- name: Look at all nodes
  queenright.swarm.swarm_node_info:
  register: all

- name: Show which are not ready
  ansible.builtin.debug:
    msg: "{{ all.nodes | rejectattr('Status.State', 'equalto', 'ready') | map(attribute='Description.Hostname') }}"

- name: Show who leads, and which managers do not answer
  ansible.builtin.debug:
    msg: "{{ all.leader.addr }} leads; silent: {{ all.raft.members | rejectattr('reachable') | map(attribute='addr') | join(' ') }}"

- name: Look at one node
  queenright.swarm.swarm_node_info:
    name: worker1
"""

RETURN = r"""
nodes:
  description: The nodes as the Engine API shows them.
  type: list
  elements: dict
  returned: success
  sample:
    - ID: 2ivku8v2gvtg4btmtuwppeqxm
      Version:
        Index: 16
      Spec:
        Labels:
          zone: a
        Role: worker
        Availability: active
      Description:
        Hostname: worker1
        Platform:
          Architecture: x86_64
          OS: linux
      Status:
        State: ready
        Addr: 192.0.2.12
leader:
  description: The node that leads the managers, with C(node_id) and C(addr). Empty if the manager that was asked knows none.
  type: dict
  returned: success
  sample:
    node_id: 0gac67oclbxq7lfpa4r2q6fgs
    addr: 192.0.2.11:2377
has_quorum:
  description: Whether the manager that was asked hears from a majority of the managers. Without one nothing can be changed.
  type: bool
  returned: success
  sample: true
stale:
  description: Whether what is shown may be old, because the manager that was asked hears from no majority of the managers.
  type: bool
  returned: success
  sample: false
raft:
  description:
    - How the managers agree, as the manager that was asked sees it. C(members) are the managers; those with C(voter) count for the majority, the
      others are still catching up. Empty where no manager was asked.
  type: dict
  returned: success
  sample:
    members:
      - node_id: 0gac67oclbxq7lfpa4r2q6fgs
        addr: 192.0.2.11:2377
        voter: true
        reachable: true
manager:
  description: Inventory name of the manager that was asked.
  type: str
  returned: if it was not the host of the task
  sample: manager1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._nodes import nodes
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = dict(SOCKET_ARGUMENTS, name={"type": "list", "elements": "str"})
    arguments.update(MANAGERS_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), nodes)


if __name__ == "__main__":
    main()
