# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_secret
short_description: Keep secrets for the services of a swarm
version_added: 0.1.0
description:
  - Secrets are shown to nobody. A container reads them as files that are only in its node's memory.
  - Data never changes once it is stored. Other data under the same name becomes a new version of it, and the services
    that use an older one are moved to it with a rolling update.
  - The data is compared inside the runtime. Neither it nor a digest of it is shown, logged or stored elsewhere.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.versions
  - queenright.swarm.secret_options
  - queenright.swarm.wait
attributes:
  check_mode:
    support: full
    details:
      - The runtime plans the change and says what it would be. Where there is no swarm yet it is foreseen.
  diff_mode:
    support: full
    details:
      - Everything but the data is shown.
  idempotent:
    support: full
options:
  wait:
    description:
      - Whether to wait until the services that were moved run as declared.
    type: bool
    default: true
seealso:
  - module: queenright.swarm.swarm_secret_info
  - module: queenright.swarm.swarm_service
  - module: community.docker.docker_secret
"""

EXAMPLES = r"""
- name: Give the application its database password
  queenright.swarm.swarm_secret:
    name: db_password
    data: "{{ vault_db_password }}"

- name: Run the application; a password that changed has been rolled out by then
  queenright.swarm.swarm_service:
    name: app
    image: registry.example.com/app:7
    secrets:
      - secret_name: db_password
        filename: db-password
        uid: "1000"
        mode: "0400"

- name: Store a key from an encrypted file beside the playbook, and let the next task move the services
  queenright.swarm.swarm_secret:
    name: tls_key
    src: tls.key.vault
    roll: false

- name: Remove it with all its versions
  queenright.swarm.swarm_secret:
    name: tls_key
    state: absent

- name: Remove all secrets that nobody needs and that are older than a day
  queenright.swarm.swarm_secret:
    prune: true
    prune_filters:
      until: 24h
"""

RETURN = r"""
secret:
  description: The newest version as the Engine API shows it, without its data; empty if it was removed.
  type: dict
  returned: if O(name) is given
  sample:
    Name: app.v2
    Labels:
      queenright.base: app
      queenright.version: "2"
    Data: (not shown)
id:
  description: The id of the newest version, empty if it would be created in check mode.
  type: str
  returned: if O(name) is given
  sample: x04xgc2oq3xhdcm35vcmymxqx
services:
  description: The services that were moved to the newest version, or would be in check mode.
  type: list
  elements: str
  returned: if O(name) is given
  sample:
    - web
pruned:
  description: Names of what was removed because nobody needs it, or would be in check mode.
  type: list
  elements: str
  returned: if O(prune=true)
  sample:
    - oldsecret
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - create secret app.v2, version 2 of app
    - update service web to secret app.v2
changes:
  description: The values that changed. Data is never shown.
  type: dict
  returned: success
  sample:
    Data:
      before: (not shown)
      after: (not shown)
    Services.web:
      before: app
      after: app.v2
reasons:
  description: Why a service is not as declared, most important first.
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
forecast:
  description:
    - What would become of tasks, as the swarm stands now. C(services) has an item for each service whose tasks would
      change, with C(name), the numbers of tasks C(created) and C(stopped), C(batches) (the slots that are renewed
      together, and after how many seconds at the earliest), C(serving) (how many serve C(before) and C(after), and the
      C(fewest) at any time), C(nodes) (how many tasks each gets) and C(unplaced) (slots for which there is no node, and
      why).
    - The same is said in short lines when diff mode is on.
  type: dict
  returned: in check or diff mode, if tasks change
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
from ansible_collections.queenright.swarm.plugins.module_utils._data import LIMITS, arguments, secret
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    STATE_ARGUMENTS,
    run,
)


def main() -> None:
    options = arguments("secret")
    for more in (MANAGERS_ARGUMENTS, SOCKET_ARGUMENTS, STATE_ARGUMENTS):
        options.update(more)
    run(AnsibleModule(argument_spec=options, supports_check_mode=True, **LIMITS), secret)


if __name__ == "__main__":
    main()
