# SPDX-License-Identifier: Apache-2.0
"""What a service of a stack waits for: which services, to become what, in words."""

from __future__ import annotations

from queenright.model.objects import Service
from queenright.model.stack import COMPLETED, HEALTHY, NAMESPACE_LABEL, STARTED, Stack, StackService
from queenright.store.store import Store

_WORDS = {STARTED: "to run", HEALTHY: "to be healthy", COMPLETED: "to complete"}


def stack_of(view: Store, service: Service) -> Stack | None:
    """The stack that the service is part of, by its label."""
    name = service.spec.labels.get(NAMESPACE_LABEL, "")
    return next(iter(view.stacks.by("name", name.lower())), None) if name else None


def conditions(stack: Stack, part: StackService) -> dict[str, str]:
    """What is awaited of which services, by their full names."""
    names = {each.key: each.spec.name or "" for each in stack.revision.services}
    return {names[one.key]: one.condition for one in part.after if one.key in names}


def reasons(view: Store, service: Service) -> tuple[str, ...]:
    """A sentence for each service that is awaited."""
    stack = stack_of(view, service)
    parts = stack.revision.services if stack is not None else ()
    known = next((conditions(stack, one) for one in parts if stack and one.spec.name == service.name), {})
    return tuple(
        f"waits for service {name} {_WORDS.get(known.get(name, ''), 'to be ready')}" for name in service.awaits
    )
