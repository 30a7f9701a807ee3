# SPDX-License-Identifier: Apache-2.0
"""Prefixes of addresses: which of them share an address."""

from __future__ import annotations

import functools
import ipaddress
from ipaddress import IPv4Network, IPv6Network


@functools.lru_cache(maxsize=4096)
def prefix(text: str) -> IPv4Network | IPv6Network:
    """``10.0.1.0/24`` or ``fd00::/64``; bits of a host are ignored. Raises ValueError for anything else."""
    return ipaddress.ip_network(text, strict=False)


def overlap(one: str, other: str) -> bool:
    """Whether an address is in both; never if they are of two families."""
    first, second = prefix(one), prefix(other)
    if isinstance(first, IPv4Network):
        return isinstance(second, IPv4Network) and first.overlaps(second)
    return isinstance(second, IPv6Network) and first.overlaps(second)
