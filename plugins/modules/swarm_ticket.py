# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_ticket
short_description: Make a ticket with which one host joins a swarm
version_added: 0.1.0
description:
  - Asks a manager for a ticket that is bound to the key of one host, can be used once and is valid for ten minutes.
  - M(queenright.swarm.swarm_join) uses it by itself. It is of use only where that module cannot reach both hosts.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
attributes:
  check_mode:
    support: full
    details:
      - No ticket is made, RV(ticket) is empty.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run makes another ticket.
options:
  key_digest:
    description:
      - Digest of the public key of the host that is to join, as C(POST /queenright/v1/join/key) on its socket answers.
    type: str
    required: true
  role:
    description:
      - The role that the host gets.
    type: str
    choices:
      - worker
      - manager
    default: worker
  availability:
    description:
      - The availability that the node gets.
    type: str
    choices:
      - active
      - pause
      - drain
  labels:
    description:
      - The labels that the node gets.
    type: dict
notes:
  - Use C(no_log) on the task. Whoever has both the ticket and the key of the host can join.
seealso:
  - module: queenright.swarm.swarm_join
"""

EXAMPLES = r"""
- name: Make a ticket for a host whose key digest is known
  queenright.swarm.swarm_ticket:
    key_digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  register: made
  no_log: true
"""

RETURN = r"""
ticket:
  description: The ticket, to be used in the place of a join token.
  type: str
  returned: success
  sample: QRTICKET-1-(digest)-(secret)
root_digest:
  description: SHA-256 of the root certificate's PEM bytes.
  type: str
  returned: success
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
managers:
  description: Addresses of managers to join at.
  type: list
  elements: str
  returned: success
  sample:
    - 192.0.2.11:2377
cluster_id:
  description: The id of the swarm.
  type: str
  returned: success
  sample: 6qxtjhmpnq5gb1gdsvklqz4ra
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._membership import ticket
from ansible_collections.queenright.swarm.plugins.module_utils._resource import SOCKET_ARGUMENTS, run


def main() -> None:
    arguments = dict(
        SOCKET_ARGUMENTS,
        key_digest={"type": "str", "required": True, "no_log": False},
        role={"type": "str", "choices": ["worker", "manager"], "default": "worker"},
        availability={"type": "str", "choices": ["active", "pause", "drain"]},
        labels={"type": "dict"},
    )
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), ticket)


if __name__ == "__main__":
    main()
