# SPDX-License-Identifier: Apache-2.0
"""Tables of frozen objects with the indexes that deciders and the API ask by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from queenright.model.objects import Cluster, Node, Object, Service, Task, Ticket
from queenright.model.states import TaskState

T = TypeVar("T", Cluster, Node, Service, Task, Ticket)
_EMPTY: Mapping[str, object] = {}


class Table(Generic[T]):
    """Objects by id. Each index maps a key to the (insertion-ordered) objects that have it."""

    def __init__(self, indexes: dict[str, Callable[[T], Iterable[object]]]) -> None:
        self._rows: dict[str, T] = {}
        self._readers: dict[str, Callable[[T], Iterable[object]]] = indexes
        self._indexes: dict[str, dict[object, dict[str, T]]] = {name: {} for name in indexes}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows.values())

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def get(self, key: str) -> T | None:
        return self._rows.get(key)

    def ids(self) -> Iterable[str]:
        return self._rows.keys()

    def by(self, index: str, key: object) -> tuple[T, ...]:
        """The objects with that key, in the order in which they got it; cost follows their number."""
        return tuple(self._indexes[index].get(key, {}).values())

    def count(self, index: str, key: object) -> int:
        return len(self._indexes[index].get(key, _EMPTY))

    def keys(self, index: str) -> Iterable[object]:
        return self._indexes[index].keys()

    def with_prefix(self, prefix: str) -> list[T]:
        """Objects whose id begins so (a walk over the ids: for people's abbreviations, not for loops)."""
        return [row for key, row in self._rows.items() if key.startswith(prefix)]

    def put(self, row: T) -> None:
        before = self._rows.get(row.id)
        self._rows[row.id] = row
        for name, reader in self._readers.items():
            new = tuple(reader(row))
            old = tuple(reader(before)) if before is not None else ()
            index = self._indexes[name]
            for key in old:
                if key not in new:
                    self._forget(index, key, row.id)
            for key in new:
                index.setdefault(key, {})[row.id] = row

    def pop(self, key: str) -> T | None:
        row = self._rows.pop(key, None)
        if row is not None:
            for name, reader in self._readers.items():
                for entry in reader(row):
                    self._forget(self._indexes[name], entry, key)
        return row

    def copy(self) -> dict[str, T]:
        """A shallow copy: one loop step even for 100,000 objects."""
        return dict(self._rows)

    def take_over(self, other: Table[T]) -> list[dict[Any, Any]]:
        """Hold what ``other`` holds from now on; gives the containers of what was here. ``other`` is not to be used any
        more. Whoever holds this table sees the new content."""
        gone: list[dict[Any, Any]] = [self._rows, *self._indexes.values()]
        self._rows, self._indexes = other._rows, other._indexes
        return gone

    @staticmethod
    def _forget(index: dict[object, dict[str, T]], key: object, row_id: str) -> None:
        rows = index.get(key)
        if rows is not None:
            rows.pop(row_id, None)
            if not rows:
                del index[key]


def _task_names(task: Task) -> Iterable[object]:
    return (task.name.lower(),)


def _pending(task: Task) -> Iterable[object]:
    return (True,) if task.status.state < TaskState.ASSIGNED and task.desired_state <= TaskState.COMPLETE else ()


def _waiting(task: Task) -> Iterable[object]:
    return (True,) if task.desired_state == TaskState.READY else ()


def tasks() -> Table[Task]:
    """Indexes: service, slot (service, slot), place (service, node), node, pending (True), waiting (True: prepared, not
    to be started yet), name, label (key, value).
    """
    return Table(
        {
            "service": lambda task: (task.service_id,),
            "slot": lambda task: ((task.service_id, task.slot),),
            "place": lambda task: ((task.service_id, task.node_id),),
            "node": lambda task: (task.node_id,) if task.node_id else (),
            "pending": _pending,
            "waiting": _waiting,
            "name": _task_names,
            "label": lambda task: task.service_labels.items(),
        }
    )


def _rolling(service: Service) -> Iterable[object]:
    return (True,) if service.update_status is not None and service.update_status.state.active else ()


def services() -> Table[Service]:
    """Indexes: name (lower case), label (key, value), mode (replicated or global), rolling (True: being updated)."""
    return Table(
        {
            "name": lambda service: (service.name.lower(),),
            "label": lambda service: service.spec.labels.items(),
            "mode": lambda service: (service.spec.mode.kind or "replicated",),
            "rolling": _rolling,
        }
    )


def nodes() -> Table[Node]:
    """Indexes: hostname (lower case), role, state."""
    return Table(
        {
            "hostname": lambda node: (node.hostname.lower(),),
            "role": lambda node: (node.role,),
            "state": lambda node: (node.status.state,),
        }
    )


def clusters() -> Table[Cluster]:
    return Table({})


def tickets() -> Table[Ticket]:
    return Table({"secret": lambda ticket: (ticket.secret_digest,)})


AnyTable = Table[Cluster] | Table[Node] | Table[Service] | Table[Task] | Table[Ticket]


def all_tables() -> dict[str, AnyTable]:
    """Empty tables by kind of object."""
    return {"cluster": clusters(), "node": nodes(), "service": services(), "task": tasks(), "ticket": tickets()}


__all__ = ["AnyTable", "Object", "Table", "all_tables", "clusters", "nodes", "services", "tasks", "tickets"]
