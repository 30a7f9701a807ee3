# SPDX-License-Identifier: Apache-2.0
"""Generic resources: what a node has of a kind, what of it is free, and which of it a task gets.

A node tells of a kind how many it has (``gpu=2``) or what they are called (``gpu=UUID1``, ``gpu=UUID2``); a task asks
for a number. Where they have names the task gets the first names that are free, else a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from queenright.model.objects import GenericResource, Node, Task
from queenright.store.load import NodeLoad


class Short(NamedTuple):
    """A kind of which a node has too little left."""

    kind: str
    asked: int
    free: int


def short(asked: Iterable[GenericResource], node: Node, load: NodeLoad) -> Short | None:
    """The first kind that the node has too little of; None if all that is asked for is free."""
    for kind, count in _counts(asked).items():
        free = _free(kind, node, load.generic)
        if count > free:
            return Short(kind, count, free)
    return None


def claim(task: Task, node: Node, load: NodeLoad) -> tuple[GenericResource, ...]:
    """What the task gets on the node, which has enough of it left."""
    reserved = task.spec.resources.reservations
    if reserved is None or not reserved.generic:
        return ()
    given: list[GenericResource] = []
    for kind, count in _counts(reserved.generic).items():
        names = _names(kind, node, load.generic)
        if names:
            given.extend(GenericResource(kind=kind, name=name) for name in names[:count])
        else:
            given.append(GenericResource(kind=kind, value=count))
    return tuple(given)


def lacks(held: Iterable[GenericResource], node: Node, taken: Mapping[tuple[str, str], int]) -> bool:
    """Whether the node no longer has what a task holds, next to what is ``taken`` by others."""
    for one in held:
        if one.name:
            if one.name not in _names(one.kind, node, taken):
                return True
        elif one.value > _number(one.kind, node) - taken.get((one.kind, ""), 0):
            return True
    return False


def take(held: Iterable[GenericResource], taken: dict[tuple[str, str], int]) -> None:
    """Count what a task holds as taken: by (kind, name), or (kind, "") for a number."""
    for one in held:
        key = (one.kind, one.name)
        taken[key] = taken.get(key, 0) + (1 if one.name else one.value)


def _counts(asked: Iterable[GenericResource]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in asked:
        counts[one.kind] = counts.get(one.kind, 0) + one.value
    return counts


def _free(kind: str, node: Node, taken: Mapping[tuple[str, str], int]) -> int:
    if any(one.kind == kind and one.name for one in node.description.generic_resources):
        return len(_names(kind, node, taken))
    return max(0, _number(kind, node) - taken.get((kind, ""), 0))


def _names(kind: str, node: Node, taken: Mapping[tuple[str, str], int]) -> list[str]:
    return [
        one.name
        for one in node.description.generic_resources
        if one.kind == kind and one.name and not taken.get((kind, one.name))
    ]


def _number(kind: str, node: Node) -> int:
    return sum(one.value for one in node.description.generic_resources if one.kind == kind and not one.name)
