# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_node
short_description: Change or remove a node of a swarm
version_added: 0.1.0
description:
  - Changes labels, role and availability of a node, or removes it from the swarm.
  - The node is the host of the task, or the one that O(name) names. The change is made by the host itself if it is a
    manager, else by a manager of the group.
  - What is not given is left as it is.
  - A node becomes a manager when its host has all of the swarm's state and is one of the voters, and it is a worker when
    it is no voter any more. The task waits for that. The last manager cannot be demoted, nor can one without which the
    others would have no majority; check mode says so too.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.node_options
  - queenright.swarm.wait
attributes:
  check_mode:
    support: full
    details:
      - The runtime plans the change and says what it would be. For a host that is in no swarm yet it is foreseen.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - Id or host name of the node. If not given, the host of the task is meant.
    type: str
  state:
    description:
      - V(present) changes the node. It has to be in the swarm, M(queenright.swarm.swarm_join) brings it there.
      - V(absent) removes it from the swarm's list. Unless O(force=true) it must be down, so
        M(queenright.swarm.swarm_leave) comes first.
    type: str
    choices:
      - present
      - absent
    default: present
  force:
    description:
      - Remove a node that is not down. Its host is not told.
    type: bool
    default: false
  demote:
    description:
      - With O(state=absent), demote the node first if it is a manager. Without it, that is an error.
    type: bool
    default: false
  labels:
    description:
      - >-
        Labels of the node, for constraints V(node.labels.KEY) and preferences. They are added to those that the node
        has. A label with the value null is removed, and null in the place of the dictionary removes all.
    type: dict
  wait:
    description:
      - Whether to wait until the node is ready or, if its availability is V(drain), until it runs no task; before that,
        if O(role) is given, until it has that role.
    type: bool
    default: true
seealso:
  - module: queenright.swarm.swarm_node_info
  - module: queenright.swarm.swarm_join
  - module: queenright.swarm.swarm_leave
  - module: community.docker.docker_node
"""

EXAMPLES = r"""
- name: Label the host's node
  queenright.swarm.swarm_node:
    labels:
      zone: a
      disk: ssd

- name: Remove a label
  queenright.swarm.swarm_node:
    labels:
      disk: null

- name: Drain the node, and wait until it runs no task
  queenright.swarm.swarm_node:
    availability: drain

- name: Let it take tasks again
  queenright.swarm.swarm_node:
    availability: active

- name: Make the node one of the managers
  queenright.swarm.swarm_node:
    role: manager

- name: Remove a node whose host is gone, whether it was a worker or a manager
  queenright.swarm.swarm_node:
    name: worker7
    state: absent
    demote: true
"""

RETURN = r"""
node:
  description: The node's spec as the Engine API shows it; empty if the node was removed.
  type: dict
  returned: success
  sample:
    Labels:
      zone: a
    Role: worker
    Availability: active
id:
  description: The id of the node.
  type: str
  returned: success
  sample: 2ivku8v2gvtg4btmtuwppeqxm
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - update node worker1
changes:
  description: The values that changed, by their path in the spec.
  type: dict
  returned: success
  sample:
    Labels.zone:
      before: null
      after: a
progress:
  description: What the runtime said last while the task waited.
  type: dict
  returned: if O(wait=true), not in check mode
  sample:
    converged: true
    state: converged
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
forecast:
  description:
    - What would become of tasks, as the swarm stands now. C(services) has an item for each service whose tasks would
      change, with C(name), the numbers of tasks C(created) and C(stopped), C(batches) (the slots that are renewed
      together, and after how many seconds at the earliest), C(serving) (how many serve C(before) and C(after), and the
      C(fewest) at any time), C(nodes) (how many tasks each gets) and C(unplaced) (slots for which there is no node, and
      why).
    - The same is said in short lines when diff mode is on.
  type: dict
  returned: in check or diff mode, if tasks change; not if a manager is removed with O(demote=true)
  sample:
    complete: true
    services:
      - name: web
        created: 4
        stopped: 4
        serving:
          before: 4
          fewest: 2
          after: 4
        batches:
          - after: 0.0
            slots: ["1", "2"]
          - after: 6.0
            slots: ["3", "4"]
        nodes:
          node1: 2
          node2: 2
        unplaced: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._nodes import node
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    STATE_ARGUMENTS,
    WAIT_ARGUMENTS,
    run,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import NodeSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import argument_spec


def main() -> None:
    arguments = dict(argument_spec(NodeSpec), name={"type": "str"})
    arguments.update({name: {"type": "bool", "default": False} for name in ("force", "demote")})
    for more in (MANAGERS_ARGUMENTS, SOCKET_ARGUMENTS, STATE_ARGUMENTS, WAIT_ARGUMENTS):
        arguments.update(more)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), node)


if __name__ == "__main__":
    main()
