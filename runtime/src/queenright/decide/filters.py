# SPDX-License-Identifier: Apache-2.0
"""Which nodes can take a task. Each filter checks one thing, says why it refuses, and sums up many refusals.

They are asked in a fixed order and the first refusal counts. ``steady`` filters look only at the node, so one answer
holds for all tasks of a revision; the others look at what the node carries and are asked again for each task.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from queenright.decide.revision import platform_fits
from queenright.model import constraints
from queenright.model.objects import Node, Task
from queenright.model.states import NodeState
from queenright.spec.cluster import ACTIVE
from queenright.store.load import NodeLoad


class Filter(Protocol):
    """One condition for placing a task."""

    name: str
    steady: bool

    def concerns(self, task: Task) -> bool:
        """Whether the task asks for anything that this filter knows."""
        ...

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        """Why the node cannot take the task; None if it can."""
        ...

    def explain(self, count: int) -> str:
        """What ``count`` refusals amount to, in the words of ``docker service ps``."""
        ...


class Ready:
    """The node is ready and active."""

    name = "ready"
    steady = True

    def concerns(self, task: Task) -> bool:
        return True

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        if node.takes_tasks:
            return None
        if node.status.state != NodeState.READY:
            message = f" ({node.status.message})" if node.status.message else ""
            return f"node is {node.status.state}{message}"
        return f"availability is {node.availability}, not {ACTIVE}"

    def explain(self, count: int) -> str:
        return "1 node not available for new tasks" if count == 1 else f"{count} nodes not available for new tasks"


class Resources:
    """What the task reserves is free there."""

    name = "resources"
    steady = False

    def concerns(self, task: Task) -> bool:
        reserved = task.spec.resources.reservations
        return reserved is not None and bool(reserved.cpus or reserved.memory)

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        reserved = task.spec.resources.reservations
        if reserved is None:
            return None
        free = node.description.nano_cpus - load.cpus
        if reserved.cpus and reserved.cpus > free:
            return f"{reserved.cpus / 1e9:g} CPUs are reserved, {max(0, free) / 1e9:g} are free"
        left = node.description.memory_bytes - load.memory
        if reserved.memory and reserved.memory > left:
            return f"{reserved.memory} bytes of memory are reserved, {max(0, left)} are free"
        return None

    def explain(self, count: int) -> str:
        return f"insufficient resources on {_nodes(count)}"


class Plugins:
    """The volume and log drivers that the task asks for are there. A node that lists no log drivers may have any."""

    name = "plugin"
    steady = True

    def concerns(self, task: Task) -> bool:
        return bool(self._volume_drivers(task)) or self._log_driver(task) is not None

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        listed = node.description.plugins
        for volume in self._volume_drivers(task):
            if not _has(listed, "Volume", volume):
                return f"volume driver {volume} is missing"
        driver = self._log_driver(task)
        if driver is not None and any(plugin.startswith("Log/") for plugin in listed):
            return None if _has(listed, "Log", driver) else f"log driver {driver} is missing"
        return None

    def explain(self, count: int) -> str:
        return f"missing plugin on {_nodes(count)}"

    @staticmethod
    def _volume_drivers(task: Task) -> list[str]:
        named = [
            mount.volume.driver.name
            for mount in task.spec.container.mounts
            if (mount.type or "volume") == "volume" and mount.volume is not None and mount.volume.driver is not None
        ]
        return [name for name in named if name and name != "local"]

    @staticmethod
    def _log_driver(task: Task) -> str | None:
        driver = task.spec.log_driver.name if task.spec.log_driver is not None else None
        return driver if driver and driver != "none" else None


class Constraints:
    """The node meets all placement constraints."""

    name = "constraints"
    steady = True

    def concerns(self, task: Task) -> bool:
        return task.spec.placement is not None and bool(task.spec.placement.constraints)

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        unmet = constraints.unmet(node, task.spec.placement.constraints) if task.spec.placement is not None else None
        return None if unmet is None else f"constraint {unmet} is not met"

    def explain(self, count: int) -> str:
        return f"scheduling constraints not satisfied on {_nodes(count)}"


class Platforms:
    """The image exists for the node's platform."""

    name = "platform"
    steady = True

    def concerns(self, task: Task) -> bool:
        return task.spec.placement is not None and bool(task.spec.placement.platforms)

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        if platform_fits(node, task.spec):
            return None
        return f"platform {node.description.os}/{node.description.architecture} is none of the image's"

    def explain(self, count: int) -> str:
        return f"unsupported platform on {_nodes(count)}"


class HostPorts:
    """The host ports that the task publishes are free there."""

    name = "host-port"
    steady = False

    def concerns(self, task: Task) -> bool:
        return bool(task.host_ports)

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        taken = next((port for port in task.host_ports if load.ports.get(port)), None)
        return None if taken is None else f"host port {taken[1]}/{taken[0]} is in use"

    def explain(self, count: int) -> str:
        return f"host-mode port already in use on {_nodes(count)}"


class MaxReplicas:
    """The node has fewer tasks of the service than it may have."""

    name = "max-replicas"
    steady = False

    def concerns(self, task: Task) -> bool:
        return task.spec.placement is not None and bool(task.spec.placement.max_replicas)

    def check(self, task: Task, node: Node, load: NodeLoad) -> str | None:
        limit = task.spec.placement.max_replicas if task.spec.placement is not None else None
        held = load.services.get(task.service_id, 0)
        return None if not limit or held < limit else f"{held} tasks of the service are there, {limit} are allowed"

    def explain(self, count: int) -> str:
        return "max replicas per node limit exceed"


PIPELINE: tuple[Filter, ...] = (
    Ready(),
    Resources(),
    Plugins(),
    Constraints(),
    Platforms(),
    HostPorts(),
    MaxReplicas(),
)


def concerning(task: Task) -> tuple[Filter, ...]:
    """The filters that matter for the task, in order."""
    return tuple(one for one in PIPELINE if one.concerns(task))


def first_refusal(chosen: Iterable[Filter], task: Task, node: Node, load: NodeLoad) -> tuple[Filter, str] | None:
    """The first filter that refuses the node, and why."""
    for one in chosen:
        reason = one.check(task, node, load)
        if reason is not None:
            return one, reason
    return None


def summary(refusals: Iterable[Filter]) -> str:
    """Many refusals in one line: the most frequent first, then in the order of the filters."""
    counts: dict[str, int] = {}
    for refusal in refusals:
        counts[refusal.name] = counts.get(refusal.name, 0) + 1
    ordered = sorted((one for one in PIPELINE if one.name in counts), key=lambda one: -counts[one.name])
    return "; ".join(one.explain(counts[one.name]) for one in ordered)


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _has(plugins: Iterable[str], kind: str, name: str) -> bool:
    wanted = f"{kind}/{name.removesuffix(':latest')}"
    return any(plugin.removesuffix(":latest") == wanted for plugin in plugins)
