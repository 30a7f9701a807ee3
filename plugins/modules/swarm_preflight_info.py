# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_preflight_info
short_description: See whether a host is fit for a swarm
version_added: 0.1.0
description:
  - Looks at the kernel, the ports, the size of packets, the clock, the Docker Engine and its settings, and the firewall
    of a host. It says what is wrong, and what to do about it.
  - With O(peers) it tries tunnels between the hosts as overlay networks use them. That tells whether the port of tunnels
    is open, whether full packets pass, whether a network card spoils checksums inside of tunnels, and whether the
    clocks agree.
  - The host needs no runtime. What the module makes to look is gone when it ends. On a host with a runtime,
    C(queenright doctor) does the same.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.info
  - queenright.swarm.attributes.group
options:
  peers:
    description:
      - Addresses of the hosts to try tunnels with. It may name the host itself, so that all hosts can be given one list.
      - The task has to run on all of them at the same time, so C(forks) must not be less than their number.
    type: list
    elements: str
    default: []
  own_addr:
    description:
      - The host's own address among O(peers). By default it is found by the way to them.
    type: str
  wait:
    description:
      - Seconds to wait for the other hosts. When all have answered it is over sooner.
    type: int
    default: 20
  backend:
    description:
      - What shall balance connections. V(ipvs) is only looked for if it is wanted.
    type: str
    choices:
      - nftables
      - ipvs
    default: nftables
  control_port:
    description:
      - The port at which managers will listen. Hosts join at the port after it.
    type: int
    default: 2377
  data_path_port:
    description:
      - The port of the tunnels between nodes.
    type: int
    default: 4789
  docker_socket:
    description:
      - Path of the Docker Engine's socket.
    type: path
    default: /var/run/docker.sock
  fail_on_error:
    description:
      - Fail if the host is not fit. Otherwise that is only told.
    type: bool
    default: false
seealso:
  - module: queenright.swarm.swarm_manage_firewall
  - module: queenright.swarm.swarm_info
"""

EXAMPLES = r"""
- name: Look at a host before it is made a node
  queenright.swarm.swarm_preflight_info:
  register: preflight

- name: Show what is wrong
  ansible.builtin.debug:
    var: preflight.problems

- name: Try tunnels between all hosts of the play
  queenright.swarm.swarm_preflight_info:
    peers: "{{ ansible_play_hosts | map('extract', hostvars, 'node_addr') }}"
    fail_on_error: true
"""

RETURN = r"""
fit:
  description: Whether nothing was found that keeps the host from being a node.
  type: bool
  returned: success
  sample: true
findings:
  description:
    - Everything that was looked at. C(state) is V(ok), V(warning) or V(error), C(text) says what was found and C(fix)
      what to do about it.
  type: list
  elements: dict
  returned: success
  sample:
    - check: ports
      state: ok
      text: the port of tunnels, 4789/udp, is free
      fix: ""
problems:
  description: What is wrong, and what to do, a line each.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._preflight import preflight


def main() -> None:
    preflight(
        AnsibleModule(
            argument_spec={
                "peers": {"type": "list", "elements": "str", "default": []},
                "own_addr": {"type": "str"},
                "wait": {"type": "int", "default": 20},
                "backend": {"type": "str", "choices": ["nftables", "ipvs"], "default": "nftables"},
                "control_port": {"type": "int", "default": 2377},
                "data_path_port": {"type": "int", "default": 4789},
                "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
                "fail_on_error": {"type": "bool", "default": False},
            },
            supports_check_mode=True,
        )
    )


if __name__ == "__main__":
    main()
