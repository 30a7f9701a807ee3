# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_unlock
short_description: Unlock a manager of a swarm, and rotate the unlock key
version_added: 0.1.0
description:
  - Where a swarm was declared with O(queenright.swarm.swarm_init#module:autolock), a manager keeps its keys, its log and
    its certificate closed on the disk, and needs the unlock key whenever it was started anew. Until then its state is
    V(locked) in M(queenright.swarm.swarm_info). Its containers run on, and the other managers and the workers go on
    without it.
  - Gives the host the unlock key. A host that is not locked stays as it is, so that the task can be part of each play.
  - Makes the unlock key anew. All managers that run take it at once, and the old key opens none of them any more. One
    that is down then takes it when it was unlocked with the key of before.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
attributes:
  check_mode:
    support: full
    details:
      - Whether the key is the right one is not tried in check mode.
  diff_mode:
    support: full
    details:
      - The unlock key is not part of the diff.
  idempotent:
    support: partial
    details:
      - With O(rotate=true) the task always changes something.
options:
  unlock_key:
    description:
      - The unlock key of the swarm, V(SWMKEY-1-) and 43 characters. The task fails if the host is locked and there is
        none, or if it is a wrong one.
    type: str
  rotate:
    description:
      - Make the unlock key anew. It is an error where autolock is not turned on.
    type: bool
    default: false
  return_unlock_key:
    description:
      - Return the unlock key in RV(unlock_key). The output of the task is then hidden as with C(no_log), what is
        registered is not. A key that the task was given by O(unlock_key) is not repeated.
      - Keep the key where the managers cannot be reached from, such as a vault. Without it, a swarm whose managers were
        all started anew is lost.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until a manager that was unlocked hears from a majority of them.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait at most.
    type: int
    default: 120
seealso:
  - module: queenright.swarm.swarm_init
  - module: queenright.swarm.swarm_info
"""

EXAMPLES = r"""
- name: Unlock the manager, if it is locked
  queenright.swarm.swarm_unlock:
    unlock_key: "{{ vault_unlock_key }}"

- name: Get the unlock key
  queenright.swarm.swarm_unlock:
    return_unlock_key: true
  register: locked

- name: Make the unlock key anew, and get it
  queenright.swarm.swarm_unlock:
    rotate: true
    return_unlock_key: true
  register: locked
"""

RETURN = r"""
unlock_key:
  description: The unlock key, empty where managers are not locked.
  type: str
  returned: if O(return_unlock_key=true)
  sample: SWMKEY-1-(key)
state:
  description: The state of the membership as in M(queenright.swarm.swarm_info).
  type: str
  returned: success
  sample: active
role:
  description: The host's role in the swarm.
  type: str
  returned: success
  sample: manager
node_id:
  description: The host's id as a node.
  type: str
  returned: success
  sample: 0gac67oclbxq7lfpa4r2q6fgs
node_addr:
  description: The address at which the other nodes reach the host.
  type: str
  returned: success
  sample: 192.0.2.11
cluster_id:
  description: The id of the swarm.
  type: str
  returned: success
  sample: 6qxtjhmpnq5gb1gdsvklqz4ra
managers:
  description: The managers that the host knows.
  type: list
  elements: dict
  returned: success
  sample:
    - node_id: 0gac67oclbxq7lfpa4r2q6fgs
      addr: 192.0.2.11:2377
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - unlock this host
manager:
  description: Inventory name of the manager that did it.
  type: str
  returned: if it was not the host of the task
  sample: manager1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    WAIT_ARGUMENTS,
    run,
)
from ansible_collections.queenright.swarm.plugins.module_utils._unlocking import unlock


def main() -> None:
    arguments = dict(
        SOCKET_ARGUMENTS,
        unlock_key={"type": "str", "no_log": True},
        rotate={"type": "bool", "default": False},
        return_unlock_key={"type": "bool", "default": False, "no_log": False},
    )
    arguments.update(MANAGERS_ARGUMENTS)
    arguments.update(WAIT_ARGUMENTS)
    arguments["wait_timeout"] = {"type": "int", "default": 120}
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), unlock)


if __name__ == "__main__":
    main()
