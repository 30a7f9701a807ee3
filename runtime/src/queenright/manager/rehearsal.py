# SPDX-License-Identifier: Apache-2.0
"""Writes that are only tried: the use cases run as ever, on a scratch store, and what they would write is noted.

So a dry run refuses what the real run would refuse, in the same words, and can do nothing: no proposer is in its reach.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from queenright.manager.conflict import ConflictError
from queenright.manager.context import Context
from queenright.manager.forecast import Forecast
from queenright.manager.plans import HIDDEN
from queenright.manager.ports import Proposer
from queenright.model import features
from queenright.model.changes import Batch, Change
from queenright.model.errors import FailedPrecondition
from queenright.model.objects import Object, Service, Task
from queenright.spec.fields import difference, encode
from queenright.store.scratch import Scratch
from queenright.store.store import Store

if TYPE_CHECKING:
    from queenright.manager.control import Control

TURN = 0.004  # seconds that a forecast holds the loop at most
MOST = 10.0  # seconds that a forecast may take in all


class Notes:
    """The ``Proposer`` of a rehearsal."""

    def __init__(self, context: Context, scratch: Scratch) -> None:
        self.changes: list[Change] = []
        self._real: Proposer = context.proposer
        self._clock = context.clock
        self._scratch = scratch

    @property
    def is_leader(self) -> bool:
        return self._real.is_leader

    async def propose(self, changes: Sequence[Change]) -> int:
        needed, level = features.needed(changes), features.level_of(self._scratch.cluster)
        if needed > level:
            raise FailedPrecondition(
                f"this needs feature level {needed}, the swarm's managers are at {level}: upgrade queenright on all "
                "managers"
            )
        conflict = self._scratch.apply(self._scratch.index + 1, Batch(self._clock.wall(), tuple(changes)))
        if conflict is not None:
            raise ConflictError(conflict)
        self.changes.extend(changes)
        return self._scratch.index

    async def barrier(self) -> int:
        return await self._real.barrier()


class Rehearsal:
    """One dry run. ``control``: use cases that write nothing."""

    def __init__(self, control: Control) -> None:
        self._context = control.context
        scratch = Scratch(control.store, lambda key: True)
        self._scratch = scratch
        self._notes = Notes(control.context, scratch)
        self.control = control.over(dataclasses.replace(control.context, store=scratch, proposer=self._notes))

    async def answer(self) -> dict[str, Any]:
        """What the writes since the beginning would change, down to tasks."""
        before, changes = self._context.store, self._notes.changes
        rows = described(before, self._scratch, changes)
        return {
            "dry_run": True,
            "changed": bool(rows),
            "changes": rows,
            "forecast": await foreseen(self._context, changes),
        }


async def foreseen(context: Context, changes: Sequence[Change]) -> dict[str, Any]:
    """The forecast of the changes, made in turns with the rest of the manager's work; one that takes too long is not
    thought to its end.
    """
    forecast = Forecast(context.store, changes, context.clock.wall())
    begun = context.clock.mono()
    until = begun + TURN
    for _ in forecast.steps():
        if context.clock.mono() >= begun + MOST:
            forecast.complete = False
            break
        if context.clock.mono() >= until:
            await asyncio.sleep(0)
            until = context.clock.mono() + TURN
    return forecast.answer()


def described(before: Store, after: Store, changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Each object that would be another one, with the difference of its specification. Nothing secret is shown."""
    keys = dict.fromkeys(
        (change.object.kind, change.object.id) if hasattr(change, "object") else (change.kind, change.id)
        for change in changes
    )
    rows = (_row(before.get(*key), after.get(*key), key[0]) for key in keys)
    return [row for row in rows if row is not None]


def _row(old: Object | None, new: Object | None, kind: str) -> dict[str, Any] | None:
    held = new if new is not None else old
    if held is None or (old is not None and new is not None and _same(old, new)):
        return None
    action = "create" if old is None else "remove" if new is None else "update"
    diff = difference(_document(old), _document(new)) if action == "update" else {}
    if isinstance(old, Service) and isinstance(new, Service) and old.registry_auth != new.registry_auth:
        diff["RegistryAuth"] = {"before": HIDDEN, "after": HIDDEN}
    name = getattr(held, "name", "") or getattr(held, "hostname", "")
    shown = "swarm" if kind == "cluster" else kind
    return {"action": action, "kind": shown, "id": "" if old is None else held.id, "name": name, "diff": diff}


def _same(old: Object, new: Object) -> bool:
    changes: dict[str, Any] = {"version": old.version, "updated_at": old.updated_at, "created_at": old.created_at}
    return dataclasses.replace(new, **changes) == old


def _document(row: Object | None) -> dict[str, Any]:
    spec = getattr(row, "spec", None)
    return encode(spec) if spec is not None and not isinstance(row, Task) else {}
