# SPDX-License-Identifier: Apache-2.0
"""All that a playbook declares of a swarm in one call: planned wish by wish, each upon those before it, written as one
entry of the log or not at all.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from queenright.manager.apply import Applier
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.pinning import Warnings
from queenright.manager.plans import Plan, Wish
from queenright.manager.rehearsal import TURN, foreseen
from queenright.manager.sheet import Sheet, write_whole
from queenright.manager.stack_documents import tell_restarts
from queenright.model.errors import InvalidArgument, OutOfSequence, Refusal, Unavailable
from queenright.spec.fields import SpecError

MOST_WISHES = 2_000


class WholeApplier:
    """``over`` gives the planner for another context."""

    def __init__(self, context: Context, applier: Applier, over: Callable[[Context], Applier]) -> None:
        self._context = context
        self._applier = applier
        self._over = over

    async def apply(self, wishes: Sequence[Wish], *, dry_run: bool, forecast: bool = False) -> dict[str, Any]:
        """``results`` has the answer to each wish. Raises what a wish alone raises, with its kind and name."""
        if len(wishes) > MOST_WISHES:
            raise InvalidArgument(f"{len(wishes)} objects are more than the {MOST_WISHES} of one call", plain=True)
        await self._context.fresh()
        wishes = [dataclasses.replace(wish, dry_run=dry_run) for wish in wishes]
        prepared = await asyncio.gather(*(self._prepared(wish) for wish in wishes))
        wishes = [wish for wish, _ in prepared]
        for attempt in range(MOST_TRIES):
            plans, sheet = await self._planned(wishes, dry_run)
            changes = sheet.changes
            seen = await foreseen(self._context, changes) if dry_run or forecast else None
            if dry_run or not changes:
                break
            try:
                await write_whole(self._context, changes)
                break
            except OutOfSequence:  # somebody else wrote first: plan again from what is there now
                if attempt == MOST_TRIES - 1:
                    raise
        plans = [
            dataclasses.replace(plan, warnings=(*said, *plan.warnings))
            for plan, (_, said) in zip(plans, prepared, strict=True)
        ]
        return self._answer(wishes, plans, dry_run, seen)

    async def _prepared(self, wish: Wish) -> tuple[Wish, Warnings]:
        try:
            return await self._applier.prepared(wish)
        except (Refusal, SpecError) as error:
            raise _named(wish, error) from error

    async def _planned(self, wishes: Sequence[Wish], dry_run: bool) -> tuple[list[Plan], Sheet]:
        """In turns with the rest of the manager's work: what others write meanwhile is as if they had written it just
        afterwards, and is found out by the write.
        """
        clock = self._context.clock
        until = clock.mono() + TURN
        sheet = Sheet(self._context, guarded=not dry_run)
        applier = self._over(sheet.context)
        plans = []
        for wish in wishes:
            if clock.mono() >= until:
                await asyncio.sleep(0)
                until = clock.mono() + TURN
            try:
                plan = await applier.planned(wish)
                sheet.take(plan.changes)
            except (Refusal, SpecError) as error:
                raise _named(wish, error) from error
            plans.append(plan)
        return plans, sheet

    def _answer(
        self, wishes: Sequence[Wish], plans: Sequence[Plan], dry_run: bool, seen: dict[str, Any] | None
    ) -> dict[str, Any]:
        results = []
        for wish, plan in zip(wishes, plans, strict=True):
            row = {"kind": wish.kind, "name": wish.name, **self._applier.answer(wish, plan, dry_run)}
            if seen is not None and "plan" in row:
                tell_restarts(row, seen)
            results.append(row)
        answer: dict[str, Any] = {
            "changed": any(row["changed"] for row in results),
            "results": results,
            "actions": [text for row in results for text in row["actions"]],
            "warnings": list(dict.fromkeys(text for row in results for text in row["warnings"])),
        }
        if seen is not None:
            answer["forecast"] = seen
        return answer


def _named(wish: Wish, error: Refusal | SpecError) -> Exception:
    """The same refusal, which says of which object it is."""
    if isinstance(error, OutOfSequence | Unavailable):
        return error
    text = f"{wish.kind} {wish.name}: {error}" if wish.name else f"{wish.kind}: {error}"
    if isinstance(error, Refusal):
        return type(error)(text, plain=True)
    return InvalidArgument(text, plain=True)
