# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a kernel must be able to do for overlay networks: each with an operation that shows it, not with a version.

The operations are meant for a network namespace that is thrown away. Stdlib only, Python 3.8 syntax.
"""

from __future__ import annotations

import dataclasses

PROBE_TABLE = "swprobe"


@dataclasses.dataclass(frozen=True)
class Link:
    """A kind of network link. ``arguments`` are those of ``ip link add NAME``."""

    kind: str
    option: str  # Kconfig
    arguments: str
    without: str


@dataclasses.dataclass(frozen=True)
class Expression:
    """Something that nftables must know. ``body`` is what stands in a table of the family inet."""

    name: str
    option: str  # Kconfig
    body: str
    without: str


OVERLAY = "overlay networks are not available on this node"
MESH = "service addresses and published ports are not available on this node"

LINKS = (
    Link("veth", "CONFIG_VETH", "type veth peer name swprobe1p", OVERLAY),
    Link("bridge", "CONFIG_BRIDGE", "type bridge", OVERLAY),
    Link("vxlan", "CONFIG_VXLAN", "type vxlan id 4096 dstport 4789 local 127.0.0.1 nolearning proxy", OVERLAY),
)


def _chain(kind: str, hook: str, priority: int, rule: str = "") -> str:
    return "chain sw_probe {\ntype %s hook %s priority %d;\n%s\n}\n" % (kind, hook, priority, rule)


def _rule(rule: str) -> str:
    return _chain("nat", "prerouting", -110, rule)


EXPRESSIONS = (
    Expression("tables for IPv4 and IPv6 together", "CONFIG_NF_TABLES_INET", "", MESH),
    Expression("address translation", "CONFIG_NFT_NAT", _rule("ip daddr 192.0.2.1 dnat ip to 192.0.2.2"), MESH),
    Expression(
        "address translation of IPv6",
        "CONFIG_NFT_NAT",
        _rule("ip6 daddr 2001:db8::1 dnat ip6 to 2001:db8::2"),
        MESH,
    ),
    Expression(
        "address translation of what the node sends",
        "CONFIG_NFT_NAT",
        _chain("nat", "output", -110, "ip daddr 192.0.2.1 dnat ip to 192.0.2.2"),
        MESH,
    ),
    Expression(
        "source address translation", "CONFIG_NFT_NAT", _chain("nat", "postrouting", 100, "snat ip to 192.0.2.1"), MESH
    ),
    Expression("masquerading", "CONFIG_NFT_MASQ", _chain("nat", "postrouting", 100, "masquerade"), MESH),
    Expression(
        "choosing at random (numgen)",
        "CONFIG_NFT_NUMGEN",
        _rule("meta nfproto ipv4 dnat ip to numgen random mod 2 map { 0 : 192.0.2.1, 1 : 192.0.2.2 }"),
        MESH,
    ),
    Expression(
        "choosing by the client (jhash)",
        "CONFIG_NFT_HASH",
        _rule("meta nfproto ipv4 dnat ip to jhash ip saddr mod 2 map { 0 : 192.0.2.1, 1 : 192.0.2.2 }"),
        MESH,
    ),
    Expression(
        "maps of protocols and ports",
        "CONFIG_NF_TABLES",
        "chain sw_one {\n}\n"
        "map sw_ports {\ntype inet_proto . inet_service : verdict;\nelements = { tcp . 1 : goto sw_one }\n}\n"
        + _rule("meta l4proto . th dport vmap @sw_ports"),
        MESH,
    ),
    Expression("addresses of the node (fib)", "CONFIG_NFT_FIB_INET", _rule("fib daddr type local accept"), MESH),
    Expression(
        "states of connections (ct)",
        "CONFIG_NFT_CT",
        _chain("nat", "postrouting", 100, "ct status dnat accept"),
        MESH,
    ),
    Expression(
        "refusing connections (reject)",
        "CONFIG_NFT_REJECT_INET",
        _chain("filter", "input", 0, "meta l4proto tcp reject with tcp reset"),
        MESH,
    ),
    Expression(
        "marks",
        "CONFIG_NF_TABLES",
        _chain("filter", "prerouting", -150, "meta mark set ip daddr map { 192.0.2.1 : 0x1 }"),
        MESH,
    ),
)


def script(expressions: tuple[Expression, ...] = EXPRESSIONS) -> str:
    """Text for ``nft -f -`` that loads the expressions, each in a table of its own."""
    return "".join(
        "table inet %s%d {\n%s}\n" % (PROBE_TABLE, number, expression.body)
        for number, expression in enumerate(expressions)
    )


NO_VXLAN = "the kernel lacks %s (%s; try modprobe %s): %s"
NO_EXPRESSION = "nftables lacks %s (%s): %s"
NO_IPVS = (
    "the swarm wants IPVS to balance (mesh_backend=ipvs), and the kernel has none (CONFIG_IP_VS; try modprobe ip_vs): "
    "install the distribution's full kernel, or set mesh_backend=nftables"
)
NO_CONNTRACK = (
    "connections cannot be cut (CONFIG_NF_CT_NETLINK; try modprobe nf_conntrack_netlink): clients that send datagrams "
    "stay with a task that is gone"
)
NO_NFTABLES = "there is no nftables: install the package nftables (or libnftables1)"
NO_ROOT = "a network namespace cannot be made: run as root, in the network namespace of the host"
