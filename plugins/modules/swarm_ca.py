# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_ca
short_description: Show the CA of a swarm, rotate its join tokens
version_added: 0.1.0
description:
  - Shows the root certificate of a swarm and its digest, sets how long certificates of nodes are valid, and makes join
    tokens anew, which makes the old ones worthless at once.
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
  diff_mode:
    support: full
    details:
      - Join tokens are not part of the diff.
  idempotent:
    support: partial
    details:
      - With O(rotate_worker_token=true) or O(rotate_manager_token=true) the task always changes something.
options:
  node_cert_expiry:
    description:
      - How long a node's certificate is valid, V(1h) at least. It is left as it is if not given, and goes back to its
        default with null.
    type: str
  rotate_worker_token:
    description:
      - Make the join token of workers anew.
    type: bool
    default: false
  rotate_manager_token:
    description:
      - Make the join token of managers anew.
    type: bool
    default: false
  return_join_tokens:
    description:
      - Return the join tokens in RV(join_tokens). The output of the task is then hidden as with C(no_log), what is
        registered is not.
      - M(queenright.swarm.swarm_join) needs no token.
    type: bool
    default: false
seealso:
  - module: queenright.swarm.swarm_join
  - module: queenright.swarm.swarm_info
  - module: community.docker.docker_swarm
"""

EXAMPLES = r"""
- name: Look at the root certificate
  queenright.swarm.swarm_ca:
  register: ca

- name: Keep it for clients
  ansible.builtin.copy:
    content: "{{ ca.root_certificate }}"
    dest: /etc/ssl/certs/swarm-root.pem
    mode: "0644"

- name: Make the join token of workers worthless
  queenright.swarm.swarm_ca:
    rotate_worker_token: true

- name: Get the join tokens for hosts that Ansible does not manage
  queenright.swarm.swarm_ca:
    return_join_tokens: true
  register: tokens
"""

RETURN = r"""
cluster_id:
  description: The id of the swarm.
  type: str
  returned: success
  sample: 6qxtjhmpnq5gb1gdsvklqz4ra
root_certificate:
  description: The root certificate as PEM.
  type: str
  returned: success
  sample: "-----BEGIN CERTIFICATE-----\nMIIBajCCARCgAwIBAgIU\n-----END CERTIFICATE-----\n"
root_digest:
  description: SHA-256 of the root certificate's PEM bytes.
  type: str
  returned: success
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
issuer_subject:
  description: Subject of the certificate that signs those of the nodes, base64 of its DER form.
  type: str
  returned: success
  sample: MBMxETAPBgNVBAMTCHN3YXJtLWNh
issuer_public_key:
  description: Public key of the certificate that signs those of the nodes, base64 of its DER form.
  type: str
  returned: success
  sample: MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
join_tokens:
  description: The join tokens of workers and managers.
  type: dict
  returned: if O(return_join_tokens=true)
  sample:
    worker: SWMTKN-1-(digest)-(secret)
    manager: SWMTKN-1-(digest)-(secret)
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - rotate the join token of workers
changes:
  description: The values that changed, by their path in the swarm's spec.
  type: dict
  returned: success
  sample:
    CAConfig.NodeCertExpiry:
      before: 7776000000000000
      after: 86400000000000
manager:
  description: Inventory name of the manager that did it.
  type: str
  returned: if it was not the host of the task
  sample: manager1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._objects import authority
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = dict(
        SOCKET_ARGUMENTS,
        node_cert_expiry={"type": "str"},
        rotate_worker_token={"type": "bool", "default": False, "no_log": False},
        rotate_manager_token={"type": "bool", "default": False, "no_log": False},
        return_join_tokens={"type": "bool", "default": False, "no_log": False},
    )
    arguments.update(MANAGERS_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), authority)


if __name__ == "__main__":
    main()
