# SPDX-License-Identifier: Apache-2.0
"""What those share who lay a draft over what the swarm has."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterator
from typing import TypeVar

from queenright.manager.plans import Wish
from queenright.manager.sheet import Sheet
from queenright.manager.stack_documents import Row
from queenright.model.errors import FailedPrecondition, NotFound, OutOfSequence, Refusal, Unavailable
from queenright.model.objects import Stack
from queenright.model.stack import NAMESPACE_LABEL
from queenright.store.store import Store

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that may pause between its steps. What others write meanwhile is found out by the write at the end."""


@dataclasses.dataclass(slots=True)
class Desk:
    """The ``sheet`` that changes are taken on, the ``wish``, what is said of it, and the stack as it is."""

    sheet: Sheet
    wish: Wish
    present: Stack | None
    rows: list[Row] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.sheet.store

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def missing(self, kind: str, name: str) -> None:
        """What is declared external is not there: refused, or in a plan warned of, since a task before may make it."""
        if not self.wish.dry_run:
            raise NotFound(f"{kind} {name} is declared as external, but there is none: create it first", plain=True)
        self.warn(f"{kind} {name} does not exist yet: create it first")

    def refuse_other(self, kind: str, name: str, labels: dict[str, str]) -> None:
        """What has the name but is not the stack's is not taken over by accident."""
        owner = labels.get(NAMESPACE_LABEL)
        if owner == self.wish.name or (kind, name.lower()) in _names(self.present):
            return
        whose = f"is of stack {owner}" if owner else "is of no stack"
        hint = "remove it first" if kind == "service" else "declare it as external"
        raise FailedPrecondition(f"there is one already that {whose}: {hint}, or use another name", plain=True)


@contextlib.contextmanager
def about(what: str) -> Iterator[None]:
    """A refusal in this block says what it is about."""
    try:
        yield
    except (OutOfSequence, Unavailable):
        raise
    except Refusal as error:
        raise type(error)(f"{what}: {error}", plain=True) from error


def _names(stack: Stack | None) -> frozenset[tuple[str, str]]:
    """Kind and name of what is the stack's, whatever became of its labels."""
    if stack is None:
        return frozenset()
    revision = stack.revision
    found = {("service", one.spec.name or "") for one in revision.services}
    found |= {("network", one.name) for one in revision.networks if not one.external}
    found |= {(one.kind, one.name) for one in revision.data if not one.external}
    return frozenset((kind, name.lower()) for kind, name in found)
