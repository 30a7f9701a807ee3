# SPDX-License-Identifier: Apache-2.0
"""What a forecast tells of one service: tasks made and stopped, batches, the fewest that serve at any time."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from queenright.model.objects import Service, Task
from queenright.model.states import NodeState, TaskState
from queenright.store.history import Event
from queenright.store.store import Store

Slot = tuple[int, str]  # a number, or a node's id


@dataclasses.dataclass(slots=True)
class _Batch:
    """Slots that get a new task at one time (seconds from the beginning)."""

    after: float
    slots: list[Slot]


class ServiceForecast:
    """Counts what happens to the tasks of one service. ``store`` is the one before the change."""

    def __init__(self, store: Store, service_id: str) -> None:
        self._id = service_id
        self._store = store
        self._serving: dict[Slot, set[str]] = {}
        self._created: set[str] = set()
        self._stopped: set[str] = set()
        self._nodes: Counter[str] = Counter()
        self._batches: list[_Batch] = []
        self._seconds = 0.0
        for task in store.tasks.by("service", service_id):
            if _serves(store, task):
                self._serving.setdefault(_slot(task), set()).add(task.id)
        self._before = self._fewest = len(self._serving)

    def take(self, event: Event, at: float) -> None:
        """A task changed. ``at``: seconds from the beginning."""
        before, after = event.before, event.after
        self._seconds = max(self._seconds, at)
        if isinstance(after, Task):
            if before is None:
                self._create(after, at)
            elif isinstance(before, Task) and after.id in self._created and not before.state >= TaskState.ASSIGNED:
                if after.state >= TaskState.ASSIGNED and not after.state.terminal:
                    self._nodes[after.node_id] += 1
        row = event.object
        assert isinstance(row, Task)
        ends = after is None or row.desired_state >= TaskState.SHUTDOWN or row.state.terminal
        if ends and row.id not in self._created and isinstance(before, Task) and _counts(before):
            self._stopped.add(row.id)
        self._note(row, serving=after is not None and row.state == TaskState.RUNNING and row.wanted)

    def settle(self) -> None:
        """All changes of one decision were taken: so many serve now."""
        self._fewest = min(self._fewest, len(self._serving))

    def moved(self, view: Store) -> bool:
        """Whether there is anything to tell."""
        return bool(self._created or self._stopped or self._unplaced(view)) or self._id not in self._store.services

    def answer(self, view: Store) -> dict[str, Any]:
        """``view``: the store at the end of the forecast."""
        service = view.services.get(self._id) or self._store.services.get(self._id)
        assert isinstance(service, Service)
        status = service.update_status if self._id in view.services else None
        # Without anything that served before, what serves least is the end: nothing is lost on the way there.
        after = len(self._serving)
        return {
            "id": self._id if self._id in self._store.services else "",
            "name": service.name,
            "created": len(self._created),
            "stopped": len(self._stopped),
            "serving": {"before": self._before, "fewest": self._fewest, "after": after},
            "batches": [
                {"after": round(batch.after, 3), "slots": [self._name(view, slot) for slot in sorted(batch.slots)]}
                for batch in self._batches
            ],
            "nodes": {_host(view, key): count for key, count in sorted(self._nodes.items())},
            "unplaced": self._unplaced(view),
            "seconds": round(self._seconds, 3),
            "update": "" if status is None else str(status.state),
        }

    def _create(self, task: Task, at: float) -> None:
        self._created.add(task.id)
        if not self._batches or self._batches[-1].after != at:
            self._batches.append(_Batch(at, []))
        self._batches[-1].slots.append(_slot(task))

    def _note(self, task: Task, *, serving: bool) -> None:
        held = self._serving.setdefault(_slot(task), set())
        if serving:
            held.add(task.id)
        else:
            held.discard(task.id)
        if not held:
            del self._serving[_slot(task)]

    def _unplaced(self, view: Store) -> list[dict[str, Any]]:
        reasons: dict[str, list[Slot]] = {}
        for task in view.tasks.by("pending", True):
            if task.service_id == self._id and task.wanted and task.status.err:
                reasons.setdefault(task.status.err, []).append(_slot(task))
        return [
            {"reason": reason, "slots": [self._name(view, slot) for slot in sorted(slots)]}
            for reason, slots in sorted(reasons.items())
        ]

    def _name(self, view: Store, slot: Slot) -> str:
        return str(slot[0]) if slot[0] else _host(view, slot[1])


def _slot(task: Task) -> Slot:
    return (task.slot, "") if task.slot else (0, task.node_id)


def _serves(store: Store, task: Task) -> bool:
    node = store.nodes.get(task.node_id)
    return task.state == TaskState.RUNNING and task.wanted and node is not None and node.status.state != NodeState.DOWN


def _counts(task: Task) -> bool:
    """Whether it was there and not about to go."""
    return not task.state.terminal and task.desired_state < TaskState.SHUTDOWN


def _host(view: Store, node_id: str) -> str:
    node = view.nodes.get(node_id)
    return (node.hostname if node is not None else "") or node_id
