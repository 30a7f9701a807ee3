# SPDX-License-Identifier: Apache-2.0
"""Which addresses of each network are in use and by whom, kept as tasks, services and nodes come and go.

A task holds its addresses until it has ended, a service its virtual ones and a node its own as long as they are written
in it. So to find a free address costs nothing that grows with the swarm.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable

from queenright.model.objects import Attachment, Network, Node, Object, Service, Task
from queenright.model.states import TaskState

V4 = 1 << 32  # addresses of IPv4 are numbers below it, those of IPv6 (none of ours begins with zeros) numbers above


@dataclasses.dataclass(slots=True)
class Usage:
    """What of one network is in use. Only the store writes it.

    ``held`` counts the holders of each address, a number; ``counts`` the addresses by version (4 or 6); ``last`` has,
    by version, the time (nanoseconds) and the number of the address that was given last.
    ``seats`` are the nodes that have an address of their own, ``nodes`` counts the tasks that nodes hold, and
    ``unplaced`` those that have addresses but no node yet. ``idle`` nodes have a seat and no task, ``missing`` ones
    tasks and no seat. ``services`` have a virtual address.
    """

    held: dict[int, int] = dataclasses.field(default_factory=dict)
    counts: dict[int, int] = dataclasses.field(default_factory=lambda: {4: 0, 6: 0})
    last: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    seats: dict[str, None] = dataclasses.field(default_factory=dict)
    nodes: dict[str, int] = dataclasses.field(default_factory=dict)
    idle: dict[str, None] = dataclasses.field(default_factory=dict)
    missing: dict[str, None] = dataclasses.field(default_factory=dict)
    services: dict[str, None] = dataclasses.field(default_factory=dict)
    unplaced: int = 0

    def copy(self) -> Usage:
        """One that may be written without the other noticing."""
        return Usage(
            held=self.held.copy(),
            counts=self.counts.copy(),
            last=self.last.copy(),
            seats=self.seats.copy(),
            nodes=self.nodes.copy(),
            idle=self.idle.copy(),
            missing=self.missing.copy(),
            services=self.services.copy(),
            unplaced=self.unplaced,
        )

    @property
    def in_use(self) -> bool:
        """Whether a service, or a task that has not ended, is in the network."""
        return bool(self.services or self.nodes or self.unplaced)


class Addressing:
    """Usage by network id, moved by the changes of objects. ``uneven``: networks that have idle or missing nodes;
    ``failing``: those whose object tells of an error.
    """

    def __init__(self) -> None:
        self._by_network: dict[str, Usage] = {}
        self._none = Usage()
        self.uneven: dict[str, None] = {}
        self.failing: dict[str, None] = {}

    def of(self, network_id: str) -> Usage:
        """What is in use of the network. Not to be written by the caller."""
        return self._by_network.get(network_id, self._none)

    def moved(self, before: Object | None, after: Object | None) -> None:
        """An object changed (None: did not exist, or no longer does)."""
        row = after if after is not None else before
        if isinstance(row, Network):
            self._network(row, after is not None)
        elif row is not None and (_known(before) or _known(after)):
            self._hold(_held(before), _held(after), row.updated_at, live=True)
            self._place(before, after)

    def restored(self, row: Object) -> None:
        """An object came with a snapshot. The youngest object that has addresses, ended or not, stands for the last
        that was given any.
        """
        if isinstance(row, Network):
            self._network(row, True)
        elif _known(row):
            self._hold((), _held(row), row.created_at, live=False)
            self._place(None, row)
            if isinstance(row, Task) and row.state.terminal:
                for one in row.attachments:
                    self._remember(one, row.created_at)

    def take_over(self, other: Addressing) -> dict[str, Usage]:
        """Hold what ``other`` holds from now on; gives what was here."""
        gone, self._by_network = self._by_network, other._by_network
        self.uneven, self.failing = other.uneven, other.failing
        return gone

    def _usage(self, network_id: str) -> Usage:
        """To be written."""
        found = self._by_network.get(network_id)
        if found is None:
            found = self._by_network[network_id] = Usage()
        return found

    def _network(self, row: Network, there: bool) -> None:
        if there and row.error:
            self.failing[row.id] = None
        else:
            self.failing.pop(row.id, None)
        usage = self.of(row.id)
        if not there and not (usage.held or usage.in_use):
            self._by_network.pop(row.id, None)

    def _hold(self, before: tuple[Attachment, ...], after: tuple[Attachment, ...], at: int, *, live: bool) -> None:
        if before == after:
            return
        old = {(one.network_id, text) for one in before for text in one.addresses}
        new = [(one.network_id, text) for one in after for text in one.addresses]
        for network_id, text in old.difference(new):
            _release(self._usage(network_id), number(text))
        for network_id, text in new:
            if (network_id, text) not in old:
                _take(self._usage(network_id), number(text), at, live)

    def _remember(self, one: Attachment, at: int) -> None:
        for text in one.addresses:
            _note(self._usage(one.network_id), number(text), at, live=False)

    def _place(self, before: Object | None, after: Object | None) -> None:
        if isinstance(before, Task) or isinstance(after, Task):
            old, new = _places(before), _places(after)
            if old != new:
                for network_id, node_id in old:
                    self._count(network_id, node_id, -1)
                for network_id, node_id in new:
                    self._count(network_id, node_id, 1)
            return
        held, kept = _networks(before), _networks(after)
        row = after if after is not None else before
        for network_id in {**held, **kept}:
            if (network_id in held) == (network_id in kept):
                continue
            usage = self._usage(network_id)
            members = usage.seats if isinstance(row, Node) else usage.services
            if row is not None and network_id in kept:
                members[row.id] = None
            elif row is not None:
                members.pop(row.id, None)
            if isinstance(row, Node):
                self._balance(network_id, usage, row.id)

    def _count(self, network_id: str, node_id: str, sign: int) -> None:
        usage = self._usage(network_id)
        if not node_id:
            usage.unplaced += sign
            return
        count = usage.nodes.get(node_id, 0) + sign
        if count:
            usage.nodes[node_id] = count
        else:
            usage.nodes.pop(node_id, None)
        self._balance(network_id, usage, node_id)

    def _balance(self, network_id: str, usage: Usage, node_id: str) -> None:
        """Note whether the node has what it needs there, and no more."""
        seated, needs = node_id in usage.seats, node_id in usage.nodes
        for members, wrong in ((usage.idle, seated and not needs), (usage.missing, needs and not seated)):
            if wrong:
                members[node_id] = None
            else:
                members.pop(node_id, None)
        if usage.idle or usage.missing:
            self.uneven[network_id] = None
        else:
            self.uneven.pop(network_id, None)


def number(address: str) -> int:
    """``10.0.1.5/24`` or ``10.0.1.5`` as a number."""
    text = address.partition("/")[0]
    return int(ipaddress.IPv4Address(text)) if ":" not in text else int(ipaddress.IPv6Address(text))


def _known(row: Object | None) -> bool:
    """Whether the object has addresses of networks."""
    if isinstance(row, (Task, Node)):
        return bool(row.attachments)
    return isinstance(row, Service) and bool(row.vips)


def _held(row: Object | None) -> tuple[Attachment, ...]:
    if isinstance(row, Task):
        return row.attachments if not row.state.terminal else ()
    if isinstance(row, Node):
        return row.attachments
    return row.vips if isinstance(row, Service) else ()


def _places(task: Object | None) -> tuple[tuple[str, str], ...]:
    """(network, node) of a task that has not ended; without a node until the scheduler gave it one."""
    if not isinstance(task, Task) or not task.attachments or task.state.terminal:
        return ()
    node_id = task.node_id if task.state >= TaskState.ASSIGNED else ""
    return tuple((one.network_id, node_id) for one in task.attachments)


def _networks(row: Object | None) -> dict[str, None]:
    found: Iterable[Attachment] = _held(row)
    return dict.fromkeys(one.network_id for one in found if one.addresses)


def _version(value: int) -> int:
    return 4 if value < V4 else 6


def _take(usage: Usage, value: int, at: int, live: bool) -> None:
    holders = usage.held.get(value, 0)
    usage.held[value] = holders + 1
    if not holders:
        usage.counts[_version(value)] += 1
    _note(usage, value, at, live)


def _note(usage: Usage, value: int, at: int, live: bool) -> None:
    """What is given now is the last whatever clocks say; of what a snapshot brings the youngest is."""
    version = _version(value)
    known = usage.last.get(version)
    if live or known is None or known[0] <= at:
        usage.last[version] = (at, value)


def _release(usage: Usage, value: int) -> None:
    holders = usage.held.get(value, 0) - 1
    if holders > 0:
        usage.held[value] = holders
        return
    usage.held.pop(value, None)
    usage.counts[_version(value)] -= 1


__all__ = ["Addressing", "Usage", "number"]
