# SPDX-License-Identifier: Apache-2.0
"""Several changes that are planned one after another, each upon those before it, and written as one.

They are tried on a scratch store. What is written in the end has each object once, as it shall be at last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from queenright.manager.context import Context
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.errors import FailedPrecondition, TooLarge
from queenright.model.objects import Object, Service, Stack
from queenright.store.scratch import Scratch
from queenright.store.store import Store


class Sheet:
    """``context`` is like the one given, with what was taken so far in its store. ``guarded`` False: references to what
    is not there are borne, as plans do: something before may make it.
    """

    def __init__(self, context: Context, *, guarded: bool = True) -> None:
        self._real = context.store
        self.store = Scratch(context.store, lambda key: True, guarded=guarded)
        self.context = dataclasses.replace(context, store=self.store)
        self._changes: list[Change] = []

    def take(self, changes: Sequence[Change]) -> None:
        """Note changes. Raises FailedPrecondition if they cannot be."""
        if not changes:
            return
        conflict = self.store.apply(self.store.index + 1, Batch(self.context.clock.wall(), tuple(changes)))
        if conflict is not None:
            held = self.store.get(conflict.kind, conflict.id)
            name = getattr(held, "name", "") or conflict.id
            raise FailedPrecondition(f"{conflict.kind} {name}: {conflict.reason}")
        self._changes.extend(changes)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of it, to be written in one entry."""
        return squashed(self._real, self._changes)


def squashed(store: Store, changes: Sequence[Change]) -> tuple[Change, ...]:
    """One change for each object, from what the ``store`` had when it was first changed to what the last of ``changes``
    makes of it.

    Services come where they were written last, because they refer to what was made before; removals too. Everything
    else comes where it was written first.
    """
    places: dict[tuple[str, str], int] = {}
    first: dict[tuple[str, str], Change] = {}
    last: dict[tuple[str, str], Change] = {}
    for number, change in enumerate(changes):
        row = change if isinstance(change, Delete) else change.object
        key = row.kind, row.id
        first.setdefault(key, change)
        if key not in places or isinstance(change, Delete) or isinstance(row, Service):
            places[key] = number
        last[key] = change
    ordered = sorted(last, key=places.__getitem__)
    made = (_one(store.get(*key), first[key], last[key]) for key in ordered)
    return tuple(change for change in made if change is not None)


def _one(present: Object | None, first: Change, last: Change) -> Change | None:
    """``first`` tells which version was seen, or that there was none: what others wrote since is not written over."""
    if isinstance(first, Create):
        if isinstance(last, Delete):
            return None
        return Create(dataclasses.replace(last.object, version=0, created_at=0, updated_at=0))
    seen = first.version if isinstance(first, Delete) else first.object.version
    if isinstance(last, Delete):
        return dataclasses.replace(last, version=seen)
    if present is not None and present.version == seen:
        times = {"created_at": present.created_at, "updated_at": present.updated_at}
        row: Object = dataclasses.replace(last.object, version=seen, **times)  # type: ignore[arg-type]
        return None if row == present else Update(row)
    return Update(dataclasses.replace(last.object, version=seen or 0))


async def write_whole(context: Context, changes: Sequence[Change]) -> None:
    """Write all of it in one entry. Where that would be too large, stacks keep fewer of their former revisions; raises
    TooLarge if it is too large even without.
    """
    while True:
        try:
            await context.proposer.propose(changes)
            return
        except TooLarge as error:
            shorter = tuple(_shorter(change) for change in changes)
            if shorter == tuple(changes):
                raise TooLarge(f"{error}: declare it in several parts", plain=True) from error
            changes = shorter


def _shorter(change: Change) -> Change:
    """A stack with half of its history; anything else as it is."""
    if isinstance(change, Delete) or not isinstance(change.object, Stack) or not change.object.history:
        return change
    held = change.object.history
    return dataclasses.replace(change, object=dataclasses.replace(change.object, history=held[: len(held) // 2]))
