# SPDX-License-Identifier: Apache-2.0
"""Filters that look at what a node is: its state, its plugins, its labels, its platform."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal

from queenright.decide.refusal import Refusal, nodes
from queenright.decide.revision import platform_fits
from queenright.model import constraints
from queenright.model.objects import Node, Task
from queenright.model.states import NodeState
from queenright.spec.cluster import ACTIVE, DRAIN
from queenright.store.load import NodeLoad

NETWORK_DRIVERS = {"bridge": "bridge", "host": "host", "none": "null"}  # of the networks that every engine has


class Ready:
    """The node is ready and active."""

    name = "ready"
    reads: Literal["node"] = "node"

    def asks(self, task: Task) -> Hashable:
        return True

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        if node.takes_tasks:
            return None
        if node.status.state != NodeState.READY:
            message = f" ({node.status.message})" if node.status.message else ""
            return Refusal(f"node is {node.status.state}{message}", str(node.status.state))
        brief = "drained" if node.availability == DRAIN else f"{node.availability}d"
        return Refusal(f"availability is {node.availability}, not {ACTIVE}", brief)

    def explain(self, count: int) -> str:
        return f"{nodes(count)} not available for new tasks"


class Plugins:
    """The drivers of volumes, networks and logs that the task asks for are there.

    A node that lists no drivers of logs, or of networks, may have any.
    """

    name = "plugin"
    reads: Literal["node"] = "node"

    def asks(self, task: Task) -> Hashable:
        drivers = [("Volume", name) for name in _volume_drivers(task)]
        names = (network.target or "" for network in task.spec.networks)
        drivers += [("Network", NETWORK_DRIVERS[name]) for name in names if name in NETWORK_DRIVERS]
        log = task.spec.log_driver.name if task.spec.log_driver is not None else None
        if log and log != "none":
            drivers.append(("Log", log))
        return tuple(drivers) or None

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        listed = node.description.plugins
        asked = self.asks(task)
        assert isinstance(asked, tuple)
        for kind, name in asked:
            unlisted = kind != "Volume" and not any(plugin.startswith(f"{kind}/") for plugin in listed)
            if not unlisted and not _has(listed, kind, name):
                return Refusal(f"{kind.lower()} driver {name} is missing", f"no {kind.lower()} driver {name}")
        return None

    def explain(self, count: int) -> str:
        return f"missing plugin on {nodes(count)}"


class Constraints:
    """The node meets all placement constraints."""

    name = "constraints"
    reads: Literal["node"] = "node"

    def asks(self, task: Task) -> Hashable:
        return (task.spec.placement.constraints or None) if task.spec.placement is not None else None

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        unmet = constraints.unmet(node, task.spec.placement.constraints) if task.spec.placement is not None else None
        return None if unmet is None else Refusal(f"constraint {unmet} is not met", f"not {unmet}")

    def explain(self, count: int) -> str:
        return f"scheduling constraints not satisfied on {nodes(count)}"


class Platforms:
    """The image exists for the node's platform."""

    name = "platform"
    reads: Literal["node"] = "node"

    def asks(self, task: Task) -> Hashable:
        return (task.spec.placement.platforms or None) if task.spec.placement is not None else None

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        if platform_fits(node, task.spec):
            return None
        own = f"{node.description.os}/{node.description.architecture}"
        return Refusal(f"platform {own} is none of the image's", f"platform {own}")

    def explain(self, count: int) -> str:
        return f"unsupported platform on {nodes(count)}"


def _volume_drivers(task: Task) -> list[str]:
    named = [
        mount.volume.driver.name
        for mount in task.spec.container.mounts
        if (mount.type or "volume") == "volume" and mount.volume is not None and mount.volume.driver is not None
    ]
    return [name for name in named if name and name != "local"]


def _has(plugins: Iterable[str], kind: str, name: str) -> bool:
    wanted = f"{kind}/{name.removesuffix(':latest')}"
    return any(plugin.removesuffix(":latest") == wanted for plugin in plugins)
