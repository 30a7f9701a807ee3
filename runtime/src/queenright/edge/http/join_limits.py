# SPDX-License-Identifier: Apache-2.0
"""How much one source address may ask of the join listener: failed tries, new nodes, connections."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

FAILED_PER_MINUTE = 10
NODES_PER_MINUTE = 30
_MAX_SOURCES = 4096


def plain_ip(ip: str) -> str:
    """An IPv4 address that came through an IPv6 socket in its own form; any other text as it is."""
    address = ipaddress.ip_address(ip)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else ip


def source_of(ip: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 network of an IPv6 one (a host owns all of it)."""
    address = ipaddress.ip_address(plain_ip(ip).partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class TokenBuckets:
    """A token bucket for each source: ``per_minute`` at once, refilled evenly.

    ``clock`` gives seconds, monotonic. Holds at most 4096 sources: the longest unused is forgotten first.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float], *, max_sources: int = _MAX_SOURCES) -> None:
        self._capacity = float(per_minute)
        self._rate = per_minute / 60.0
        self._clock = clock
        self._max_sources = max_sources
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # level, when

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, source: str) -> float:
        """Seconds until ``source`` may take one; 0.0 when it may now."""
        return max(0.0, (1.0 - self._level(source)) / self._rate)

    def take(self, source: str) -> float:
        """Take one and give 0.0, or take nothing and give the seconds until one is there."""
        wait = self.wait(source)
        if not wait:
            self._set(source, self._level(source) - 1.0)
        return wait

    def give_back(self, source: str) -> None:
        """Undo a ``take`` that turned out not to count."""
        self._set(source, min(self._capacity, self._level(source) + 1.0))

    def _level(self, source: str) -> float:
        level, since = self._buckets.get(source, (self._capacity, 0.0))
        return min(self._capacity, level + (self._clock() - since) * self._rate) if source in self._buckets else level

    def _set(self, source: str, level: float) -> None:
        self._buckets[source] = (level, self._clock())
        self._buckets.move_to_end(source)
        if len(self._buckets) > self._max_sources:
            self._buckets.popitem(last=False)


class Connections:
    """Counts open connections, in all and for each source."""

    def __init__(self, total: int, per_source: int) -> None:
        self._total = total
        self._per_source = per_source
        self._open: dict[str, int] = {}
        self.count = 0

    def enter(self, source: str) -> bool:
        """Count one more, or give False where that would be too many."""
        mine = self._open.get(source, 0)
        if self.count >= self._total or mine >= self._per_source:
            return False
        self._open[source] = mine + 1
        self.count += 1
        return True

    def leave(self, source: str) -> None:
        """Count one less."""
        self.count -= 1
        if self._open[source] == 1:
            del self._open[source]
        else:
            self._open[source] -= 1
