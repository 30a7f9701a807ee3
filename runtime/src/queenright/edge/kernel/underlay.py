# SPDX-License-Identifier: Apache-2.0
"""What the host itself routes, and how large a packet may be on its way to the other nodes. Standard library only."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NET = Path("/proc/net")
OWN = ("sw-", "svx-", "svb-", "swgw")
"""Links of our own begin so; networks on them are the swarm's, not the host's."""
NOT_OUTSIDE = (*OWN, "lo", "docker", "br-", "veth", "virbr")
_SIOCGIFMTU = 0x8921
_UP, _REJECT = 0x1, 0x200
_LINK_LOCAL = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("ff00::/8"),
)


class Route(NamedTuple):
    """A route of the main table."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    link: str
    metric: int


def prefixes(net: Path = NET) -> tuple[str, ...]:
    """The networks that the host routes itself ("192.168.0.0/16"), the swarm's own and default routes left out."""
    found = {
        route.network
        for route in routes(net)
        if route.network.prefixlen
        and route.link != "lo"
        and not route.link.startswith(OWN)
        and not _local(route.network)
    }
    return tuple(str(network) for network in sorted(found, key=lambda each: (each.version, each)))


def mtu(net: Path = NET) -> int:
    """Bytes that fit a packet to the other nodes: the MTU of the link with the default route, else the smallest of
    those that lead outside; 0 if there is none.
    """
    known = list(routes(net))
    default = [route for route in known if not route.network.prefixlen and not route.link.startswith(NOT_OUTSIDE)]
    if default:
        return _mtu_of(min(default, key=lambda route: (route.network.version, route.metric)).link)
    links = {route.link for route in known if not route.link.startswith(NOT_OUTSIDE)}
    return min((size for link in links if (size := _mtu_of(link))), default=0)


def routes(net: Path = NET) -> Iterator[Route]:
    """What ``/proc/net`` tells of the main table, for both families."""
    for row in _rows(net / "route")[1:]:
        if int(row[3], 16) & (_UP | _REJECT) == _UP:
            address = ipaddress.IPv4Address(struct.pack("=I", int(row[1], 16)))
            mask = ipaddress.IPv4Address(struct.pack("=I", int(row[7], 16)))
            yield Route(ipaddress.ip_network(f"{address}/{mask}", strict=False), row[0], int(row[6]))
    for row in _rows(net / "ipv6_route"):
        if int(row[8], 16) & (_UP | _REJECT) == _UP and row[9] != "lo":
            prefix = (bytes.fromhex(row[0]), int(row[1], 16))
            yield Route(ipaddress.IPv6Network(prefix, strict=False), row[9], int(row[5], 16))


def _rows(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except OSError:  # the kernel runs without that family
        return []


def _local(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return any(network.version == known.version and network.overlaps(known) for known in _LINK_LOCAL)


def _mtu_of(link: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFMTU, struct.pack("16s16x", link.encode()[:15]))
        except OSError:  # gone in the meantime
            return 0
    return int(struct.unpack_from("i", answer, 16)[0])
