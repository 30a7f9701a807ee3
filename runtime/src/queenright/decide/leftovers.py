# SPDX-License-Identifier: Apache-2.0
"""Removes what stacks have left over, as soon as nothing uses it, and a stack that is being removed after all of it.

In use is what a service names, runs with or can be rolled back to, what a task that has not ended needs, and what a
revision that is kept refers to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from queenright.decide import slots
from queenright.decide.base import Decision, Dirty, Now
from queenright.model.changes import Change, Delete, Update
from queenright.model.objects import Service
from queenright.model.stack import Leftover, Stack
from queenright.store.store import Store
from queenright.store.tables import config_ids, network_ids, secret_ids

_IDS = {"network": network_ids, "secret": secret_ids, "config": config_ids}


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at all stacks that have something left over or are being removed: they are few, and soon none."""
    found = {stack.id: stack for stack in view.stacks.by("leftover", True)}
    found.update((stack.id, stack) for stack in view.stacks.by("active", True) if stack.removing)
    uses = _Uses(view)
    changes: list[Change] = []
    gone: set[tuple[str, str]] = set()
    for stack in sorted(found.values(), key=lambda one: (one.created_at, one.id)):
        changes.extend(_sweep(view, stack, uses, gone))
    return Decision(tuple(changes))


def _sweep(view: Store, stack: Stack, uses: _Uses, gone: set[tuple[str, str]]) -> Iterable[Change]:
    """The objects first, then the stack without them."""
    rest: list[Leftover] = []
    for one in stack.leftovers:
        row = view.get(one.kind, one.id)
        if row is None or (one.kind, one.id) in gone:
            continue
        if uses.hold(one, stack):
            rest.append(one)
        else:
            gone.add((one.kind, one.id))
            yield Delete(one.kind, one.id, row.version)
    if stack.removing and not rest:
        yield Delete("stack", stack.id, stack.version)
    elif len(rest) < len(stack.leftovers):
        yield Update(dataclasses.replace(stack, leftovers=tuple(rest)))


class _Uses:
    """Who needs what. The walk over what services can be rolled back to is done once, and only if it matters."""

    def __init__(self, view: Store) -> None:
        self._view = view
        self._earlier: dict[str, set[str]] | None = None

    def hold(self, one: Leftover, stack: Stack) -> bool:
        if one.kind not in _IDS:
            return False
        view = self._view
        if any(one.id in _IDS[one.kind](user.spec.task) for user in self._users(one)):
            return True
        if one.kind != "network" and any(
            not other.removing
            for other in view.stacks.by(one.kind, one.id)
            if other.id != stack.id or not stack.removing
        ):
            return True
        if any(not slots.stopped(view, task) for task in view.tasks.by(one.kind, one.id)):
            return True
        return one.id in self._for_rollback(one.kind)

    def _users(self, one: Leftover) -> tuple[Service, ...]:
        return self._view.services.by(one.kind, one.id)

    def _for_rollback(self, kind: str) -> set[str]:
        """What specifications before the present ones name, also those that are still in force."""
        if self._earlier is None:
            specs = [one.previous_spec for one in self._view.services if one.previous_spec is not None]
            self._earlier = {name: {key for spec in specs for key in of(spec.task)} for name, of in _IDS.items()}
        return self._earlier[kind]
