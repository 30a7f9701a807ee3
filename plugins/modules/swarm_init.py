# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_init
short_description: Found a swarm, or bring it to what is declared
version_added: 0.1.0
description:
  - Founds a swarm with the host as its first manager. If the host manages a swarm already, the options that a live
    swarm can change are brought to what is declared.
  - The other hosts of the managers group are asked first. If one of them is in a swarm, the host joins that swarm as a
    manager instead of founding a second one, even if it is the one that founded the swarm and lost its state since. If
    none is and the task runs on several of them at once, the first host of the play founds and the others join it.
  - Managers agree on every change by Raft, so a majority of them must be there. Three survive the loss of one, five of
    two, seven of three. The task warns if the group has an even number of hosts, or more than seven.
  - An option that is not given is left as it is. An option with the value null goes back to its default.
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
  - queenright.swarm.swarm_options
attributes:
  check_mode:
    support: full
    details:
      - On a host without a runtime or outside of a swarm it is foreseen what would be founded.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  data_path_port:
    description:
      - UDP port for the traffic between containers, V(1024) to V(49151). It cannot be changed on a live swarm.
      - If not given when the swarm is founded, V(4789) is used.
    type: int
  default_addr_pool:
    description:
      - Networks, in CIDR notation, that the swarm's networks are cut from. They cannot be changed on a live swarm.
      - If not given when the swarm is founded, V(10.0.0.0/8) is used.
    type: list
    elements: str
  subnet_size:
    description:
      - Prefix length of a network cut from O(default_addr_pool). It cannot be changed on a live swarm.
      - If not given when the swarm is founded, V(24) is used.
    type: int
  external_cas:
    description:
      - Authorities outside of the swarm that sign the certificates of its nodes, tried in this order. See
        O(queenright.swarm.swarm_ca#module:external_cas).
      - A swarm that is founded with them has no key of a CA at all, and needs O(first_manager). On a live swarm they are
        brought to what is declared; what signs for another root is named with M(queenright.swarm.swarm_ca).
    type: list
    elements: dict
    suboptions:
      url:
        description:
          - Where it signs, as V(https://ca.example:8888/api/v1/cfssl/sign).
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
  first_manager:
    description:
      - Who the host is that founds a swarm with O(external_cas). An external CA listens to managers only, so it has to
        certify the first one beforehand. On a live swarm, and on a host that joins, the option does nothing.
      - The subject of the certificate is the swarm's id as organisation, C(swarm-manager) as organisational unit and the
        node's id as common name, each id being 25 characters of V(0) to V(9) and V(a) to V(z). Its DNS names are
        C(swarm-manager), the node's id and C(swarm-ca), it is for servers and clients, and it lives no longer than
        O(node_cert_expiry).
      - The manager asks the external CA for another certificate with another key at once, so that this key is soon worth
        nothing.
    type: dict
    suboptions:
      key:
        description:
          - The private key (PEM, not encrypted). It is hidden in results and logs.
        type: str
        required: true
      certificate:
        description:
          - Its certificate (PEM).
        type: str
        required: true
      root_certificate:
        description:
          - The root certificate (PEM) of the external CA, which becomes that of the swarm.
        type: str
        required: true
  force_init:
    description:
      - Found a swarm without asking the other managers. Without it the task fails if one of them does not answer, or
        if they are in different swarms.
    type: bool
    default: false
  force_new_cluster:
    description:
      - For a swarm that lost the majority of its managers for good. The host, one of the managers that are left, goes on
        as the only manager, with all that it knows - services, nodes, labels and keys. Workers stay.
      - It is done only if the host has heard from no majority for ten seconds. Otherwise the task changes nothing but
        what else is declared, so that it can be run again.
      - It is refused if another manager of the group still hears from a majority, and if the play is for more than one
        manager of the group, unless the task has C(run_once). With O(force_init=true) nobody is asked.
      - What the lost majority may have acknowledged and this host had not heard of is lost. Managers that come back are
        refused. Let them leave with M(queenright.swarm.swarm_leave) and O(queenright.swarm.swarm_leave#module:force),
        then join again.
    type: bool
    default: false
  wait:
    description:
      - Whether a host waits until the manager that is founding the swarm in the same task is ready, to join it, and then
        until it is one of the voters.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait at most, for each of the two.
    type: int
    default: 300
notes:
  - To change O(advertise_addr), O(listen_addr), O(data_path_port), O(default_addr_pool) or O(subnet_size) on a live
    swarm is an error, not a silent success.
seealso:
  - module: queenright.swarm.swarm_join
  - module: queenright.swarm.swarm_info
  - module: queenright.swarm.swarm_leave
  - module: community.docker.docker_swarm
"""

EXAMPLES = r"""
- name: Found a swarm, or join the one that another manager is in
  queenright.swarm.swarm_init:

- name: Found a swarm on a given address
  queenright.swarm.swarm_init:
    advertise_addr: 192.0.2.11
    default_addr_pool:
      - 10.20.0.0/16
    subnet_size: 26

- name: Make sure that a host that was installed anew is a manager again, in the place of what it was
  queenright.swarm.swarm_init:
    replace: true

- name: Go on with this manager alone, after the majority was lost for good
  queenright.swarm.swarm_init:
    force_new_cluster: true
    install_runtime: false

- name: Have managers locked after a restart
  queenright.swarm.swarm_init:
    autolock: true

- name: Found a swarm that has no key of a CA
  queenright.swarm.swarm_init:
    external_cas:
      - url: https://ca.example:8888/api/v1/cfssl/sign
    first_manager:
      key: "{{ vault_first_manager_key }}"
      certificate: "{{ first_manager_certificate }}"
      root_certificate: "{{ outside_root }}"

- name: Keep more ended tasks, and bring the heartbeat back to its default
  queenright.swarm.swarm_init:
    task_history_retention_limit: 10
    dispatcher_heartbeat_period: null
"""

RETURN = r"""
swarm:
  description: The swarm's spec as the Engine API shows it; empty on a host that joined.
  type: dict
  returned: success
  sample:
    Name: default
    Labels: {}
    Orchestration:
      TaskHistoryRetentionLimit: 5
    Dispatcher:
      HeartbeatPeriod: 5000000000
    CAConfig:
      NodeCertExpiry: 7776000000000000
cluster_id:
  description: The id of the swarm, empty if it is only foreseen.
  type: str
  returned: success
  sample: 6qxtjhmpnq5gb1gdsvklqz4ra
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
    - found a swarm
changes:
  description: The values that changed, by their path in the spec.
  type: dict
  returned: success
  sample:
    Orchestration.TaskHistoryRetentionLimit:
      before: 5
      after: 10
foreseen:
  description: Whether the result is foreseen, because no runtime could be asked yet. Only in check mode.
  type: bool
  returned: success
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._membership import (
    ADDRESS_ARGUMENTS,
    FOUNDING_ARGUMENTS,
    INSTALL_ARGUMENTS,
    RETURN_ARGUMENTS,
    found,
)
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    WAIT_ARGUMENTS,
    run,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import SwarmSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import argument_spec


def main() -> None:
    arguments = dict(argument_spec(SwarmSpec))
    arguments.update({name: {"type": "bool", "default": False} for name in ("force_init", "force_new_cluster")})
    for more in (
        ADDRESS_ARGUMENTS,
        FOUNDING_ARGUMENTS,
        INSTALL_ARGUMENTS,
        MANAGERS_ARGUMENTS,
        RETURN_ARGUMENTS,
        SOCKET_ARGUMENTS,
        WAIT_ARGUMENTS,
    ):
        arguments.update(more)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), found)


if __name__ == "__main__":
    main()
