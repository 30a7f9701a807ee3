# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_apply
short_description: Bring a whole swarm to what is declared, in one call
version_added: 0.1.0
description:
  - All that is declared is planned together and written in one piece, or nothing of it. Where nothing changes, it is one round trip.
  - What is not named is left as it is. An item with C(state=absent) is removed. Options of an item that are not given are left as they
    are, as with the modules for single objects.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.wait
attributes:
  check_mode:
    support: full
    details:
      - The runtime plans the change and says what it would be. Where there is no swarm yet it is foreseen.
  diff_mode:
    support: full
    details:
      - Data is not shown. The plan stands before the differences, in words.
  idempotent:
    support: full
options:
  swarm:
    description:
      - Options of the swarm that can be changed on a live one, as of M(queenright.swarm.swarm_init).
    type: dict
  registries:
    description:
      - Credentials for registries, each with C(server), and C(username) with C(password) or C(identity_token), as of
        M(queenright.swarm.swarm_registry).
    type: list
    elements: dict
  networks:
    description:
      - Networks, each with C(name) and options as of M(queenright.swarm.swarm_network).
    type: list
    elements: dict
  secrets:
    description:
      - Secrets, each with C(name), C(data) (with C(data_is_b64=true) in base64) or C(src) (a file on the controller), and options as
        of M(queenright.swarm.swarm_secret).
    type: list
    elements: dict
  configs:
    description:
      - Configs, as O(secrets).
    type: list
    elements: dict
  nodes:
    description:
      - Nodes, each with C(name) (host name or id) and options as of M(queenright.swarm.swarm_node).
    type: list
    elements: dict
  services:
    description:
      - Services, each with C(name) and options as of M(queenright.swarm.swarm_service), but for C(registry).
    type: list
    elements: dict
  stacks:
    description:
      - Stacks, each with C(name) and options as of M(queenright.swarm.swarm_stack), but for C(compose) and C(registries).
    type: list
    elements: dict
  git_revision:
    description:
      - Commit that declares it, kept with revisions of stacks. By default the one that is checked out where the playbook is.
    type: str
  user:
    description:
      - Who declares it, kept with revisions of stacks. By default the user who runs Ansible.
    type: str
  playbook:
    description:
      - Playbook that declares it, kept with revisions of stacks. By default the name of the one that runs.
    type: str
  contents:
    description:
      - Data that is shown nowhere, in base64. The task fills it.
    type: dict
seealso:
  - module: queenright.swarm.swarm_stack
  - module: queenright.swarm.swarm_service
"""

EXAMPLES = r"""
- name: Bring the swarm to what the inventory says
  queenright.swarm.swarm_apply:
    swarm:
      task_history_retention_limit: 3
    registries:
      - server: registry.example.com
        username: deploy
        password: "{{ vault_registry_password }}"
    networks:
      - name: back
    secrets:
      - name: db_password
        data: "{{ vault_db_password }}"
    services:
      - name: db
        image: registry.example.com/db:16
        networks:
          - name: back
        secrets:
          - secret_name: db_password
      - name: web
        image: registry.example.com/web:4
        replicas: 3
        networks:
          - name: back
      - name: former
        state: absent
"""

RETURN = r"""
objects:
  description: What was changed, each with C(kind), C(name), C(id), C(actions) and C(diff) (the values that changed, by their path).
  type: list
  elements: dict
  returned: success
  sample:
    - kind: service
      name: web
      id: x04xgc2oq3xhdcm35vcmymxqx
      actions:
        - update service web
      diff:
        Mode.Replicated.Replicas:
          before: 2
          after: 3
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - update service web
forecast:
  description: What would become of tasks, as M(queenright.swarm.swarm_service) returns it.
  type: dict
  returned: in check or diff mode, if tasks change
  sample: {}
reasons:
  description: Why something is not as declared, most important first.
  type: list
  elements: str
  returned: if waiting failed
  sample:
    - "task web.4 on node worker2: exited with 1"
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
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    WAIT_ARGUMENTS,
    run,
)
from ansible_collections.queenright.swarm.plugins.module_utils._whole import NOTED, SECTIONS, whole


def main() -> None:
    arguments = dict(
        swarm={"type": "dict"},
        contents={"type": "dict", "no_log": True},
        **SOCKET_ARGUMENTS,
    )
    arguments.update(
        {section: {"type": "list", "elements": "dict", "no_log": False} for section, _kind, _key in SECTIONS}
    )
    arguments.update({name: {"type": "str"} for name in NOTED})
    arguments.update(MANAGERS_ARGUMENTS)
    arguments.update(WAIT_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), whole)


if __name__ == "__main__":
    main()
