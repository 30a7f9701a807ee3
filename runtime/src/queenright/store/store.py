# SPDX-License-Identifier: Apache-2.0
"""The replicated state in memory: tables, aggregates, versions and a watch.

One thread (the event loop's) reads and writes. Writes come only from the log, through :meth:`Store.apply`; the same
batches in the same order make the
same store on every manager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, TypeVar, cast

from queenright.lib.records import changed
from queenright.model.changes import Batch, Change, Conflict, Delete
from queenright.model.errors import InvalidArgument, NotFound
from queenright.model.objects import (
    Certificate,
    Cluster,
    Config,
    Network,
    Node,
    Object,
    Registry,
    Secret,
    Service,
    Stack,
    Task,
    Ticket,
)
from queenright.store import tables
from queenright.store.addressing import Addressing, Usage
from queenright.store.counts import Counts, ServiceCount
from queenright.store.guards import Guard
from queenright.store.history import Commit, Event, History
from queenright.store.load import Loads, NodeLoad
from queenright.store.remains import Remains

T = TypeVar("T", Node, Service, Task, Secret, Config, Registry, Network, Stack)


class Prepared:
    """Tables of a snapshot, built aside by :meth:`Store.prepare_restore` for :meth:`Store.adopt`, once."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.tables = tables.all_tables()
        self.loads = Loads()
        self.counts = Counts()
        self.addressing = Addressing()


class Subscription:
    """Commits since :meth:`Store.watch`, without gaps, in order. Never blocks the writer.

    A commit with ``reset`` takes the place of all that waited here.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: asyncio.Queue[Commit] = asyncio.Queue()

    async def next(self) -> Commit:
        return await self._queue.get()

    def drain(self) -> list[Commit]:
        """What has come so far, without waiting."""
        out = []
        while not self._queue.empty():
            out.append(self._queue.get_nowait())
        return out

    def close(self) -> None:
        self._store._subscriptions.discard(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Store:
    """Tables ``clusters``, ``nodes``, ``services``, ``tasks``, ``tickets``, ``secrets``, ``configs``, ``registries``,
    ``networks``, ``certificates``, ``stacks``; ``index`` is that of the last applied entry, ``history`` what the last
    ones did.
    """

    def __init__(self) -> None:
        self.index = 0
        self.history = History()
        self._tables = tables.all_tables()
        self._name_tables()
        self._loads = Loads()
        self.of_nodes: dict[Hashable, Any] = {}  # what readers found out of nodes alone: gone when a node changes
        self._counts = Counts()
        self._addressing = Addressing()
        self._subscriptions: set[Subscription] = set()

    def _name_tables(self) -> None:
        self.clusters = cast("tables.Table[Cluster]", self._tables["cluster"])
        self.nodes = cast("tables.Table[Node]", self._tables["node"])
        self.services = cast("tables.Table[Service]", self._tables["service"])
        self.tasks = cast("tables.Table[Task]", self._tables["task"])
        self.tickets = cast("tables.Table[Ticket]", self._tables["ticket"])
        self.secrets = cast("tables.Table[Secret]", self._tables["secret"])
        self.configs = cast("tables.Table[Config]", self._tables["config"])
        self.registries = cast("tables.Table[Registry]", self._tables["registry"])
        self.networks = cast("tables.Table[Network]", self._tables["network"])
        self.certificates = cast("tables.Table[Certificate]", self._tables["certificate"])
        self.stacks = cast("tables.Table[Stack]", self._tables["stack"])

    # -- reading

    @property
    def cluster(self) -> Cluster | None:
        return next(iter(self.clusters), None)

    @property
    def size(self) -> int:
        """How many objects there are."""
        return sum(len(table) for table in self._tables.values())

    def load(self, node_id: str) -> NodeLoad:
        """What the node carries. Read only."""
        return self._loads.of(node_id)

    def service_count(self, service_id: str, iteration: int = 0) -> ServiceCount:
        """How many tasks of the service (of one iteration of a job) run, shall run, have completed. Read only."""
        return self._counts.of(service_id, iteration)

    def addresses(self, network_id: str) -> Usage:
        """Which addresses of the network are in use, and where its tasks are. Read only."""
        return self._addressing.of(network_id)

    def uneven_networks(self) -> Iterable[str]:
        """Ids of networks with nodes that need an address of their own, or have one that they do not need."""
        return self._addressing.uneven

    def failing_networks(self) -> Iterable[str]:
        """Ids of networks that tell of an error."""
        return self._addressing.failing

    def failing(self, service_id: str) -> frozenset[str]:
        """The nodes that remember failures of the service's tasks."""
        return self._loads.failing(service_id)

    def get(self, kind: str, key: str) -> Object | None:
        return self._tables[kind].get(key)

    def node(self, ref: str) -> Node:
        """By id, then host name, then unique prefix of an id. Raises NotFound or InvalidArgument (ambiguous)."""
        return _resolve(self.nodes, "hostname", "node", ref)

    def service(self, ref: str) -> Service:
        """By id, then name, then unique prefix of an id."""
        return _resolve(self.services, "name", "service", ref)

    def task(self, ref: str) -> Task:
        """By id, then full name, then unique prefix of an id."""
        return _resolve(self.tasks, "name", "task", ref)

    def secret(self, ref: str) -> Secret:
        """By id, then name, then unique prefix of an id."""
        return _resolve(self.secrets, "name", "secret", ref)

    def config(self, ref: str) -> Config:
        """By id, then name, then unique prefix of an id."""
        return _resolve(self.configs, "name", "config", ref)

    def registry(self, ref: str) -> Registry:
        """By id, then server, then unique prefix of an id."""
        return _resolve(self.registries, "name", "registry", ref)

    def network(self, ref: str) -> Network:
        """By id, then name, then unique prefix of an id."""
        return _resolve(self.networks, "name", "network", ref)

    def stack(self, ref: str) -> Stack:
        """By id, then name, then unique prefix of an id."""
        return _resolve(self.stacks, "name", "stack", ref)

    @property
    def ingress(self) -> Network | None:
        """The network that carries the ports that services publish on all nodes, if there is one."""
        return next(iter(self.networks.by("ingress", True)), None)

    def watch(self) -> Subscription:
        """Commits from now on. Close it (or use ``with``)."""
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        return subscription

    # -- writing (the log only)

    def apply(self, index: int, batch: Batch) -> Conflict | None:
        """Take the batch as a whole, or nothing of it and say why. Deterministic."""
        self.index = index
        conflict = self.misfit(batch.changes)
        if conflict is not None:
            return conflict
        events = tuple(event for change in batch.changes if (event := self._take(change, index, batch.at)) is not None)
        if events:
            self._tell(Commit(index, events, at=batch.at))
        return None

    def misfit(self, changes: Iterable[Change]) -> Conflict | None:
        """What of a batch would not be taken now, and why; None if all of it would."""
        return Guard(self._tables).check(changes)

    def _tell(self, commit: Commit) -> None:
        self.history.add(commit)
        for subscription in self._subscriptions:
            subscription._queue.put_nowait(commit)

    def _take(self, change: Change, index: int, at: int) -> Event | None:
        if isinstance(change, Delete):
            gone = self._tables[change.kind].pop(change.id)
            if change.kind == "node":
                self.of_nodes.clear()
            self._account(gone, None)
            return Event(gone, None) if gone is not None else None
        before = self._tables[change.object.kind].get(change.object.id)
        if isinstance(change.object, Node):
            self.of_nodes.clear()
        created = before.created_at if before is not None else at
        after = changed(change.object, version=index, created_at=created, updated_at=at)
        self._put(after)
        self._account(before, after)
        return Event(before, after)

    def _put(self, row: Object) -> None:
        _put(self._tables, row)

    def _account(self, before: Object | None, after: Object | None) -> None:
        self._addressing.moved(before, after)
        if isinstance(before, Task) or isinstance(after, Task):
            self._loads.moved(cast("Task | None", before), cast("Task | None", after))
            self._counts.moved(cast("Task | None", before), cast("Task | None", after))
        elif after is None and isinstance(before, Service):
            self._loads.forget_service(before.id)
        elif after is None and isinstance(before, Node):
            self._loads.forget_node(before.id)

    # -- snapshots

    def freeze(self) -> Callable[[], Iterator[Object]]:
        """A shallow copy made now; the returned function yields its objects later, on any thread."""
        copies: list[dict[str, Object]] = [cast("dict[str, Object]", table.copy()) for table in self._tables.values()]

        def objects() -> Iterator[Object]:
            for copy in copies:
                yield from copy.values()

        return objects

    @staticmethod
    def prepare_restore(index: int, objects: Iterable[Object]) -> Prepared:
        """Build the tables that ``objects`` make, on any thread; nothing of a store is touched."""
        prepared = Prepared(index)
        for row in objects:
            _put(prepared.tables, row)
            prepared.addressing.restored(row)
            if isinstance(row, Task):
                prepared.loads.moved(None, row)
                prepared.counts.moved(None, row)
        return prepared

    def adopt(self, prepared: Prepared) -> Remains:
        """Hold what was prepared from now on, in one short step, and tell the watchers so. Gives what was held before,
        to be freed bit by bit."""
        gone: list[dict[Any, Any]] = []
        for kind, table in self._tables.items():
            gone += cast("tables.Table[Task]", table).take_over(cast("tables.Table[Task]", prepared.tables[kind]))
        gone.append(self._loads.take_over(prepared.loads))
        gone.append(self._counts.take_over(prepared.counts))
        gone.append(self._addressing.take_over(prepared.addressing))
        self.of_nodes.clear()
        self.index = prepared.index
        self.history.reset(prepared.index)
        commit = Commit(prepared.index, (), reset=True)
        for subscription in self._subscriptions:
            subscription.drain()
            subscription._queue.put_nowait(commit)
        return Remains(gone)

    def restore(self, index: int, objects: Iterable[Object]) -> None:
        """Fill an empty store from a snapshot."""
        if any(len(table) for table in self._tables.values()):
            raise ValueError("a snapshot is restored into an empty store only")
        self.adopt(self.prepare_restore(index, objects))


def _put(into: dict[str, tables.AnyTable], row: Object) -> None:
    cast("tables.Table[Task]", into[row.kind]).put(cast("Task", row))


def _resolve(table: tables.Table[T], index: str, kind: str, ref: str) -> T:
    found = table.get(ref)
    if found is not None:
        return found
    matches = list(table.by(index, ref.lower())) or (table.with_prefix(ref) if ref else [])
    if not matches:
        raise NotFound(f"{kind} {ref} not found", plain=True)
    if len(matches) > 1:
        raise InvalidArgument(f"{kind} {ref} is ambiguous ({len(matches)} matches found)", plain=True)
    return matches[0]


__all__ = ["Commit", "Event", "Prepared", "Remains", "Store", "Subscription", "Ticket"]
