# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_service_info
short_description: Show the services of a swarm and their tasks
version_added: 0.1.0
description:
  - Shows services and their tasks as the Engine API shows them.
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
      - Names or ids of the services to show. If not given, all are shown. Those that do not exist are left out.
    type: list
    elements: str
  tasks:
    description:
      - Whether to show the tasks of the services too, those that ended included.
    type: bool
    default: true
seealso:
  - module: queenright.swarm.swarm_service
  - module: queenright.swarm.swarm_info
  - module: community.docker.docker_swarm_service_info
"""

EXAMPLES = r"""
- name: Look at a service and its tasks
  queenright.swarm.swarm_service_info:
    name: web
  register: web

- name: Show on which nodes it runs
  ansible.builtin.debug:
    msg: "{{ web.tasks | selectattr('Status.State', 'equalto', 'running') | map(attribute='NodeID') }}"

- name: Look at all services, without their tasks
  queenright.swarm.swarm_service_info:
    tasks: false
"""

RETURN = r"""
services:
  description: The services as the Engine API shows them, each with its C(ServiceStatus).
  type: list
  elements: dict
  returned: success
  sample:
    - ID: x04xgc2oq3xhdcm35vcmymxqx
      Version:
        Index: 19
      Spec:
        Name: web
        Labels: {}
        Mode:
          Replicated:
            Replicas: 3
      ServiceStatus:
        RunningTasks: 3
        DesiredTasks: 3
        CompletedTasks: 0
tasks:
  description: The tasks of all services shown, as the Engine API shows them; none with O(tasks=false).
  type: list
  elements: dict
  returned: success
  sample:
    - ID: ny5m0kgpkwtvfyxpk5crfuq4l
      ServiceID: x04xgc2oq3xhdcm35vcmymxqx
      Slot: 1
      NodeID: 2ivku8v2gvtg4btmtuwppeqxm
      DesiredState: running
      Status:
        State: running
        Message: started
ports:
  description:
    - The ports that these services publish on all nodes, each with the nodes where it answers and, where it does not, the reason in C(error).
    - Empty while no leader can be asked.
  type: list
  elements: dict
  returned: success
  sample:
    - service: web
      service_id: x04xgc2oq3xhdcm35vcmymxqx
      protocol: tcp
      port: 80
      target_port: 80
      ready: true
      nodes:
        - id: 2ivku8v2gvtg4btmtuwppeqxm
          hostname: node1
          ready: true
          error: ""
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
from ansible_collections.queenright.swarm.plugins.module_utils._objects import services
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = dict(
        SOCKET_ARGUMENTS,
        name={"type": "list", "elements": "str"},
        tasks={"type": "bool", "default": True},
    )
    arguments.update(MANAGERS_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), services)


if __name__ == "__main__":
    main()
