# SPDX-License-Identifier: Apache-2.0
"""Whether a stack is as it was declared, and if not, what keeps it: for those who wait."""

from __future__ import annotations

from queenright.decide.base import Now
from queenright.decide.convergence import CONVERGED, PAUSED, PROGRESSING, ROLLED_BACK, Convergence, convergence
from queenright.decide.stack_progress import Part, Stage, parts
from queenright.model.stack import Stack, StackState
from queenright.store.store import Store

_ENDS = {
    StackState.PAUSED: PAUSED,
    StackState.ROLLBACK_PAUSED: PAUSED,
    StackState.ROLLBACK_COMPLETED: ROLLED_BACK,
}


def stack_convergence(view: Store, stack: Stack, now: Now) -> Convergence:
    """Where the stack stands. ``running`` counts the services that are there, ``desired`` all of them.

    One that had come to its end and lost something since is on its way, as a service is.
    """
    if stack.removing:
        return _removal(view, stack)
    status = stack.status
    found = parts(view, stack, now)
    there = [one for one in found if _there(view, one, now)]
    reasons = [text for one in found if one not in there for text in _reasons(view, one, now)]
    if status.state in _ENDS:
        reasons.insert(0, status.message)
    state = _ENDS.get(status.state, CONVERGED if status.state == StackState.COMPLETED else PROGRESSING)
    if state == CONVERGED and len(there) < len(found):
        state = PROGRESSING
    return Convergence(
        state=state,
        running=len(there),
        desired=len(found),
        update_state=str(status.state),
        update_message=status.message,
        reasons=tuple(reasons),
    )


def _there(view: Store, one: Part, now: Now) -> bool:
    """Whether a service runs as it shall, though perhaps not for long yet."""
    if one.stage is Stage.THERE:
        return True
    if one.service is None or one.service.awaits:
        return False
    return convergence(view, one.service, now).state in (CONVERGED, ROLLED_BACK)


def _reasons(view: Store, one: Part, now: Now) -> tuple[str, ...]:
    if one.why:
        return (f"service {one.name}: {one.why}",)
    about, found = f"service {one.name}", one.reasons
    if not found and one.service is not None:
        found = convergence(view, one.service, now).reasons
    return tuple(text if text.startswith(("service", "task")) else f"{about} {text}" for text in found)


def _removal(view: Store, stack: Stack) -> Convergence:
    rows = [(one.kind, view.get(one.kind, one.id)) for one in stack.leftovers]
    held = [f"{kind} {getattr(row, 'name', '')} is still in use" for kind, row in rows if row is not None]
    return Convergence(state=PROGRESSING, running=len(held), desired=0, reasons=tuple(held))
