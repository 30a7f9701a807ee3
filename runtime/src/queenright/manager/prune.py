# SPDX-License-Identifier: Apache-2.0
"""Which secrets and configs nobody needs, and their removal.

More than the in-use guard of a removal: what a service or a stack can be rolled back to, and what a task that has not
ended reads, is needed too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.data_kinds import Data, DataKind
from queenright.manager.families import family
from queenright.manager.slices import MAX_CHANGES
from queenright.model.changes import Delete
from queenright.model.errors import OutOfSequence
from queenright.model.objects import Network
from queenright.model.states import TaskState
from queenright.store.store import Store


class Uses:
    """Who needs the objects of one kind. Made for one look at the store: the walk over all services is done once."""

    def __init__(self, store: Store, kind: DataKind) -> None:
        self._store = store
        self._kind = kind
        self._kept: set[str] | None = None

    def hold(self, key: str) -> bool:
        """Whether the one with this id is needed."""
        store, name = self._store, self._kind.name
        if store.services.count(name, key) or store.stacks.count(name, key) or key in self._for_rollback():
            return True
        return any(_live(store, name, key))

    def _for_rollback(self) -> set[str]:
        if self._kept is None:
            self._kept = {
                self._kind.id_of(reference)
                for service in self._store.services
                for reference in self._kind.references(service.previous_spec)
            }
        return self._kept


def _live(store: Store, name: str, key: str) -> Iterator[bool]:
    return (True for task in store.tasks.by(name, key) if task.state <= TaskState.RUNNING)


@dataclasses.dataclass(frozen=True, slots=True)
class Only:
    """What is pruned at all: those with all of ``labels`` (key to value, "" for any), with none of ``without``, and
    created before ``until`` (nanoseconds since the epoch, 0: at any time); never the newest version of the family
    ``spare``: who has just declared it would make it again.
    """

    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without: Mapping[str, str] = dataclasses.field(default_factory=dict)
    until: int = 0
    spare: str = ""

    def take(self, value: Data | Network) -> bool:
        labels = value.spec.labels
        return (
            all(_has(labels, key, wanted) for key, wanted in self.labels.items())
            and not any(_has(labels, key, wanted) for key, wanted in self.without.items())
            and (not self.until or value.created_at < self.until)
        )


def _has(labels: Mapping[str, str], key: str, value: str) -> bool:
    return key in labels and (not value or labels[key] == value)


def unused(store: Store, kind: DataKind, only: Only | None = None) -> list[Data]:
    """All that nobody needs, by name."""
    uses, only = Uses(store, kind), only or Only()
    spared = {one.id for one in family(store, kind, only.spare)[-1:]} if only.spare else set()
    found = [one for one in kind.table(store) if one.id not in spared and only.take(one) and not uses.hold(one.id)]
    return sorted(found, key=lambda one: one.name)


async def prune(context: Context, kind: DataKind, only: Only, *, dry_run: bool) -> Sequence[Data]:
    """Remove all that nobody needs, or only say what that is. What a service takes up meanwhile stays; what somebody
    else removes meanwhile is not listed.
    """
    gone: list[Data] = []
    for attempt in range(MOST_TRIES):
        found = unused(context.store, kind, only)
        if dry_run:
            return found
        try:
            for start in range(0, len(found), MAX_CHANGES):
                part = found[start : start + MAX_CHANGES]
                await context.write([Delete(kind.name, one.id, one.version) for one in part])
                gone += part
        except OutOfSequence:  # a service took one up, or somebody relabelled or removed one: look again
            if attempt == MOST_TRIES - 1:
                raise
        else:
            return sorted(gone, key=lambda one: one.name)
    raise AssertionError("unreachable")
