# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_join
short_description: Make a host a node of a swarm
version_added: 0.1.0
description:
  - Joins the swarm of the managers group as a worker or a manager.
  - No join token is needed and none is shown. The host makes its key, a manager of the group gives a ticket that is
    bound to that key, can be used once and is valid for ten minutes, and the host joins with it.
  - The managers are tried in turn, so that one that does not answer does no harm. They need not be hosts of the play.
  - A manager is there when it has all of the swarm's state and is one of the voters; the task waits for that. Several
    hosts can join at once.
  - While an external CA that signs for the swarm does not answer, the host is pending and goes on trying by itself. The
    task waits for it as long as O(wait_timeout) says, and then fails with the reason; the host still goes on.
  - To join a swarm whose managers Ansible does not reach, give O(join_token) and O(remote_addrs).
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.member
  - queenright.swarm.member.return
  - queenright.swarm.member.install
attributes:
  check_mode:
    support: full
    details:
      - That the host would join is foreseen; no ticket is made.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  role:
    description:
      - The host's role in the swarm. A host that is in the swarm with the other role is an error, unless
        O(change_role=true).
    type: str
    choices:
      - worker
      - manager
    default: worker
  labels:
    description:
      - Labels that the node gets when it joins. Use M(queenright.swarm.swarm_node) to change them later.
      - They go with the ticket, so they cannot be given with O(join_token).
    type: dict
  manager:
    description:
      - Inventory name of the manager that gives the ticket. If not given, the hosts of O(managers_group) are tried.
    type: str
  join_token:
    description:
      - A join token of the swarm. It is hidden in results and logs.
    type: str
  remote_addrs:
    description:
      - Addresses of managers, C(ADDRESS[:PORT]), to join with O(join_token).
    type: list
    elements: str
  wait:
    description:
      - Whether a host that joins as a manager waits until it is one of the voters, and a host that is pending until it
        has joined. Without it, RV(state) may be V(pending).
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait at most.
    type: int
    default: 300
notes:
  - A host that is in another swarm than the managers of the group is an error that names both.
  - If no manager answers, a host that is in a swarm is left as it is, with a warning.
seealso:
  - module: queenright.swarm.swarm_init
  - module: queenright.swarm.swarm_leave
  - module: queenright.swarm.swarm_node
  - module: community.docker.docker_swarm
"""

EXAMPLES = r"""
- name: Join the swarm of the managers group as a worker
  queenright.swarm.swarm_join:

- name: Join with labels, by a certain manager
  queenright.swarm.swarm_join:
    manager: manager1
    labels:
      zone: a

- name: Join as one more manager, and be its old self's heir if the host was installed anew
  queenright.swarm.swarm_join:
    role: manager
    replace: true

- name: Join a swarm that Ansible does not manage
  queenright.swarm.swarm_join:
    join_token: "{{ vault_join_token }}"
    remote_addrs:
      - 192.0.2.11
"""

RETURN = r"""
cluster_id:
  description: The id of the swarm, empty if it is only foreseen.
  type: str
  returned: success
  sample: 6qxtjhmpnq5gb1gdsvklqz4ra
node_id:
  description: The host's id as a node.
  type: str
  returned: success
  sample: 2ivku8v2gvtg4btmtuwppeqxm
node_addr:
  description: The address at which the other nodes reach the host.
  type: str
  returned: success
  sample: 192.0.2.12
state:
  description: The state of the membership as in M(queenright.swarm.swarm_info).
  type: str
  returned: success
  sample: active
role:
  description: The host's role in the swarm.
  type: str
  returned: success
  sample: worker
managers:
  description: The managers that the host knows.
  type: list
  elements: dict
  returned: success
  sample:
    - node_id: 0gac67oclbxq7lfpa4r2q6fgs
      addr: 192.0.2.11:2377
manager:
  description: Inventory name of the manager that gave the ticket.
  type: str
  returned: if a ticket was used
  sample: manager1
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - join a swarm as worker
foreseen:
  description: Whether the result is foreseen. Only in check mode.
  type: bool
  returned: success
  sample: false
key_digest:
  description: Digest of the key that a ticket is to be bound to.
  type: str
  returned: if the module is run without its action plugin, and the host could join
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._membership import (
    ADDRESS_ARGUMENTS,
    INSTALL_ARGUMENTS,
    RETURN_ARGUMENTS,
    join,
)
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    WAIT_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = {
        "role": {"type": "str", "choices": ["worker", "manager"], "default": "worker"},
        "labels": {"type": "dict"},
        "manager": {"type": "str"},
        "join_token": {"type": "str", "no_log": True},
        "remote_addrs": {"type": "list", "elements": "str"},
    }
    for more in (
        ADDRESS_ARGUMENTS,
        INSTALL_ARGUMENTS,
        MANAGERS_ARGUMENTS,
        RETURN_ARGUMENTS,
        SOCKET_ARGUMENTS,
        WAIT_ARGUMENTS,
    ):
        arguments.update(more)
    module = AnsibleModule(
        argument_spec=arguments,
        required_together=[("join_token", "remote_addrs")],
        mutually_exclusive=[("join_token", "manager"), ("join_token", "labels")],
        supports_check_mode=True,
    )
    run(module, join)


if __name__ == "__main__":
    main()
