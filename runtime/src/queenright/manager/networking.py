# SPDX-License-Identifier: Apache-2.0
"""What the leader tells nodes of their networks: rows (``model.mesh_rows``), each made once for all nodes that have the
network, and what the nodes say of them.

A node is told of the networks that it has an address in. A task that shall stop is drained once every one of them has
said that it applied a state in which the task gets no connections.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from queenright.decide import mesh_rows as make
from queenright.model.errors import Unavailable
from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, NetworksState, Row
from queenright.model.objects import Cluster, Network, Node, Object, Service, Task
from queenright.model.states import NodeState
from queenright.store.store import Event, Store

SETTLE = 0.005  # seconds in which further changes join a message
AT_ONCE = 200  # rows that are made before others get their turn on the loop


@dataclasses.dataclass(slots=True)
class _Drain:
    """A task that shall stop: ``since`` is the number of the change that took it out, ``waiting`` whom it waits for."""

    since: int
    waiting: set[str]


class _View:
    """The rows of one network but for links, which differ from node to node."""

    def __init__(self) -> None:
        self.rows: dict[str, Endpoint | Face] = {}
        self.since: dict[str, int] = {}  # by key: the change with which the endpoint last began or ceased to serve
        self.drains: dict[str, _Drain] = {}  # by key
        self.shares: set[Share] = set()
        self.whole = False  # made of all that there is
        self.making = asyncio.Lock()


class Share:
    """What one node was told, for as long as its session lasts."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.links: dict[str, Link] = {}
        self.touched: dict[str, None] = {}
        self.relink = True
        self.changed = asyncio.Event()
        self.sent: collections.deque[tuple[str, int]] = collections.deque()  # tokens, with the last change in each
        self.acked = 0
        self.state = NetworksState()
        self.closed = ""  # why, once it is

    def touch(self, key: str) -> None:
        self.touched[key] = None
        self.changed.set()

    def look(self) -> None:
        """What concerns its links is different."""
        self.relink = True
        self.changed.set()

    def has(self, network_id: str, change: int) -> bool:
        """Whether the node applied that change."""
        return self.acked >= change and network_id not in self.state.errors


class Networking:
    """Begun anew with each leadership. Told of every event of the store; costs nothing where there is no network."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.begin()

    def begin(self) -> None:
        """Forget what was: all nodes are told everything."""
        self._views: dict[str, _View] = {}
        self._shares: dict[str, Share] = {}
        self._change = 0
        self._mtu = -1  # of the narrowest way between nodes; -1: to be found out

    # -- sessions

    def open(self, node_id: str) -> Share:
        """A node asks for its networks; what it was told before counts no more."""
        self.close(node_id, "the node asked anew")
        share = self._shares[node_id] = Share(node_id)
        return share

    def close(self, node_id: str, reason: str) -> None:
        """The node's session ended. Until it comes back nobody knows what it does, and drains go on without its word
        only once it is down.
        """
        share = self._shares.pop(node_id, None)
        if share is not None:
            share.closed = reason
            share.changed.set()
            for network_id in share.links:
                self._views[network_id].shares.discard(share)

    async def told(self, share: Share, ids: Callable[[], str]) -> AsyncIterator[NetworksSet]:
        """All rows of the node, then differences as they come, until its session ends (Unavailable)."""
        await self._prepare(share)
        _check_open(share)
        token = f"{self._store.index}.{ids()}"
        yield self.complete(share, token)
        while True:
            await share.changed.wait()
            await asyncio.sleep(SETTLE)
            await self._prepare(share)
            _check_open(share)
            becomes = f"{self._store.index}.{ids()}"
            difference = self.difference(share, token, becomes)
            if difference is not None:
                token = becomes
                yield difference

    def complete(self, share: Share, results_in: str) -> NetworksSet:
        rows, _ = self._news(share)
        share.sent.append((results_in, self._change))
        return NetworksSet(True, "", results_in, tuple(rows))

    def difference(self, share: Share, applies_to: str, results_in: str) -> NetworksSet | None:
        """What has become different; None if the node has nothing to hear."""
        rows, removes = self._news(share)
        if not rows and not removes:
            return None
        share.sent.append((results_in, self._change))
        return NetworksSet(False, applies_to, results_in, tuple(rows), tuple(removes))

    def _news(self, share: Share) -> tuple[list[Row], list[str]]:
        rows: list[Row] = []
        removes: list[str] = []
        whole: set[str] = set()  # networks of which all rows are told anyway
        share.changed.clear()
        touched, share.touched = share.touched, {}
        if share.relink:
            share.relink = False
            rows, removes, whole = self._relink(share)
        for key in touched:
            network_id = key.partition("/")[0]
            if network_id not in share.links or network_id in whole:
                continue
            row = self._views[network_id].rows.get(key)
            if row is None:
                removes.append(key)
            else:
                rows.append(row)
        return rows, removes

    def _relink(self, share: Share) -> tuple[list[Row], list[str], set[str]]:
        """(links that are new or different, with all rows of the new ones; keys of those that are gone; ids of the new
        ones).
        """
        wanted = self._links(share.node_id)
        rows: list[Row] = []
        added: set[str] = set()
        removes = [network_id for network_id in share.links if network_id not in wanted]
        for network_id in removes:
            self._views[network_id].shares.discard(share)
            self._forget_if_gone(network_id)
        for network_id, link in wanted.items():
            known = share.links.get(network_id)
            if known != link:
                rows.append(link)
            if known is None:
                view = self._view(network_id)
                view.shares.add(share)
                added.add(network_id)
                rows.extend(view.rows.values())
        share.links = wanted
        return rows, removes, added

    def _links(self, node_id: str) -> dict[str, Link]:
        node, cluster = self._store.nodes.get(node_id), self._store.cluster
        if node is None or cluster is None or not node.attachments:
            return {}
        if self._mtu < 0:
            self._mtu = make.underlay_mtu(self._store.nodes)
        found: dict[str, Link] = {}
        for attachment in node.attachments:
            network = self._store.networks.get(attachment.network_id)
            if network is not None:
                found[network.id] = make.link(cluster, network, node, attachment, self._mtu)
        return found

    async def _prepare(self, share: Share) -> None:
        """Make the rows of the node's networks, without holding the loop; all nodes that ask meanwhile wait for it."""
        node = self._store.nodes.get(share.node_id) if share.relink else None
        for attachment in node.attachments if node is not None else ():
            view = self._views.setdefault(attachment.network_id, _View())
            async with view.making:
                for number, _ in enumerate(self._making(attachment.network_id, view), 1):
                    if number % AT_ONCE == 0:
                        await asyncio.sleep(0)

    def _view(self, network_id: str) -> _View:
        """The network's rows, whole."""
        view = self._views.setdefault(network_id, _View())
        for _ in self._making(network_id, view):
            pass
        return view

    def _making(self, network_id: str, view: _View) -> Iterator[None]:
        """Make the rows of all that there is, one a step, if that was not done; what changes meanwhile is followed."""
        if view.whole:
            return
        for task in self._store.tasks.by("network", network_id):
            self._task(network_id, view, task.id)
            yield
        for node in self._store.nodes.by("network", network_id):
            self._sandbox(network_id, view, node.id)
            yield
        network = self._store.networks.get(network_id)
        if network is not None:
            index = ("ingress", True) if network.ingress else ("network", network_id)
            for service in self._store.services.by(*index):
                self._face(network, view, service.id)
                yield
        view.whole = True

    # -- what happens

    def note(self, event: Event) -> None:
        """Follow a change of the store. What counts is the store as it now is: an event may be older."""
        kind = event.object
        if isinstance(kind, Task):
            for network_id in _networks_of(event.before) | _networks_of(event.after):
                view = self._views.get(network_id)
                if view is not None:
                    self._task(network_id, view, kind.id)
        elif isinstance(kind, Service):
            self._service_moved(event, kind.id)
        elif isinstance(kind, Node):
            self._node_moved(event, kind.id)
        elif isinstance(kind, Network):
            self._network_moved(kind.id)
        elif isinstance(kind, Cluster):
            for share in self._shares.values():
                share.look()

    def _service_moved(self, event: Event, service_id: str) -> None:
        if not self._views:
            return
        concerned = {*_named(event.before), *_named(event.after)}
        if make.publishes(event.before) or make.publishes(event.after):
            concerned.update(network.id for network in self._store.networks.by("ingress", True))
        for network_id in concerned:
            view, network = self._views.get(network_id), self._store.networks.get(network_id)
            if view is not None and network is not None:
                self._face(network, view, service_id)

    def _network_moved(self, network_id: str) -> None:
        view = self._views.get(network_id)
        if view is None:
            return
        for share in view.shares:
            share.look()
        self._forget_if_gone(network_id)

    def _forget_if_gone(self, network_id: str) -> None:
        """A network that was removed, and that no node is told of, has no rows."""
        if self._store.networks.get(network_id) is None and not self._views[network_id].shares:
            del self._views[network_id]

    def _node_moved(self, event: Event, node_id: str) -> None:
        before = event.before if isinstance(event.before, Node) else None
        after = event.after if isinstance(event.after, Node) else None
        if _mtu_of(before) != _mtu_of(after):
            self._mtu = -1
            for share in self._shares.values():
                share.look()
        if _as_member(before) == _as_member(after):
            return
        own = self._shares.get(node_id)
        if own is not None:
            own.look()
        node = self._store.nodes.get(node_id)
        for network_id in _networks_of(before) | _networks_of(after):
            view = self._views.get(network_id)
            if view is not None:
                self._sandbox(network_id, view, node_id)
                if node is None or not _answers(node, network_id):
                    self._heard(network_id, view, node_id, None)
        if _whereabouts(before) != _whereabouts(after) and self._views:
            for task in self._store.tasks.by("node", node_id):
                for network_id in _networks_of(task) & self._views.keys():
                    self._task(network_id, self._views[network_id], task.id)

    # -- rows

    def _task(self, network_id: str, view: _View, task_id: str) -> None:
        task = self._store.tasks.get(task_id)
        node = self._store.nodes.get(task.node_id) if task is not None else None
        row = make.task_endpoint(network_id, task, node) if task is not None and node is not None else None
        key = f"{network_id}/{task_id}"
        if row is None or task is None:
            self._put(view, key, None)
            return
        self._put(view, key, dataclasses.replace(row, drained=_is_drained(view, key)))
        if not task.wanted and key not in view.drains:
            since = view.since[key]
            nodes = self._store.nodes.by("network", network_id)
            waiting = {
                node.id
                for node in nodes
                if _answers(node, network_id) and not self._applied(node.id, network_id, since)
            }
            view.drains[key] = _Drain(since, waiting)
            if not waiting:
                self._put(view, key, dataclasses.replace(row, drained=True))

    def _sandbox(self, network_id: str, view: _View, node_id: str) -> None:
        node = self._store.nodes.get(node_id)
        row = make.sandbox_endpoint(network_id, node) if node is not None else None
        self._put(view, f"{network_id}/{node_id}", row)

    def _face(self, network: Network, view: _View, service_id: str) -> None:
        service = self._store.services.get(service_id)
        row = make.face(network, service) if service is not None else None
        self._put(view, f"{network.id}/{service_id}", row)

    def _put(self, view: _View, key: str, row: Endpoint | Face | None) -> None:
        """A row as it now is, or None for one that is no more; whoever has the network hears of it."""
        before = view.rows.get(key)
        if before == row:
            return
        self._change += 1
        if row is None:
            del view.rows[key]
            view.since.pop(key, None)
            view.drains.pop(key, None)
        else:
            view.rows[key] = row
        if isinstance(row, Endpoint):
            if not isinstance(before, Endpoint) or before.serving != row.serving:
                view.since[key] = self._change
                view.drains.pop(key, None)
            elif dataclasses.replace(before, drained=row.drained) == row:
                for share in view.shares:  # nobody else acts on it
                    if share.node_id == row.node_id:
                        share.touch(key)
                return
        for share in view.shares:
            share.touch(key)

    # -- what nodes say

    def applied(self, node_id: str, state: NetworksState) -> None:
        """A node did what a state asks for."""
        share = self._shares.get(node_id)
        if share is None:
            return
        share.state = state
        if any(token == state.applied for token, _ in share.sent):
            while share.sent:
                token, change = share.sent.popleft()
                share.acked = change
                if token == state.applied:
                    break
        for network_id in share.links:
            if network_id not in state.errors:
                self._heard(network_id, self._views[network_id], node_id, share.acked)

    def _heard(self, network_id: str, view: _View, node_id: str, change: int | None) -> None:
        """Drains of that network wait no longer for a node: it applied that change, or (None) has no part in it."""
        for key, drain in list(view.drains.items()):
            if node_id in drain.waiting and (change is None or change >= drain.since):
                drain.waiting.discard(node_id)
                row = view.rows.get(key)
                if not drain.waiting and isinstance(row, Endpoint):
                    self._put(view, key, dataclasses.replace(row, drained=True))

    def _applied(self, node_id: str, network_id: str, change: int) -> bool:
        share = self._shares.get(node_id)
        return share is not None and network_id in share.links and share.has(network_id, change)

    def states(self) -> Iterator[tuple[str, NetworksState, bool]]:
        """(node id, what it said last, whether it has applied all that it was told) of every node that is there."""
        for node_id, share in self._shares.items():
            if share.links or share.state.errors:
                yield node_id, share.state, not share.sent


def _check_open(share: Share) -> None:
    """One that is closed must not be counted among those that have a network any more."""
    if share.closed:
        raise Unavailable(f"session ended: {share.closed}")


def _is_drained(view: _View, key: str) -> bool:
    drain = view.drains.get(key)
    return drain is not None and not drain.waiting


def _networks_of(value: Object | None) -> set[str]:
    """The networks that a task or node has addresses in."""
    return {one.network_id for one in value.attachments} if isinstance(value, Task | Node) else set()


def _named(value: Object | None) -> Iterable[str]:
    return make.networks_of(value) if isinstance(value, Service) else ()


def _answers(node: Node, network_id: str) -> bool:
    """Whether a node that has the network is to say that it applied something."""
    return node.status.state != NodeState.DOWN and any(one.network_id == network_id for one in node.attachments)


def _mtu_of(node: Node | None) -> object:
    """What a node has to do with the size of packets."""
    return (node.description.mtu, ":" in make.vtep(node)) if node is not None else (0, False)


def _whereabouts(node: Node | None) -> object:
    """What the rows of a node's tasks say of it."""
    return (node.status.state == NodeState.DOWN, make.vtep(node)) if node is not None else None


def _as_member(node: Node | None) -> object:
    """What rows say of a node."""
    return (_whereabouts(node), node.attachments, node.spec.mesh_backend, node.hostname) if node is not None else None
