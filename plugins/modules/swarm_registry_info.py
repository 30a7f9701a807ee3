# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_registry_info
short_description: Show for which registries a swarm has credentials
version_added: 0.1.0
description:
  - Shows for which registries the swarm has credentials, and whose they are. The credentials are shown to nobody.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.info
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
seealso:
  - module: queenright.swarm.swarm_registry
"""

EXAMPLES = r"""
- name: Look for which registries there are credentials
  queenright.swarm.swarm_registry_info:
  register: known

- name: Show them
  ansible.builtin.debug:
    msg: "{{ known.registries | map(attribute='Spec.Server') }}"
"""

RETURN = r"""
registries:
  description: What is stored, by server, without the credentials.
  type: list
  elements: dict
  returned: success
  sample:
    - ID: x04xgc2oq3xhdcm35vcmymxqx
      Version:
        Index: 19
      CreatedAt: "2026-05-04T08:12:33.000000000Z"
      UpdatedAt: "2026-05-04T08:12:33.000000000Z"
      Spec:
        Server: registry.example.com:5000
        Username: puller
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
from ansible_collections.queenright.swarm.plugins.module_utils._data import registries
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = dict(SOCKET_ARGUMENTS, **MANAGERS_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), registries)


if __name__ == "__main__":
    main()
