# SPDX-License-Identifier: Apache-2.0
"""How many tasks of each service run, shall run and have completed, kept as tasks come and go: lists of services show
these numbers, and shall not cost what the tasks are many.
"""

from __future__ import annotations

import dataclasses

from queenright.model.objects import Task
from queenright.model.states import TaskState


@dataclasses.dataclass(slots=True)
class ServiceCount:
    """Tasks of one service and job iteration. Only the store writes it.

    ``running`` run; ``completed`` ran to their end; ``desired`` shall run, or (of jobs) run to their end.
    """

    running: int = 0
    completed: int = 0
    desired: int = 0


class Counts:
    """ServiceCount by service id and job iteration, moved by task changes."""

    def __init__(self) -> None:
        self._by_service: dict[str, dict[int, ServiceCount]] = {}
        self._none = ServiceCount()

    def of(self, service_id: str, iteration: int = 0) -> ServiceCount:
        """The numbers of a service; zeros where it has no tasks. Not to be written by the caller."""
        return self._by_service.get(service_id, {}).get(iteration, self._none)

    def moved(self, before: Task | None, after: Task | None) -> None:
        """One task changed (None: did not exist, or no longer does)."""
        if before is not None:
            self._add(before, -1)
        if after is not None:
            self._add(after, 1)

    def take_over(self, other: Counts) -> dict[str, dict[int, ServiceCount]]:
        """Hold what ``other`` holds from now on; gives what was here."""
        gone, self._by_service = self._by_service, other._by_service
        return gone

    def _add(self, task: Task, sign: int) -> None:
        running = task.state == TaskState.RUNNING
        completed = task.state == TaskState.COMPLETE
        desired = task.desired_state in (TaskState.RUNNING, TaskState.COMPLETE)
        if not (running or completed or desired):
            return
        held = self._by_service.setdefault(task.service_id, {})
        count = held.setdefault(task.job_iteration, ServiceCount())
        count.running += sign * running
        count.completed += sign * completed
        count.desired += sign * desired
        if not (count.running or count.completed or count.desired):
            del held[task.job_iteration]
            if not held:
                del self._by_service[task.service_id]
