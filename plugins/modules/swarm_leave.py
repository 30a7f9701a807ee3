# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_leave
short_description: Take a host out of its swarm
version_added: 0.1.0
description:
  - Ends the host's membership in its swarm. The containers of its tasks are removed, and the keys of the host are wiped.
    Other containers, images and volumes stay.
  - A manager hands over first, so that the others go on without it and do not count it any more. It is demoted, becomes
    a worker, and leaves then. Several managers can leave one after another, but not the last one, and not where too few
    of the others answer for a majority.
  - The swarm keeps a node that is down in its list, until M(queenright.swarm.swarm_node) removes it.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  force:
    description:
      - Leave even if the host is a manager that cannot hand over, because it is the last one, or because there is no
        majority of managers. It is still tried for a moment to tell the others.
      - All state of the swarm is gone when its last manager leaves.
      - A membership that cannot go on is left with it too.
    type: bool
    default: false
  cluster_id:
    description:
      - Leave only the swarm with this id. It is an error if the host is in another one.
    type: str
seealso:
  - module: queenright.swarm.swarm_join
  - module: queenright.swarm.swarm_info
    description: Shows the id of the swarm.
  - module: queenright.swarm.swarm_node
    description: Drains a node before it leaves, and removes it afterwards.
  - module: community.docker.docker_swarm
"""

EXAMPLES = r"""
- name: Leave the swarm
  queenright.swarm.swarm_leave:

- name: Take a manager out of the swarm; the others go on
  queenright.swarm.swarm_leave:

- name: End the swarm of the only manager, but only this one
  queenright.swarm.swarm_leave:
    force: true
    cluster_id: 6qxtjhmpnq5gb1gdsvklqz4ra
"""

RETURN = r"""
state:
  description: The state of the membership as in M(queenright.swarm.swarm_info).
  type: str
  returned: success
  sample: inactive
role:
  description: The host's role, empty after it left.
  type: str
  returned: success
  sample: ""
node_id:
  description: The host's id as a node, empty after it left.
  type: str
  returned: success
  sample: ""
node_addr:
  description: The address at which the other nodes reached the host, empty after it left.
  type: str
  returned: success
  sample: ""
cluster_id:
  description: The id of the swarm, empty after the host left.
  type: str
  returned: success
  sample: ""
managers:
  description: The managers that the host knows, none after it left.
  type: list
  elements: dict
  returned: success
  sample: []
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - leave swarm 6qxtjhmpnq5gb1gdsvklqz4ra
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._leaving import leave
from ansible_collections.queenright.swarm.plugins.module_utils._resource import SOCKET_ARGUMENTS, run


def main() -> None:
    arguments = dict(
        SOCKET_ARGUMENTS,
        force={"type": "bool", "default": False},
        cluster_id={"type": "str"},
    )
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), leave)


if __name__ == "__main__":
    main()
