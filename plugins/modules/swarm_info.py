# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_info
short_description: Show where a host stands in a swarm
version_added: 0.1.0
description:
  - Shows the runtime of a host, the swarm that the host is in, and, if the host is a manager, what holds for the swarm.
  - It works on every host, whether it has a runtime and is in a swarm or not. Join tokens are never shown.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.info
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
seealso:
  - module: queenright.swarm.swarm_init
  - module: queenright.swarm.swarm_node_info
  - module: queenright.swarm.swarm_service_info
  - module: queenright.swarm.swarm_ca
    description: The root certificate and the join tokens.
  - module: community.docker.docker_swarm_info
"""

EXAMPLES = r"""
- name: Ask a host where it stands
  queenright.swarm.swarm_info:
  register: here

- name: Show in which swarm it is
  ansible.builtin.debug:
    msg: "{{ here.role }} of {{ here.cluster_id }}"
  when: here.state == "active"

- name: Stop where a manager has lost the others
  ansible.builtin.assert:
    that: here.role != "manager" or here.has_quorum
"""

RETURN = r"""
state:
  description:
    - V(absent) if the host has no runtime, V(inactive) if it is in no swarm, V(pending) while it joins, V(active) if it
      is a node, V(locked) if it is a manager that needs the unlock key (M(queenright.swarm.swarm_unlock)), V(error) if
      its membership cannot go on; then RV(error) says why.
  type: str
  returned: success
  sample: active
role:
  description: V(worker) or V(manager), empty outside of a swarm.
  type: str
  returned: success
  sample: manager
node_id:
  description: The host's id as a node.
  type: str
  returned: success
  sample: 0gac67oclbxq7lfpa4r2q6fgs
node_addr:
  description: The address at which the other nodes reach the host.
  type: str
  returned: success
  sample: 192.0.2.11
cluster_id:
  description: The id of the swarm.
  type: str
  returned: success
  sample: 6qxtjhmpnq5gb1gdsvklqz4ra
managers:
  description: The managers that the host knows.
  type: list
  elements: dict
  returned: success
  sample:
    - node_id: 0gac67oclbxq7lfpa4r2q6fgs
      addr: 192.0.2.11:2377
error:
  description: What hinders the membership, empty if nothing does.
  type: str
  returned: success
  sample: ""
clock_skew:
  description:
    - Seconds by which the host's clock was ahead of that of the manager that leads, when that was heard last; less than zero if it was
      behind. Certificates begin and end by these clocks.
  type: float
  returned: success
  sample: 0.012
tasks:
  description: How many tasks the host has and how many of them run.
  type: dict
  returned: success
  sample:
    running: 3
    total: 3
runtime:
  description: The runtime on the host; C(engine) in it is the Docker Engine that it works with.
  type: dict
  returned: success
  sample:
    installed: true
    version: 0.1.0
    ready: true
    started_at: "2026-05-04T08:12:33.718281828Z"
    engine:
      reachable: true
      version: 27.5.1
      error: ""
leader:
  description: The node that leads the managers, with C(node_id) and C(addr). Empty if the host knows none.
  type: dict
  returned: success
  sample:
    node_id: 0gac67oclbxq7lfpa4r2q6fgs
    addr: 192.0.2.11:2377
has_quorum:
  description: Whether the host hears from a majority of the managers. Without one nothing can be changed.
  type: bool
  returned: success
  sample: true
stale:
  description: Whether what is shown may be old, because the host hears from no majority of the managers.
  type: bool
  returned: success
  sample: false
raft:
  description:
    - How the managers agree, as the host sees it. C(members) are the managers; those with C(voter) count for the majority, the
      others are still catching up. Empty where no manager was asked.
  type: dict
  returned: success
  sample:
    members:
      - node_id: 0gac67oclbxq7lfpa4r2q6fgs
        addr: 192.0.2.11:2377
        voter: true
        reachable: true
swarm:
  description: The swarm as the Engine API shows it, without its join tokens. Empty if the host is no manager.
  type: dict
  returned: success
  sample:
    ID: 6qxtjhmpnq5gb1gdsvklqz4ra
    Version:
      Index: 11
    Spec:
      Name: default
      Labels: {}
    DefaultAddrPool:
      - 10.0.0.0/8
    SubnetSize: 24
    DataPathPort: 4789
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._objects import overview
from ansible_collections.queenright.swarm.plugins.module_utils._resource import SOCKET_ARGUMENTS, run


def main() -> None:
    module = AnsibleModule(argument_spec=dict(SOCKET_ARGUMENTS), supports_check_mode=True)
    run(module, overview)


if __name__ == "__main__":
    main()
