# SPDX-License-Identifier: Apache-2.0
"""What a release understands of the log, as a number, so that no manager is given what it cannot read.

The swarm's level is the least of its managers' levels; it only grows. A change of a new kind gets a row in ``NEEDS``
with the level it came with, and is refused until all managers are upgraded; so is a specification with an option that
came later (rows of the option tables carry their level). Fields that only inform (a task's ``cause``, since when a node
is silent) need nothing: a manager that does not know them loses words, and decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from queenright.model.changes import Change, Delete
from queenright.model.objects import Cluster, Node, Object, Service, Task
from queenright.spec.fields import level_of as level_of_spec

LEVEL = 5
"""The level of this release."""

NEEDS: Mapping[str, int] = {
    "cluster": 1,
    "node": 1,
    "service": 1,
    "task": 1,
    "ticket": 1,
    "secret": 2,
    "config": 2,
    "registry": 2,
    "network": 3,
    "certificate": 4,
    "stack": 5,
}
"""The level that changes of a kind of object need."""


def level_of(cluster: Cluster | None) -> int:
    """The swarm's level. One that is being founded has its founder's."""
    return LEVEL if cluster is None else max(1, cluster.feature_level)


def needed(changes: Iterable[Change]) -> int:
    """The level that these changes need; a kind without a row needs one that no release has."""
    seen: dict[int, int] = {}  # by the identity of specifications: very many tasks have one
    return max((_needed(change, seen) for change in changes), default=1)


def common(levels: Mapping[str, int], members: Iterable[str]) -> int | None:
    """The least level of the members; None as long as one of them has not shown its own."""
    shown = [levels.get(member) for member in members]
    known = [level for level in shown if level]
    return min(known) if known and len(known) == len(shown) else None


def _needed(change: Change, seen: dict[int, int]) -> int:
    if isinstance(change, Delete):
        return NEEDS.get(change.kind, LEVEL + 1)
    return max(NEEDS.get(change.object.kind, LEVEL + 1), _content(change.object, seen))


def _content(value: Object, seen: dict[int, int]) -> int:
    """What the specification in an object needs."""
    if isinstance(value, Service):
        if value.awaits:
            return 5
        previous = 1 if value.previous_spec is None else level_of_spec(value.previous_spec)
        return max(level_of_spec(value.spec), previous)
    if isinstance(value, Task):
        if value.attachments:
            return 3
        if value.job_iteration or value.assigned_generic:
            return 2
        key = id(value.spec)
        level = seen.get(key)
        if level is None:
            level = seen[key] = level_of_spec(value.spec)
        return level
    if isinstance(value, Cluster) and _has_of_4(value):
        return 4
    return level_of_spec(value.spec) if isinstance(value, Cluster | Node) else 1


def _has_of_4(cluster: Cluster) -> bool:
    return bool(cluster.root_rotation or cluster.former_roots or cluster.intermediates or cluster.unlock_key)
