# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by scripts/docs from plugins/module_utils/_spec: change the rows there.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  labels:
    description:
      - >-
        Labels of the network.
    type: dict
  driver_options:
    description:
      - >-
        Options of the driver. V(com.docker.network.driver.mtu) is the size of the largest packet, which is
        found out if it is not said.
    type: dict
  internal:
    description:
      - >-
        Whether containers have no way out of the network.
    type: bool
  attachable:
    description:
      - >-
        Whether containers that are of no service may be attached to it. It is kept and shown, but this
        version of the runtime attaches no such containers.
    type: bool
  ingress:
    description:
      - >-
        Whether it is the network that carries the ports that services publish on all nodes.
    type: bool
  enable_ipv6:
    description:
      - >-
        Whether the network has IPv6 as well as IPv4. Without a subnet of IPv6, a unique local one is made up.
    type: bool
  ipam_config:
    description:
      - >-
        Subnets of the network, one of IPv4 and one of IPv6 at most. Without one of IPv4, the next free one of
        the swarm's address pools is taken.
    type: list
    elements: dict
    suboptions:
      subnet:
        description:
          - >-
            The subnet, such as V(10.5.0.0/24) or V(fd00:5::/64).
        type: str
        required: true
      gateway:
        description:
          - >-
            The gateway's address in it, the same on every node.
          - >-
            If it was never set, the subnet's first address applies.
        type: str
      iprange:
        description:
          - >-
            Part of the subnet out of which addresses are given to services and containers.
          - >-
            If it was never set, the whole subnet applies.
        type: str
"""
