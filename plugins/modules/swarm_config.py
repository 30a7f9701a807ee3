# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_config
short_description: Keep configs for the services of a swarm
version_added: 0.1.0
description:
  - Configs are files that containers read. Whoever may use the Engine API can read them too.
  - Data never changes once it is stored. Other data under the same name becomes a new version of it, and the services
    that use an older one are moved to it with a rolling update.
  - The data is compared inside the runtime. This module does not show it; M(queenright.swarm.swarm_config_info) does.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.versions
  - queenright.swarm.config_options
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
  - module: queenright.swarm.swarm_config_info
  - module: queenright.swarm.swarm_service
  - module: community.docker.docker_config
"""

EXAMPLES = r"""
- name: Bring the configuration of the web server
  queenright.swarm.swarm_config:
    name: nginx_conf
    src: nginx.conf
    labels:
      part: web

- name: Run the web server with it
  queenright.swarm.swarm_service:
    name: web
    image: nginx:1.27
    configs:
      - config_name: nginx_conf
        filename: /etc/nginx/nginx.conf

- name: Make a file in which each container finds the name of its node
  queenright.swarm.swarm_config:
    name: where
    data: |
      node = {% raw %}{{ .Node.Hostname }}{% endraw %}
    template_driver: golang

- name: Remove all configs of a part that nobody needs
  queenright.swarm.swarm_config:
    prune: true
    prune_filters:
      labels:
        - part=web
"""

RETURN = r"""
config:
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
    - oldconfig
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - create config app.v2, version 2 of app
    - update service web to config app.v2
changes:
  description: The values that changed. The data is not part of it.
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
from ansible_collections.queenright.swarm.plugins.module_utils._data import LIMITS, arguments, config
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    STATE_ARGUMENTS,
    run,
)


def main() -> None:
    options = arguments("config")
    for more in (MANAGERS_ARGUMENTS, SOCKET_ARGUMENTS, STATE_ARGUMENTS):
        options.update(more)
    run(AnsibleModule(argument_spec=options, supports_check_mode=True, **LIMITS), config)


if __name__ == "__main__":
    main()
