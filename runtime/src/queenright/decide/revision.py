# SPDX-License-Identifier: Apache-2.0
"""Whether a task is of a service's present revision, by what is meant and not how it is written."""

from __future__ import annotations

import dataclasses
import enum

from queenright.decide import defaults
from queenright.model import constraints
from queenright.model.objects import Node, Service, Task
from queenright.spec.service import TaskSpec
from queenright.store.store import Store


class Drift(enum.Enum):
    """How far a task's specification is from its service's."""

    SAME = enum.auto()
    PLACEMENT = enum.auto()  # only where it may run
    OTHER = enum.auto()


class Revision:
    """The present revision of one service; made for one decision, because it remembers its comparisons.

    All tasks of one spec version have one specification, so each version is compared once.
    """

    def __init__(self, view: Store, service: Service) -> None:
        self._view = view
        self._service = service
        self._drifts: dict[int, Drift] = {service.spec_version: Drift.SAME}

    def drift(self, task: Task) -> Drift:
        known = self._drifts.get(task.spec_version)
        if known is None:
            known = self._drifts[task.spec_version] = self._compare(task)
        return known

    def clean(self, task: Task) -> bool:
        """Whether the task need not be replaced: the same but for a placement that its node meets anyway."""
        drift = self.drift(task)
        if drift is Drift.PLACEMENT:
            node = self._view.nodes.get(task.node_id)
            return node is not None and placement_fits(node, self._service.spec.task)
        return drift is Drift.SAME

    def _compare(self, task: Task) -> Drift:
        if not defaults.is_dirty(self._service, task):
            return Drift.SAME
        if task.spec.placement == self._service.spec.task.placement:
            return Drift.OTHER
        moved = dataclasses.replace(task.spec, placement=self._service.spec.task.placement)
        elsewhere = defaults.is_dirty(self._service, dataclasses.replace(task, spec=moved))
        return Drift.OTHER if elsewhere else Drift.PLACEMENT


def placement_fits(node: Node, spec: TaskSpec) -> bool:
    """Whether constraints and platforms of the specification allow the node."""
    placement = spec.placement
    if placement is None:
        return True
    return constraints.unmet(node, placement.constraints) is None and platform_fits(node, spec)


def platform_fits(node: Node, spec: TaskSpec) -> bool:
    """Whether the node is of one of the platforms that the image exists for; none given allows all."""
    platforms = spec.placement.platforms if spec.placement is not None else ()
    if not platforms:
        return True
    arch, os = constraints.architecture(node.description.architecture), node.description.os.lower()
    return any(
        (not platform.architecture or constraints.architecture(platform.architecture) == arch)
        and (not platform.os or platform.os.lower() == os)
        for platform in platforms
    )
