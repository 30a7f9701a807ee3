# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_registry
short_description: Keep credentials with which all nodes of a swarm pull images
version_added: 0.1.0
description:
  - Stores credentials for a registry in the swarm. Each node gets them when it is given a task whose image is in that
    registry, so that a task that is placed anew years later still finds its image.
  - They can be replaced at any time. Nothing that runs is restarted.
  - Credentials of a service itself, the option O(queenright.swarm.swarm_service#module:registry), come before these.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.registry_options
attributes:
  check_mode:
    support: full
    details:
      - The runtime plans the change and says what it would be. Where there is no swarm yet it is foreseen.
  diff_mode:
    support: full
    details:
      - Everything but the credentials is shown.
  idempotent:
    support: full
options:
  server:
    description:
      - Address of the registry, V(HOST) or V(HOST:PORT). V(docker.io) is Docker Hub.
    type: str
    required: true
  state:
    description:
      - V(present) stores the credentials or replaces them, V(absent) removes them.
    type: str
    choices:
      - present
      - absent
    default: present
  password:
    description:
      - Password or access token of O(username). Needed whenever that is given, unless O(state=absent).
    type: str
  identity_token:
    description:
      - An identity token, instead of a user and a password.
    type: str
seealso:
  - module: queenright.swarm.swarm_registry_info
  - module: queenright.swarm.swarm_service
  - module: community.docker.docker_login
"""

EXAMPLES = r"""
- name: Let all nodes pull from our registry
  queenright.swarm.swarm_registry:
    server: registry.example.com:5000
    username: puller
    password: "{{ vault_registry_password }}"

- name: Forget the credentials for Docker Hub
  queenright.swarm.swarm_registry:
    server: docker.io
    state: absent
"""

RETURN = r"""
registry:
  description: What is stored, without the credentials; empty if it was removed.
  type: dict
  returned: success
  sample:
    Server: registry.example.com:5000
    Username: puller
    Credentials: (not shown)
id:
  description: The id of the entry, empty if it would be created in check mode.
  type: str
  returned: success
  sample: x04xgc2oq3xhdcm35vcmymxqx
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - replace the credentials for registry registry.example.com:5000
changes:
  description: The values that changed. Credentials are never shown.
  type: dict
  returned: success
  sample:
    Credentials:
      before: (not shown)
      after: (not shown)
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
from ansible_collections.queenright.swarm.plugins.module_utils._data import registry
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    STATE_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = {
        "server": {"type": "str", "required": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "identity_token": {"type": "str", "no_log": True},
    }
    for more in (MANAGERS_ARGUMENTS, SOCKET_ARGUMENTS, STATE_ARGUMENTS):
        arguments.update(more)
    module = AnsibleModule(
        argument_spec=arguments,
        supports_check_mode=True,
        required_by={"password": "username"},
        mutually_exclusive=[("identity_token", "username"), ("identity_token", "password")],
    )
    params = module.params
    if params["state"] == "present" and params["username"] is not None and params["password"] is None:
        module.fail_json(msg="missing parameter(s) required by 'username': password")
    run(module, registry)


if __name__ == "__main__":
    main()
