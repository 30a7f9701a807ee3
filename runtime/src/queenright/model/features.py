# SPDX-License-Identifier: Apache-2.0
"""What a release understands of the log, as a number, so that no manager is given what it cannot read.

The swarm's level is the least of its managers' levels; it only grows. A change of a new kind gets a row in ``NEEDS``
with the level it came with, and is refused until all managers are upgraded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from queenright.model.changes import Change, Delete
from queenright.model.objects import Cluster

LEVEL = 1
"""The level of this release."""

NEEDS: Mapping[str, int] = {"cluster": 1, "node": 1, "service": 1, "task": 1, "ticket": 1}
"""The level that changes of a kind of object need."""


def level_of(cluster: Cluster | None) -> int:
    """The swarm's level. One that is being founded has its founder's."""
    return LEVEL if cluster is None else max(1, cluster.feature_level)


def needed(changes: Iterable[Change]) -> int:
    """The level that these changes need; a kind without a row needs one that no release has."""
    return max((NEEDS.get(_kind(change), LEVEL + 1) for change in changes), default=1)


def common(levels: Mapping[str, int], members: Iterable[str]) -> int | None:
    """The least level of the members; None as long as one of them has not shown its own."""
    shown = [levels.get(member) for member in members]
    known = [level for level in shown if level]
    return min(known) if known and len(known) == len(shown) else None


def _kind(change: Change) -> str:
    return change.kind if isinstance(change, Delete) else change.object.kind
