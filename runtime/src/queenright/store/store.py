# SPDX-License-Identifier: Apache-2.0
"""The replicated state in memory: tables, aggregates, versions and a watch.

One thread (the event loop's) reads and writes. Writes come only from the log, through :meth:`Store.apply`; the same
batches in the same order make the
same store on every manager.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from queenright.model.changes import Batch, Change, Conflict, Create, Delete, Update
from queenright.model.errors import InvalidArgument, NotFound
from queenright.model.objects import Cluster, Node, Object, Service, Task, Ticket
from queenright.store import tables
from queenright.store.load import Loads, NodeLoad
from queenright.store.remains import Remains

T = TypeVar("T", Node, Service, Task)


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One object changed: ``before`` None is a creation, ``after`` None a removal."""

    before: Object | None
    after: Object | None

    @property
    def object(self) -> Object:
        """The newest form there is."""
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """All events of one log entry, in order.

    ``reset``: a snapshot took the place of everything. There are no events then: whoever derived something from the
    store forgets it and looks again.
    """

    index: int
    events: tuple[Event, ...]
    reset: bool = False


class Prepared:
    """Tables of a snapshot, built aside by :meth:`Store.prepare_restore` for :meth:`Store.adopt`, once."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.tables = tables.all_tables()
        self.loads = Loads()


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
    """Tables ``clusters``, ``nodes``, ``services``, ``tasks``, ``tickets``; ``index`` is that of the last applied
    entry.
    """

    def __init__(self) -> None:
        self.index = 0
        self._tables = tables.all_tables()
        self.clusters = cast("tables.Table[Cluster]", self._tables["cluster"])
        self.nodes = cast("tables.Table[Node]", self._tables["node"])
        self.services = cast("tables.Table[Service]", self._tables["service"])
        self.tasks = cast("tables.Table[Task]", self._tables["task"])
        self.tickets = cast("tables.Table[Ticket]", self._tables["ticket"])
        self._loads = Loads()
        self._subscriptions: set[Subscription] = set()

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

    def watch(self) -> Subscription:
        """Commits from now on. Close it (or use ``with``)."""
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        return subscription

    # -- writing (the log only)

    def apply(self, index: int, batch: Batch) -> Conflict | None:
        """Take the batch as a whole, or nothing of it and say why. Deterministic."""
        self.index = index
        conflict = self._check(batch.changes)
        if conflict is not None:
            return conflict
        events = tuple(event for change in batch.changes if (event := self._take(change, index, batch.at)) is not None)
        if events:
            commit = Commit(index, events)
            for subscription in self._subscriptions:
                subscription._queue.put_nowait(commit)
        return None

    def _check(self, changes: Iterable[Change]) -> Conflict | None:
        """Check each change against the store as the changes before it would leave it."""
        versions: dict[tuple[str, str], int | None] = {}
        names: dict[str, str | None] = {}  # of services, by id, as the batch so far leaves them
        for change in changes:
            target = change if isinstance(change, Delete) else change.object
            kind, key = target.kind, target.id
            stored = self._tables[kind].get(key)
            version = versions.get((kind, key), stored.version if stored is not None else None)
            reason = _misfit(change, version)
            if reason is None and isinstance(change, Create | Update) and isinstance(change.object, Service):
                reason = self._name_taken(change.object, names)
            if isinstance(change, Delete) and kind == "service":
                names[key] = None
            if reason is not None:
                return Conflict(kind, key, reason)
            if isinstance(change, Delete):
                versions[kind, key] = None
            else:
                versions[kind, key] = change.object.version
        return None

    def _name_taken(self, service: Service, names: dict[str, str | None]) -> str | None:
        name = service.name.lower()
        holders = [key for key, held in names.items() if held == name]
        holders += [other.id for other in self.services.by("name", name) if other.id not in names]
        names[service.id] = name
        return "name in use" if any(holder != service.id for holder in holders) else None

    def _take(self, change: Change, index: int, at: int) -> Event | None:
        if isinstance(change, Delete):
            gone = self._tables[change.kind].pop(change.id)
            self._account(gone, None)
            return Event(gone, None) if gone is not None else None
        before = self._tables[change.object.kind].get(change.object.id)
        created = before.created_at if before is not None else at
        after = dataclasses.replace(change.object, version=index, created_at=created, updated_at=at)
        self._put(after)
        self._account(before, after)
        return Event(before, after)

    def _put(self, row: Object) -> None:
        _put(self._tables, row)

    def _account(self, before: Object | None, after: Object | None) -> None:
        if isinstance(before, Task) or isinstance(after, Task):
            self._loads.moved(cast("Task | None", before), cast("Task | None", after))
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
            if isinstance(row, Task):
                prepared.loads.moved(None, row)
        return prepared

    def adopt(self, prepared: Prepared) -> Remains:
        """Hold what was prepared from now on, in one short step, and tell the watchers so. Gives what was held before,
        to be freed bit by bit."""
        gone: list[dict[Any, Any]] = []
        for kind, table in self._tables.items():
            gone += cast("tables.Table[Task]", table).take_over(cast("tables.Table[Task]", prepared.tables[kind]))
        gone.append(self._loads.take_over(prepared.loads))
        self.index = prepared.index
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


def _misfit(change: Change, version: int | None) -> str | None:
    if isinstance(change, Create):
        return None if version is None else "exists already"
    if isinstance(change, Delete):
        return None if change.version is None or change.version == version else "changed meanwhile"
    if version is None:
        return "is gone"
    return None if change.object.version == version else "changed meanwhile"


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
