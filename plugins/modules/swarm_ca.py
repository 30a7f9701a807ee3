# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_ca
short_description: Manage the CA of a swarm, its certificates and its join tokens
version_added: 0.1.0
description:
  - Shows the root certificate of a swarm and every certificate that it has issued to nodes, and sets how long such
    certificates are valid.
  - Replaces the root certificate, by one that the swarm makes or by a given one, while the swarm works. Nodes get new
    certificates by and by and trust both roots meanwhile. A node that is down is waited for as long as
    O(ca_rotation_grace) says and then left behind. At the end both join tokens are new.
  - Has the certificates of nodes signed by an external CA, revokes a certificate, and makes join tokens anew, which
    makes the old ones worthless at once.
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
      - Join tokens and keys are not part of the diff.
  idempotent:
    support: partial
    details:
      - With O(rotate=true), O(rotate_worker_token=true) or O(rotate_manager_token=true) the task always changes
        something, but for a rotation that is under way already. That one is waited for.
options:
  node_cert_expiry:
    description:
      - How long a node's certificate is valid, V(30m) at least. It is left as it is if not given, and goes back to its
        default with null.
    type: str
  ca_key_algorithm:
    description:
      - The kind of key of roots that the swarm makes. The present root keeps its own.
    type: str
    choices:
      - p256
      - p384
  ca_rotation_grace:
    description:
      - Time for which a rotation waits for a node that is down, such as V(10m).
    type: str
  ca_expired_grace:
    description:
      - Time after the end of a node's certificate in which the node may come back by proof of its key, such as V(720h).
    type: str
  rotate:
    description:
      - Replace the root certificate by a new one that the swarm makes.
    type: bool
    default: false
  ca_cert:
    description:
      - The root certificate (PEM) that the swarm shall use. If an intermediate certificate shall sign, it comes first,
        and the root last.
      - Nothing happens if it is the root certificate of the swarm already.
    type: str
  ca_key:
    description:
      - The key (PEM, not encrypted) of the first certificate in O(ca_cert). Without it, one of O(external_cas) must sign
        under that root.
    type: str
  external_cas:
    description:
      - Authorities that sign the certificates of nodes in the place of the swarm, tried in this order. An empty list
        removes them.
    type: list
    elements: dict
    suboptions:
      url:
        description:
          - Where it signs, such as V(https://ca.example:8888/api/v1/cfssl/sign).
        type: str
        required: true
      protocol:
        description:
          - How it is spoken to.
        type: str
        choices:
          - cfssl
      ca_cert:
        description:
          - The root certificate (PEM) that it signs under. Without it, that of the swarm.
        type: str
  revoke:
    description:
      - Serial of a certificate, hexadecimal, that shall open nothing any more. A node that uses it is shut out until it
        joins again.
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
  wait:
    description:
      - Whether to wait until no rotation of the root certificate is under way.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait at most. The task then fails and names the nodes that have yet to turn.
    type: int
    default: 300
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

- name: Replace the root certificate
  queenright.swarm.swarm_ca:
    rotate: true
    wait_timeout: 600

- name: Use a root certificate of the house
  queenright.swarm.swarm_ca:
    ca_cert: "{{ house_certificates }}"
    ca_key: "{{ vault_house_key }}"

- name: Have an external CA sign
  queenright.swarm.swarm_ca:
    ca_cert: "{{ outside_root }}"
    external_cas:
      - url: https://ca.example:8888/api/v1/cfssl/sign
        ca_cert: "{{ outside_root }}"

- name: Shut out whoever has the stolen certificate
  queenright.swarm.swarm_ca:
    revoke: "5f3a01c2"

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
certificates:
  description: Every certificate that was issued to a node and may still mean something, the oldest first.
  type: list
  elements: dict
  returned: success
  sample:
    - serial: 5f3a01c2
      node_id: 0gac67oclbxq7lfpa4r2q6fgs
      hostname: h1
      role: worker
      issued_at: "2026-01-01T00:00:00.000000000Z"
      not_before: "2025-12-31T23:00:00.000000000Z"
      not_after: "2026-04-01T00:00:00.000000000Z"
      revoked_at: ""
      in_use: current
rotation:
  description: How far the rotation is that is under way, empty if there is none.
  type: dict
  returned: success
  sample:
    total: 3
    turned: 2
    waiting:
      - id: 0gac67oclbxq7lfpa4r2q6fgs
        hostname: h1
        state: ready
    left: []
left_behind:
  description: Nodes whose certificates are of a former root. They find home when they are up again.
  type: list
  elements: dict
  returned: success
  sample:
    - id: 0gac67oclbxq7lfpa4r2q6fgs
      hostname: h1
      state: down
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
from ansible_collections.queenright.swarm.plugins.module_utils._authority import EXTERNAL_CAS_ARGUMENTS, authority
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    WAIT_ARGUMENTS,
    run,
)


def main() -> None:
    arguments = dict(
        SOCKET_ARGUMENTS,
        node_cert_expiry={"type": "str"},
        ca_key_algorithm={"type": "str", "choices": ["p256", "p384"], "no_log": False},
        ca_rotation_grace={"type": "str"},
        ca_expired_grace={"type": "str"},
        rotate={"type": "bool", "default": False},
        ca_cert={"type": "str"},
        ca_key={"type": "str", "no_log": True},
        revoke={"type": "str"},
        rotate_worker_token={"type": "bool", "default": False, "no_log": False},
        rotate_manager_token={"type": "bool", "default": False, "no_log": False},
        return_join_tokens={"type": "bool", "default": False, "no_log": False},
    )
    arguments.update(EXTERNAL_CAS_ARGUMENTS)
    arguments.update(MANAGERS_ARGUMENTS)
    arguments.update(WAIT_ARGUMENTS)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), authority)


if __name__ == "__main__":
    main()
