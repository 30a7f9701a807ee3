# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_stack_info
short_description: Show the stacks of a swarm
version_added: 0.1.0
description:
  - Shows stacks, those included that C(docker stack deploy) made, which are C(Managed=false).
  - With O(name) all of one is shown, also its revisions, and its drift, which is what was changed by hand since, and by whom.
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
      - Name of the stack to show whole. Nothing is shown if there is none of that name.
    type: str
  revision:
    description:
      - Number of a revision to show as it was declared, instead of the stack as it is.
    type: int
seealso:
  - module: queenright.swarm.swarm_stack
  - module: queenright.swarm.swarm_bundle
"""

EXAMPLES = r"""
- name: List the stacks
  queenright.swarm.swarm_stack_info:
  register: all_of_them

- name: Look at one of them
  queenright.swarm.swarm_stack_info:
    name: shop
  register: shop

- name: Say what was changed by hand
  ansible.builtin.debug:
    msg: "{{ shop.stacks | map(attribute='Drift') | flatten }}"
"""

RETURN = r"""
stacks:
  description:
    - The stacks. Each has C(Name), C(Managed), C(Services), and if the swarm knows it as a stack C(Revision), C(State), C(Message) and
      C(Failed). One that was asked for by name has lists of C(Services), C(Networks), C(Secrets), C(Configs), C(Revisions),
      C(Leftovers), and C(Drift), whose items have C(Kind), C(Name), C(Field), C(Declared), C(Found), C(By) and C(At).
  type: list
  elements: dict
  returned: success
  sample:
    - ID: x04xgc2oq3xhdcm35vcmymxqx
      Name: shop
      Managed: true
      Revision: 4
      State: completed
      Message: ""
      Failed: ""
      Services: 2
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
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    run,
)
from ansible_collections.queenright.swarm.plugins.module_utils._stacks import stacks


def main() -> None:
    arguments = dict(SOCKET_ARGUMENTS, name={"type": "str"}, revision={"type": "int"})
    arguments.update(MANAGERS_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), stacks)


if __name__ == "__main__":
    main()
