# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_bundle
short_description: Bring an application to what a bundle declares, whole
version_added: 0.1.0
description:
  - A bundle (C(.dab)) holds services with the digests of their images, and how they meet, as Docker 1.12 announced it.
    C(queenright bundle create) makes one of a Compose file. It is checked strictly.
  - The stack that comes of it is rolled out, kept and taken back as those of M(queenright.swarm.swarm_stack).
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
  src:
    description:
      - The bundle's file on the controller, looked for as that of M(ansible.builtin.copy).
    type: path
  content:
    description:
      - The bundle's content, as text or as the dictionary that it is.
    type: raw
  tags:
    description:
      - Whether images may be named by a tag instead of a digest.
    type: bool
    default: false
seealso:
  - module: queenright.swarm.swarm_stack
  - module: queenright.swarm.swarm_stack_info
"""

EXAMPLES = r"""
- name: Roll out the bundle that was built and tested
  queenright.swarm.swarm_bundle:
    name: shop
    src: shop.dab

- name: Go back to the third revision
  queenright.swarm.swarm_bundle:
    name: shop
    state: rolled_back
    revision: 3
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
from ansible_collections.queenright.swarm.plugins.module_utils._stacks import ARGUMENTS, bundle


def main() -> None:
    arguments = dict(ARGUMENTS, src={"type": "path"}, content={"type": "raw"}, tags={"type": "bool", "default": False})
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True, mutually_exclusive=[("src", "content")])
    run(module, bundle)


if __name__ == "__main__":
    main()
