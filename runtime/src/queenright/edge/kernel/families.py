# SPDX-License-Identifier: Apache-2.0
"""IPv6 on this node: whether there is any, and a picture without it for where there is none.

The files of /proc are those of the calling thread's namespace.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from queenright.edge.kernel.balancer import family_of
from queenright.edge.kernel.switches import Switches
from queenright.model.mesh import Overlay

_CONF = Path("/proc/sys/net/ipv6/conf")
_ADDRESSES = Path("/proc/thread-self/net/if_inet6")
_EVERYWHERE = "00"  # the scope of an address that is not of the host or of a link alone
_VIRTUAL = ("sw", "svx-", "svb-", "docker", "br-", "veth")


def has_ipv6() -> bool:
    """Whether links of the calling thread's namespace may have IPv6 addresses."""
    with contextlib.suppress(OSError):
        return (_CONF / "all/disable_ipv6").read_text().strip() == "0"
    return False


def forward_ipv6(switches: Switches) -> None:
    """Forward IPv6, if anybody outside can reach this node over it. Raises KernelError.

    A host that forwards no longer believes the routers that it has its own route from, unless it is told to.
    """
    if not _reachable() or (_CONF / "all/forwarding").read_text().strip() == "1":
        return
    for link in _CONF.iterdir():
        if (link / "accept_ra").read_text().strip() == "1":
            switches.set(f"net/ipv6/conf/{link.name}/accept_ra", 2)
    switches.set("net/ipv6/conf/all/forwarding", 1)


def without_ipv6(overlay: Overlay) -> Overlay:
    """The same network with its IPv4 part alone."""
    return dataclasses.replace(
        overlay,
        subnets=tuple(subnet for subnet in overlay.subnets if family_of(subnet.subnet) == 4),
        dns=_ipv4(overlay.dns),
        addresses=_ipv4(overlay.addresses),
        neighbours=tuple(
            dataclasses.replace(neighbour, addresses=_ipv4(neighbour.addresses)) for neighbour in overlay.neighbours
        ),
        balanced=tuple(dataclasses.replace(service, vips=_ipv4(service.vips)) for service in overlay.balanced),
    )


def _ipv4(addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple(address for address in addresses if family_of(address) == 4)


def _reachable() -> bool:
    with contextlib.suppress(OSError):
        rows = [line.split() for line in _ADDRESSES.read_text().splitlines()]
        return any(row[3] == _EVERYWHERE and not row[5].startswith(_VIRTUAL) for row in rows if len(row) > 5)
    return False
