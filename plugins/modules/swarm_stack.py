# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_stack
short_description: Bring an application of several services to what is declared, whole
version_added: 0.1.0
description:
  - A stack is services, networks, secrets and configs that are one thing. It is declared by Compose files, or by the options of this
    task, and is written in one piece. Services begin in the order of their dependencies.
  - If a service cannot be made what it shall be, the whole stack goes back to the revision before, and the task fails and says why.
  - The swarm keeps former revisions, with who made them. Replicas that were set by hand stay unless the source says how many there
    shall be.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.wait
  - queenright.swarm.stack
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
  compose:
    description:
      - Compose files, as paths on the controller that are looked for as those of M(ansible.builtin.copy), or as their content. Several
        are merged in this order. Files of environments, secrets and configs are read on the controller, relative to the first one.
      - What is taken, refused and ignored of Compose stands in the collection's page on stacks.
    type: list
    elements: raw
  variables:
    description:
      - Variables that O(compose) may use as C(${NAME}). The controller's environment is not used.
    type: dict
  services:
    description:
      - Services by key, each with options as of M(queenright.swarm.swarm_service), and C(depends_on), a list of keys, or by key with a
        C(condition) that is one of V(started), V(healthy) and V(completed).
    type: dict
  networks:
    description:
      - Networks by key, with options as of M(queenright.swarm.swarm_network). With C(external=true) it is there without the stack, under
        C(name).
    type: dict
  secrets:
    description:
      - Secrets by key, with C(data) (with C(data_is_b64=true) in base64) or C(src) (a file on the controller), C(labels) and
        C(template_driver). With C(external=true) it is there without the stack, under C(name).
    type: dict
  configs:
    description:
      - Configs by key, as O(secrets).
    type: dict
seealso:
  - module: queenright.swarm.swarm_stack_info
  - module: queenright.swarm.swarm_bundle
  - module: queenright.swarm.swarm_apply
  - module: community.docker.docker_stack
"""

EXAMPLES = r"""
- name: Roll out a shop as its Compose file says
  queenright.swarm.swarm_stack:
    name: shop
    compose:
      - compose.yml
    variables:
      TAG: "4"

- name: Roll out two services, the second one when the first one is healthy
  queenright.swarm.swarm_stack:
    name: shop
    networks:
      back: {}
    secrets:
      password:
        data: "{{ vault_db_password }}"
    services:
      db:
        image: registry.example.com/db:16
        networks:
          - name: back
        secrets:
          - secret_name: password
      web:
        image: registry.example.com/web:4
        replicas: 3
        networks:
          - name: back
        publish:
          - published_port: 80
            target_port: 8080
        depends_on:
          db:
            condition: healthy

- name: Go back to the revision before
  queenright.swarm.swarm_stack:
    name: shop
    state: rolled_back

- name: Take the shop away, with all that it has
  queenright.swarm.swarm_stack:
    name: shop
    state: absent
"""

RETURN = r"""
stack:
  description: The stack as it is declared now, without data; empty if it was removed.
  type: dict
  returned: success
  sample:
    Name: shop
    Labels: {}
    Services:
      web:
        Name: shop_web
    Networks: {}
    Secrets: {}
    Configs: {}
    DependsOn: {}
revision:
  description: Number of the revision in force.
  type: int
  returned: success
  sample: 4
plan:
  description:
    - What is made, changed and removed, each with C(kind), C(name) and C(diff). C(restarts) says how many tasks of which services are made
      anew in how many batches (in check and diff mode), C(order) which services begin together, one wave after the other.
  type: dict
  returned: success
  sample:
    create: []
    update:
      - kind: service
        name: shop_web
        diff:
          TaskTemplate.ContainerSpec.Image:
            before: shop/web:1
            after: shop/web:2
    remove: []
    restarts: []
    order:
      - [shop_db]
      - [shop_web]
id:
  description: The id of the stack, empty if it would be created in check mode.
  type: str
  returned: success
  sample: x04xgc2oq3xhdcm35vcmymxqx
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - update stack shop to revision 4
    - update service shop_web
changes:
  description: The values that changed, by their path. Data is not part of it.
  type: dict
  returned: success
  sample:
    Services.web.TaskTemplate.ContainerSpec.Image:
      before: shop/web:1
      after: shop/web:2
progress:
  description: How far the stack is, if it was waited for.
  type: dict
  returned: if O(wait=true)
  sample:
    state: converged
reasons:
  description: Why the stack is not as declared, most important first.
  type: list
  elements: str
  returned: if waiting failed
  sample:
    - "service shop_web: task shop_web.1 failed: No such image: shop/web:2"
forecast:
  description: What would become of tasks, as M(queenright.swarm.swarm_service) returns it.
  type: dict
  returned: in check or diff mode, if tasks change
  sample: {}
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
from ansible_collections.queenright.swarm.plugins.module_utils._resource import run
from ansible_collections.queenright.swarm.plugins.module_utils._stacks import ARGUMENTS, NATIVE, stack


def main() -> None:
    arguments = dict(ARGUMENTS, compose={"type": "list", "elements": "raw"}, variables={"type": "dict"})
    arguments.update({section: {"type": "dict", "no_log": False} for section in NATIVE})
    module = AnsibleModule(
        argument_spec=arguments,
        supports_check_mode=True,
        mutually_exclusive=[("compose", section) for section in NATIVE],
        required_by={"variables": "compose"},
    )
    run(module, stack)


if __name__ == "__main__":
    main()
