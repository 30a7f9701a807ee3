# SPDX-License-Identifier: Apache-2.0
"""A store to try things in: it shows what another one holds, takes changes, and never touches the other one.

Nothing is copied at first: what is changed lies over what is there. So to try a change costs what that change touches,
however much the swarm holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from queenright.model.changes import Change, Conflict
from queenright.model.objects import Service, Task
from queenright.store.addressing import Addressing, Usage
from queenright.store.counts import Counts, ServiceCount
from queenright.store.history import Commit
from queenright.store.load import Loads, NodeLoad
from queenright.store.store import Store
from queenright.store.tables import Table


class Overlay(Table[Any]):
    """Rows of its own over those of ``base``. ``narrowed``: of these indexes only rows that fit are shown."""

    def __init__(self, base: Any, narrowed: Mapping[str, Callable[[Any], bool]] | None = None) -> None:
        super().__init__(base._readers)
        self._base: Table[Any] = base
        self._narrowed = narrowed or {}
        self._covered: set[str] = set()  # ids of which the row below does not count any more

    def __len__(self) -> int:
        return sum(1 for _ in self.ids())

    def __iter__(self) -> Iterator[Any]:
        here = (row if row.id not in self._covered else self._rows.get(row.id) for row in self._base)
        yield from (row for row in here if row is not None)
        yield from (row for row in self._rows.values() if row.id not in self._base)

    def __contains__(self, key: object) -> bool:
        return key in self._rows if key in self._covered else key in self._base

    def get(self, key: str) -> Any:
        return self._base.get(key) if key not in self._covered else self._rows.get(key)

    def ids(self) -> Iterable[str]:
        yield from (key for key in self._base.ids() if key not in self._covered)
        yield from self._rows.keys()

    def by(self, index: str, key: object) -> tuple[Any, ...]:
        """In the order of the tables below: a row that is changed here stays where it was."""
        below, own = self._base.by(index, key), self._indexes[index].get(key, {})
        found: Iterable[Any] = below
        if self._covered:
            here = (row if row.id not in self._covered else own.get(row.id) for row in below)
            found = [row for row in here if row is not None]
        if own:
            known = {row.id for row in below}
            found = [*found, *(row for row in own.values() if row.id not in known)]
        fits = self._narrowed.get(index)
        return tuple(found) if fits is None else tuple(row for row in found if fits(row))

    def count(self, index: str, key: object) -> int:
        return len(self.by(index, key))

    def keys(self, index: str) -> Iterable[object]:
        """All keys that may have rows."""
        return {**dict.fromkeys(self._base.keys(index)), **dict.fromkeys(self._indexes[index])}

    def with_prefix(self, prefix: str) -> list[Any]:
        below = [row for row in self._base.with_prefix(prefix) if row.id not in self._covered]
        return below + super().with_prefix(prefix)

    def covers(self, row: Any) -> bool:
        """Whether the row was written here."""
        return row.id in self._covered

    def put(self, row: Any) -> None:
        self._covered.add(row.id)
        super().put(row)

    def pop(self, key: str) -> Any:
        row = self.get(key)
        self._covered.add(key)
        super().pop(key)
        return row

    def copy(self) -> dict[str, Any]:
        return {row.id: row for row in self}


class _Loads(Loads):
    """Loads that are copied from ``base`` when they are first written."""

    def __init__(self, base: Callable[[str], NodeLoad]) -> None:
        super().__init__()
        self._base = base

    def of(self, node_id: str) -> NodeLoad:
        found = self._by_node.get(node_id)
        return self._base(node_id) if found is None else found

    def moved(self, before: Task | None, after: Task | None) -> None:
        for task in (before, after):
            if task is not None and task.node_id and task.node_id not in self._by_node:
                self._by_node[task.node_id] = _copied(self._base(task.node_id))
        super().moved(before, after)

    def forget_node(self, node_id: str) -> None:
        self._by_node[node_id] = NodeLoad()


class _Addressing(Addressing):
    """Usage that is copied from ``base`` when it is first written."""

    def __init__(self, base: Callable[[str], Usage], uneven: Iterable[str], failing: Iterable[str]) -> None:
        super().__init__()
        self._base = base
        self.uneven, self.failing = dict.fromkeys(uneven), dict.fromkeys(failing)

    def of(self, network_id: str) -> Usage:
        found = self._by_network.get(network_id)
        return self._base(network_id) if found is None else found

    def _usage(self, network_id: str) -> Usage:
        if network_id not in self._by_network:
            self._by_network[network_id] = self._base(network_id).copy()
        return self._by_network[network_id]


class _Counts(Counts):
    """Counts by which tasks were moved in here, over those of ``base``."""

    def __init__(self, base: Callable[[str, int], ServiceCount]) -> None:
        super().__init__()
        self._base = base

    def of(self, service_id: str, iteration: int = 0) -> ServiceCount:
        below, moved = self._base(service_id, iteration), super().of(service_id, iteration)
        return ServiceCount(
            below.running + moved.running, below.completed + moved.completed, below.desired + moved.desired
        )


class Scratch(Store):
    """What ``base`` holds, to be changed at will. What waits or is under way (tasks that are pending or prepared,
    updates) is shown of ``services`` alone, and of stacks that were written here: the rest of the swarm stands still.
    """

    def __init__(self, base: Store, services: Callable[[str], bool], *, guarded: bool = True) -> None:
        """``guarded`` False: what would be refused as it stands is taken nevertheless."""
        super().__init__()
        self.index = base.index
        self._guarded = guarded

        def own_task(task: Task) -> bool:
            return services(task.service_id)

        def own_service(service: Service) -> bool:
            return services(service.id)

        narrowed: dict[str, Mapping[str, Callable[[Any], bool]]] = {
            "task": {"pending": own_task, "waiting": own_task, "new": own_task},
            "service": {"rolling": own_service, "lacking": own_service},
        }
        for kind, table in base._tables.items():
            over: Any = Overlay(table, narrowed.get(kind))
            self._tables[kind] = over
        touched: Any = self._tables["stack"]
        touched._narrowed = dict.fromkeys(("active", "leftover"), touched.covers)
        self._name_tables()
        self._loads = _Loads(base.load)
        self._addressing = _Addressing(base.addresses, base.uneven_networks(), base.failing_networks())
        self._base_failing = base.failing
        self._counts = _Counts(base.service_count)
        self._seen: list[Commit] = []

    def failing(self, service_id: str) -> frozenset[str]:
        return self._base_failing(service_id) | super().failing(service_id)

    def drain(self) -> list[Commit]:
        """What was applied since the last call."""
        seen, self._seen = self._seen, []
        return seen

    def misfit(self, changes: Iterable[Change]) -> Conflict | None:
        return super().misfit(changes) if self._guarded else None

    def _tell(self, commit: Commit) -> None:
        self._seen.append(commit)


def _copied(load: NodeLoad) -> NodeLoad:
    copy = load.copy()
    copy.failures = dict(load.failures)
    return copy


__all__ = ["Overlay", "Scratch"]
