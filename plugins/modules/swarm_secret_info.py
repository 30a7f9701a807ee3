# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_secret_info
short_description: Show the secrets of a swarm
version_added: 0.1.0
description:
  - Shows secrets as the Engine API shows them. Their data is not shown to anybody.
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
      - Names or ids of the secrets to show. A name shows all versions of what is called so.
      - If not given, all are shown. Those that do not exist are left out.
    type: list
    elements: str
seealso:
  - module: queenright.swarm.swarm_secret
  - module: queenright.swarm.swarm_service_info
"""

EXAMPLES = r"""
- name: Look at all versions of a secret
  queenright.swarm.swarm_secret_info:
    name:
      - app
  register: app

- name: Show what they are called
  ansible.builtin.debug:
    msg: "{{ app.secrets | map(attribute='Spec.Name') }}"
"""

RETURN = r"""
secrets:
  description: The secrets as the Engine API shows them. Their data is not shown to anybody.
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
        Name: app
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
from ansible_collections.queenright.swarm.plugins.module_utils._data import secrets
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = dict(SOCKET_ARGUMENTS, name={"type": "list", "elements": "str"})
    arguments.update(MANAGERS_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), secrets)


if __name__ == "__main__":
    main()
