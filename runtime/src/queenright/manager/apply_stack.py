# SPDX-License-Identifier: Apache-2.0
"""A playbook's wish for a whole stack: planned against what there is, written in one entry of the log or not at all.

The write brings all objects and the stack with its new revision. What becomes of it then (who starts when, what is
taken back) is the deciders' part.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from queenright.decide import stack_parts
from queenright.decide.base import Now
from queenright.decide.stack_revision import content, former, restoration
from queenright.manager import stack_source
from queenright.manager.author import author
from queenright.manager.context import Context
from queenright.manager.pinning import Warnings
from queenright.manager.plans import ABSENT, PRESENT, Plan, Wish
from queenright.manager.sheet import Sheet
from queenright.manager.stack_desk import Desk, Steps
from queenright.manager.stack_documents import Row, plan_document, row_of, service_document, stack_document
from queenright.manager.stack_draw import Drawing
from queenright.manager.stack_services import ServiceDrawing
from queenright.manager.stack_source import ROLLBACK, ROLLBACK_TO, Settings
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.errors import FailedPrecondition, InvalidArgument
from queenright.model.objects import Service, Stack
from queenright.model.stack import Leftover, Revision, StackState, StackStatus
from queenright.sources.draft import SourceError
from queenright.sources.order import waves
from queenright.spec.fields import difference

NOTED = ("user", "playbook", "git_revision", "message")  # of the context, kept in the revision
HALTED = (StackState.PAUSED, StackState.ROLLBACK_PAUSED)
MOST_NOTED = 1024  # characters


class StackPlanner:
    """Plans for stacks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def prepared(self, wish: Wish) -> tuple[Wish, Warnings]:
        """The wish with its source read and its images pinned; what must be waited for is done then."""
        if wish.state != PRESENT or _goes_back(wish):
            return wish, ()
        wish, _ = self._found(wish)
        draft = stack_source.read(wish)
        try:
            waves(draft.services)
        except SourceError as error:
            raise InvalidArgument(str(error), plain=True) from None
        draft, said = await stack_source.pinned(self._context, wish, draft)
        return dataclasses.replace(wish, draft=draft), (*draft.warnings, *said)

    def plan(self, wish: Wish) -> Plan:
        """What the wish comes to now; nothing is written. A wish for a stack that shall be is `prepared`."""
        steps = self.steps(wish)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                plan: Plan = end.value
                return plan

    def steps(self, wish: Wish) -> Steps[Plan]:
        """The same in steps of a few milliseconds."""
        wish, found = self._found(wish)
        if wish.state == ABSENT:
            return self._plan_removal(wish, found)
        given = stack_source.settings(wish.options)
        if _goes_back(wish):
            return self._plan_rollback(wish, found)
        assert wish.draft is not None
        return (yield from self._plan_presence(wish, found, given))

    def _found(self, wish: Wish) -> tuple[Wish, Stack | None]:
        """The stack that is meant, if it is there; the wish then has its name as it was first written."""
        stack_source.check_name(wish.name)
        found = next(iter(self._context.store.stacks.by("name", wish.name.lower())), None)
        return (wish if found is None else dataclasses.replace(wish, name=found.name)), found

    # -- a stack that shall be

    def _plan_presence(self, wish: Wish, found: Stack | None, given: Settings) -> Steps[Plan]:
        sheet = Sheet(self._context, guarded=not wish.dry_run)
        number = _next_number(found)
        desk = Desk(sheet, wish, found)
        drawing = Drawing(desk, f"stack {wish.name}, revision {number}")
        draft = wish.draft
        assert draft is not None
        if given.prune:
            for service in self._undeclared(wish.name, found, {one.spec.name or "" for one in draft.services}):
                drawing.remove(service)
        services, networks, data = yield from drawing.draw(draft)
        revision = dataclasses.replace(
            self._noted(wish, number), source=draft.source, services=services, networks=networks, data=data
        )
        stack = self._stack(wish, found, given, revision, written=bool(sheet.changes))
        if found is not None and stack.revision is found.revision and found.status.state in HALTED:
            stack = self._taken_up(sheet, stack)
        stack = dataclasses.replace(stack, leftovers=self._leftovers(sheet, found, stack, given.prune))
        rows = [*desk.rows, *self._leaving(sheet, found, stack)]
        return self._whole(found, stack, sheet, rows, tuple(desk.warnings))

    def _stack(self, wish: Wish, found: Stack | None, given: Settings, revision: Revision, *, written: bool) -> Stack:
        """The stack as it shall be; with the revision it has if nothing is another one."""
        options: dict[str, Any] = {
            "labels": given.labels,
            "keep": given.keep,
            "on_failure": given.on_failure,
            "timeout": given.timeout,
            "removing": False,
        }
        rolling = StackStatus(state=StackState.UPDATING, started_at=self._context.clock.wall())
        if found is None:
            return Stack(id=self._context.ids(), name=wish.name, revision=revision, status=rolling, **options)
        if not written and not found.removing and content(revision) == content(found.revision):
            history = found.history[: given.keep]
            return dataclasses.replace(found, **{**options, "history": history})
        held = () if found.removing else (found.revision, *found.history)
        options |= {"revision": revision, "history": held[: given.keep], "status": rolling}
        return dataclasses.replace(found, **options)

    def _taken_up(self, sheet: Sheet, stack: Stack) -> Stack:
        """The same is declared again after its roll-out was halted: it is tried once more."""
        for service in stack_parts.services(sheet.store, stack.name, stack):
            if service.update_status is not None and service.update_status.state.paused:
                sheet.take([Update(dataclasses.replace(service, update_status=None))])
        rolling = StackStatus(state=StackState.UPDATING, started_at=self._context.clock.wall())
        return dataclasses.replace(stack, status=rolling, revision=dataclasses.replace(stack.revision, failure=""))

    def _undeclared(self, name: str, found: Stack | None, declared: set[str]) -> list[Service]:
        """The services of the stack that are to go."""
        return [one for one in stack_parts.services(self._context.store, name, found) if one.name not in declared]

    def _leftovers(self, sheet: Sheet, found: Stack | None, stack: Stack, prune: bool) -> tuple[Leftover, ...]:
        unnamed = stack_parts.leftovers(sheet.store, stack, stack.revision)
        if prune or found is None:
            return unnamed if prune else ()
        return tuple(one for one in unnamed if one in found.leftovers)

    def _leaving(self, sheet: Sheet, found: Stack | None, stack: Stack) -> list[Row]:
        """What is left over from now on, if something else is still done with it."""
        known = set(found.leftovers) if found is not None else set()
        new = [one for one in stack.leftovers if one not in known]
        names = [(one.kind, getattr(sheet.store.get(one.kind, one.id), "name", "") or one.id) for one in new]
        return [Row("remove", kind, name) for kind, name in sorted(names)]

    # -- the revision before it

    def _plan_rollback(self, wish: Wish, found: Stack | None) -> Plan:
        if found is None or found.removing:
            raise FailedPrecondition(f"there is no stack {wish.name} to roll back", plain=True)
        target = _target(wish, found)
        if target is None:
            return self._unchanged(found)
        sheet = Sheet(self._context, guarded=not wish.dry_run)
        number = _next_number(found)
        clock = self._context.clock
        back = restoration(sheet.store, found, target, Now(clock.wall(), clock.mono()), self._context.ids)
        if back.obstacle:
            raise FailedPrecondition(f"revision {target.number} cannot be put back: {back.obstacle}", plain=True)
        by = f"stack {found.name}, revision {number}"
        sheet.take([_signed(self._context, change, by) for change in back.changes])
        revision = dataclasses.replace(
            self._noted(wish, number),
            source=ROLLBACK,
            services=target.services,
            networks=target.networks,
            data=target.data,
        )
        stack = dataclasses.replace(
            found,
            revision=revision,
            history=(found.revision, *found.history)[: found.keep],
            status=StackStatus(state=StackState.UPDATING, started_at=clock.wall()),
        )
        stack = dataclasses.replace(stack, leftovers=stack_parts.leftovers(sheet.store, stack, revision))
        rows = self._rows_of(sheet)
        return self._whole(found, stack, sheet, [*rows, *self._leaving(sheet, found, stack)], ())

    def _rows_of(self, sheet: Sheet) -> list[Row]:
        rows = []
        for change in sheet.changes:
            key = (change.kind, change.id) if isinstance(change, Delete) else (change.object.kind, change.object.id)
            before, after = self._context.store.get(*key), sheet.store.get(*key)
            action = "create" if before is None else "remove" if after is None else "update"
            name = getattr(after if after is not None else before, "name", "") or key[1]
            shown = [
                service_document(sheet.store, one.spec) if isinstance(one, Service) else None for one in (before, after)
            ]
            rows.append(row_of(action, key[0], name, shown[0], shown[1]))
        return rows

    # -- a stack that shall not be

    def _plan_removal(self, wish: Wish, found: Stack | None) -> Plan:
        """Its services go at once, the rest as soon as nothing uses it, and then the stack itself. So goes too what
        clients have made of the stack's name.
        """
        store = self._context.store
        services, rest = stack_parts.services(store, wish.name, found), stack_parts.unnamed(store, wish.name)
        if found is None and not services and not rest:
            return Plan("", None, None)
        held = found or Stack(id=self._context.ids(), name=wish.name, revision=Revision(number=0))
        stack = dataclasses.replace(held, leftovers=rest, removing=True)
        sheet = Sheet(self._context)
        desk = Desk(sheet, wish, found)
        drawing = ServiceDrawing(desk, "")
        for service in services:
            drawing.remove(service)
        rows = [*desk.rows, *self._leaving(sheet, found, stack)]
        before = stack_document(store, held)
        if found is not None and found.removing and not sheet.changes and stack == found:
            return Plan(found.id, None, None, more=_more(rows, None))
        if rest:
            sheet.take([Update(stack) if found is not None else Create(stack)])
        elif found is not None:
            sheet.take([Delete("stack", found.id, found.version)])
        again = found is not None and found.removing and not rows
        actions = () if again else (f"remove stack {held.name}", *(row.words for row in rows))
        diff = difference(before, {})
        return Plan(held.id, before, None, actions, (), sheet.changes, diff, _more(rows, None), whole=True)

    # -- what all have in common

    def _whole(
        self, found: Stack | None, stack: Stack, sheet: Sheet, rows: list[Row], warnings: tuple[str, ...]
    ) -> Plan:
        if stack == found and not sheet.changes:
            return dataclasses.replace(self._unchanged(found), warnings=warnings)
        before = stack_document(self._context.store, found) if found is not None and not found.removing else None
        sheet.take([Update(stack) if found is not None else Create(stack)])
        after = stack_document(sheet.store, stack)
        if before is None:
            actions = [f"create stack {stack.name}"]
        elif found is not None and stack.revision.number != found.revision.number:
            actions = [f"update stack {stack.name} to revision {stack.revision.number}"]
        elif found is not None and stack.status != found.status:
            actions = [f"take the roll-out of stack {stack.name} up again"]
        else:
            actions = [f"update the settings of stack {stack.name}"]
        changes: tuple[Change, ...] = sheet.changes
        return Plan(
            stack.id,
            before,
            after,
            (*actions, *(row.words for row in rows)),
            warnings,
            changes,
            difference(before or {}, after),
            _more(rows, stack.revision),
            whole=True,
        )

    def _unchanged(self, found: Stack) -> Plan:
        shown = stack_document(self._context.store, found)
        return Plan(found.id, shown, shown, more=_more([], found.revision))

    def _noted(self, wish: Wish, number: int) -> Revision:
        """A revision without its content: who makes it, and what he says of it."""
        noted: dict[str, Any] = {name: _note(wish.context.get(name), name) for name in NOTED}
        return Revision(number=number, at=self._context.clock.wall(), actor=author(self._context), **noted)


def _more(rows: list[Row], revision: Revision | None) -> dict[str, Any]:
    return {"revision": revision.number if revision is not None else 0, "plan": plan_document(rows, revision)}


def _next_number(found: Stack | None) -> int:
    if found is None:
        return 1
    return max(one.number for one in (found.revision, *found.history)) + 1


def _goes_back(wish: Wish) -> bool:
    return wish.options.get(ROLLBACK) is True or wish.options.get(ROLLBACK_TO) is not None


def _target(wish: Wish, found: Stack) -> Revision | None:
    """The revision that is asked for; None if it is in force."""
    for name in wish.options:
        if name not in (ROLLBACK, ROLLBACK_TO) and wish.options[name] is not None:
            raise InvalidArgument(f"{name} and a rollback exclude each other", plain=True)
    asked = wish.options.get(ROLLBACK_TO)
    if asked is None:
        target = former(found)
        if target is None:
            raise FailedPrecondition(f"stack {found.name} has no previous revision to go back to", plain=True)
        return target
    number = stack_source.whole(asked, ROLLBACK_TO)
    target = next((one for one in (found.revision, *found.history) if one.number == number), None)
    if target is None:
        kept = ", ".join(str(one.number) for one in (found.revision, *found.history))
        raise FailedPrecondition(f"stack {found.name} has no revision {number}; it has {kept}", plain=True)
    return None if content(target) == content(found.revision) else target


def _signed(context: Context, change: Change, by: str) -> Change:
    """The change of a service with who made it; others as they are."""
    if isinstance(change, Delete) or not isinstance(change.object, Service):
        return change
    present = context.store.services.get(change.object.id)
    if present is not None and present.spec == change.object.spec:
        return change
    return dataclasses.replace(change, object=dataclasses.replace(change.object, changed_by=by))


def _note(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidArgument(f"{name}: expected a text", plain=True)
    return "".join(one if one.isprintable() else " " for one in value)[:MOST_NOTED]
