# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an overlay network is: the body of ``POST /networks/create``, option by option, named as in the
C(swarm_network) module.
"""

from __future__ import annotations

import dataclasses

from .codecs import BOOL, LABELS, STR
from .fields import Inline, NestedList, opt

OVERLAY = "overlay"
INGRESS = "ingress"
PREDEFINED = ("bridge", "host")
"""Networks that every node has of itself; services may name them."""
OWNED_LABEL = "queenright.network.id"
"""Label of a node's own network that stands for a network of the swarm; its value is the id of that."""


@dataclasses.dataclass(frozen=True)
class Pool:
    REFUSED = {
        "AuxiliaryAddresses": "auxiliary addresses are not supported: keep addresses free with an IP range instead"
    }

    subnet: str | None = opt("Subnet", STR, "The subnet, such as V(10.5.0.0/24) or V(fd00:5::/64).", required=True)
    gateway: str | None = opt(
        "Gateway", STR, "The gateway's address in it, the same on every node.", default_doc="the subnet's first address"
    )
    ip_range: str | None = opt(
        "IPRange",
        STR,
        "Part of the subnet out of which addresses are given to services and containers.",
        option="iprange",
        default_doc="the whole subnet",
    )


@dataclasses.dataclass(frozen=True)
class IPAM:
    driver: str | None = opt("Driver", STR, "Who gives addresses.", option="", choices=("default",))
    configs: tuple[Pool, ...] = opt(
        "Config",
        NestedList(Pool),
        "Subnets of the network, one of IPv4 and one of IPv6 at most. Without one of IPv4, the next free one of the "
        "swarm's address pools is taken.",
        option="ipam_config",
    )
    options: dict[str, str] = opt("Options", LABELS, "Options of who gives addresses.", option="")


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    REFUSED = {
        "ConfigOnly": "networks that only hold a configuration are local to a node: leave the scope swarm out",
        "ConfigFrom": "a network of the swarm cannot take its configuration from a node's",
    }

    name: str | None = opt("Name", STR, "Name of the network.", option="")
    labels: dict[str, str] = opt("Labels", LABELS, "Labels of the network.", always={})
    driver: str | None = opt("Driver", STR, "Driver of the network.", option="", choices=(OVERLAY,), always=OVERLAY)
    options: dict[str, str] = opt(
        "Options",
        LABELS,
        "Options of the driver. V(com.docker.network.driver.mtu) is the size of the largest packet, which is found out "
        "if it is not said.",
        option="driver_options",
    )
    internal: bool | None = opt("Internal", BOOL, "Whether containers have no way out of the network.")
    attachable: bool | None = opt(
        "Attachable",
        BOOL,
        "Whether containers that are of no service may be attached to it. It is kept and shown, but this "
        "version of the runtime attaches no such containers.",
    )
    ingress: bool | None = opt(
        "Ingress", BOOL, "Whether it is the network that carries the ports that services publish on all nodes."
    )
    ipv6: bool | None = opt(
        "EnableIPv6",
        BOOL,
        "Whether the network has IPv6 as well as IPv4. Without a subnet of IPv6, a unique local one is made up.",
        option="enable_ipv6",
    )
    ipam: IPAM = opt("IPAM", Inline(IPAM), "Its addresses.")
