# SPDX-License-Identifier: Apache-2.0
"""The addresses of one network, as a decision in the making leaves them.

The address after the one that was given last comes next, and after the highest the lowest: what was freed is used again
as late as may be. Tasks leave enough addresses for the nodes that they may come to, because a node without an address
of its own cannot carry any of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from queenright.model.objects import Attachment, Network, Subnet
from queenright.store.addressing import Usage, number


class Space:
    """What one subnet has to hand out: the numbers from ``first`` to ``last`` but for those that are ``kept``."""

    def __init__(self, subnet: Subnet) -> None:
        whole = ipaddress.ip_network(subnet.subnet)
        part = ipaddress.ip_network(subnet.ip_range) if subnet.ip_range else whole
        self.text = subnet.subnet
        self.version = whole.version
        self.first, self.last = int(part.network_address), int(part.broadcast_address)
        kept = {int(whole.network_address), number(subnet.gateway), number(subnet.dns)}
        if self.version == 4:
            kept.add(int(whole.broadcast_address))
        self.kept = frozenset(one for one in kept if self.first <= one <= self.last)
        self.total = self.last - self.first + 1 - len(self.kept)
        self._length = whole.prefixlen

    def written(self, value: int) -> str:
        """``10.0.1.5/24``"""
        address = ipaddress.IPv4Address(value) if self.version == 4 else ipaddress.IPv6Address(value)
        return f"{address}/{self._length}"


class Room:
    """A network's addresses. ``members``: how many nodes the swarm has."""

    def __init__(self, network: Network, usage: Usage, members: int) -> None:
        self.network = network
        self.spaces = tuple(Space(subnet) for subnet in network.subnets)
        self._usage = usage
        self._members = members
        self._given: set[int] = set()
        self._freed: set[int] = set()
        self._last = {version: value for version, (_, value) in usage.last.items()}
        self._left = {space.version: space.total - usage.counts[space.version] for space in self.spaces}
        self._unplaced = usage.unplaced
        self._seats = len(usage.seats)
        self._missing = len(usage.missing)

    @property
    def free(self) -> int:
        """How many holders can still be given an address."""
        return max(0, min(self._left.values(), default=0))

    def holds(self, count: int) -> bool:
        """Whether ``count`` more tasks can be given addresses, and the nodes that they may come to as well."""
        return self.free >= count + self._for_nodes(count)

    @property
    def error(self) -> str:
        """What there is to say of a network that is full: what is left for nodes is in use as well."""
        space = min(self.spaces, key=lambda one: self._left[one.version], default=None)
        if space is None:
            return f"network {self.network.name} has no subnet"
        return f"network {self.network.name} ({space.text}) has no free address: {space.total} of {space.total} in use"

    def for_task(self, aliases: tuple[str, ...] = ()) -> Attachment:
        """Addresses for a task; it was asked before whether there are any."""
        self._unplaced += 1
        return self._take(aliases)

    def for_node(self, needed: bool) -> Attachment | None:
        """Addresses for a node, which tasks of it already need or not; None if there are none left."""
        if not self.free:
            return None
        self._seats += 1
        self._missing -= needed
        return self._take(())

    def for_service(self, aliases: tuple[str, ...] = ()) -> Attachment | None:
        """Virtual addresses; None if there are none left."""
        return self._take(aliases) if self.free else None

    def give_back(self, attachments: Iterable[Attachment], seat: bool = False) -> None:
        """What a holder had is free for those whose turn comes after."""
        for one in attachments:
            for text in one.addresses:
                value = number(text)
                if value not in self._freed:
                    self._freed.add(value)
                    self._left[6 if ":" in text else 4] += 1
        self._seats -= seat

    def _for_nodes(self, more: int) -> int:
        unseated = max(0, self._members - self._seats - self._missing)
        return self._missing + min(unseated, self._unplaced + more)

    def _take(self, aliases: tuple[str, ...]) -> Attachment:
        texts = []
        for space in self.spaces:
            value = self._next(space)
            self._given.add(value)
            self._last[space.version] = value
            self._left[space.version] -= 1
            texts.append(space.written(value))
        return Attachment(network_id=self.network.id, addresses=tuple(texts), aliases=aliases)

    def _next(self, space: Space) -> int:
        begin = min(max(self._last.get(space.version, 0) + 1, space.first), space.last + 1)
        for values in (range(begin, space.last + 1), range(space.first, begin)):
            for value in values:
                if value not in space.kept and not self._taken(value):
                    return value
        raise AssertionError(f"network {self.network.id} has an address left that is not there")

    def _taken(self, value: int) -> bool:
        return value in self._given or (value in self._usage.held and value not in self._freed)
