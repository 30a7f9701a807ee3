# SPDX-License-Identifier: Apache-2.0
"""Filters that look at what a node has left: resources, host ports, and how many tasks of the service it may hold."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from queenright.decide import generic
from queenright.decide.refusal import Refusal, nodes
from queenright.model.objects import Node, Task
from queenright.store.load import NodeLoad


class Resources:
    """What the task reserves is free there."""

    name = "resources"
    reads: Literal["room"] = "room"

    def asks(self, task: Task) -> Hashable:
        reserved = task.spec.resources.reservations
        if reserved is None or not (reserved.cpus or reserved.memory or reserved.generic):
            return None
        return reserved.cpus, reserved.memory, reserved.generic

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        reserved = task.spec.resources.reservations
        if reserved is None:
            return None
        free = node.description.nano_cpus - load.cpus
        if reserved.cpus and reserved.cpus > free:
            text = f"{reserved.cpus / 1e9:g} CPUs are reserved, {max(0, free) / 1e9:g} are free"
            return Refusal(text, "no CPU")
        left = node.description.memory_bytes - load.memory
        if reserved.memory and reserved.memory > left:
            return Refusal(f"{_size(reserved.memory)} of memory are reserved, {_size(left)} are free", "no memory")
        short = generic.short(reserved.generic, node, load) if reserved.generic else None
        if short is not None:
            return Refusal(f"{short.asked} {short.kind} are reserved, {short.free} are free", f"no {short.kind}")
        return None

    def explain(self, count: int) -> str:
        return f"insufficient resources on {nodes(count)}"


def _size(count: int) -> str:
    """Bytes for people: ``1.5 GiB``."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << power:
            return f"{count / (1 << power):.4g} {unit}"
    return f"{max(0, count)} bytes"


class HostPorts:
    """The host ports that the task publishes are free there."""

    name = "host-port"
    reads: Literal["room"] = "room"

    def asks(self, task: Task) -> Hashable:
        return task.host_ports or None

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        taken = next((port for port in task.host_ports if load.ports.get(port)), None)
        if taken is None:
            return None
        return Refusal(f"host port {taken[1]}/{taken[0]} is in use", f"port {taken[1]} in use")

    def explain(self, count: int) -> str:
        return f"host-mode port already in use on {nodes(count)}"


class MaxReplicas:
    """The node has fewer tasks of the service than it may have."""

    name = "max-replicas"
    reads: Literal["service"] = "service"

    def asks(self, task: Task) -> Hashable:
        limit = task.spec.placement.max_replicas if task.spec.placement is not None else None
        return (task.service_id, limit) if limit else None

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        limit = task.spec.placement.max_replicas if task.spec.placement is not None else None
        held = load.services.get(task.service_id, 0)
        if not limit or held < limit:
            return None
        return Refusal(f"{held} tasks of the service are there, {limit} are allowed", "max replicas")

    def explain(self, count: int) -> str:
        return "max replicas per node limit exceed"
