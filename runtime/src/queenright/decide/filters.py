# SPDX-License-Identifier: Apache-2.0
"""Which nodes can take a task: the filters in the order in which they are asked, and what many refusals amount to.

Each filter checks one thing, says why it refuses, and sums up many refusals; the first refusal counts. Filters of
``fitness`` look only at what a node is, those of ``room`` at what it carries. What a filter makes of a task depends on
what the task :meth:`asks <Filter.asks>` of it and on nothing else, so tasks that ask for the same share its verdicts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal, NamedTuple, Protocol

from queenright.decide import fitness, room
from queenright.decide.refusal import Refusal
from queenright.model.objects import Node, Task
from queenright.store.load import NodeLoad


class Filter(Protocol):
    """One condition for placing a task.

    ``reads``: the node alone, so that one answer holds until the node changes; what it carries (``room``), which only
    gets less while tasks are placed; or what it carries of the task's own service.
    """

    name: str

    @property
    def reads(self) -> Literal["node", "room", "service"]: ...

    def asks(self, task: Task) -> Hashable:
        """What the task asks for, of what this filter knows; None if that is nothing."""
        ...

    def check(self, task: Task, node: Node, load: NodeLoad) -> Refusal | None:
        """Why the node cannot take the task, which asks for something; None if it can."""
        ...

    def explain(self, count: int) -> str:
        """What ``count`` refusals amount to, in the words of ``docker service ps``."""
        ...


PIPELINE: tuple[Filter, ...] = (
    fitness.Ready(),
    room.Resources(),
    fitness.Plugins(),
    fitness.Constraints(),
    fitness.Platforms(),
    room.HostPorts(),
    room.MaxReplicas(),
)


class Request(NamedTuple):
    """What a task asks for: the filters that concern it, in order, and a key that is equal for equal requests."""

    filters: tuple[Filter, ...]
    key: tuple[Hashable, ...]

    def of(self, *reads: str) -> Request:
        """The part that is asked of filters which read one of these."""
        pairs = [(one, key) for one, key in zip(self.filters, self.key, strict=True) if one.reads in reads]
        return Request(tuple(one for one, _ in pairs), tuple(key for _, key in pairs))


def request(task: Task) -> Request:
    """What the task asks for."""
    asked = [(one, asks) for one in PIPELINE if (asks := one.asks(task)) is not None]
    return Request(tuple(one for one, _ in asked), tuple((one.name, asks) for one, asks in asked))


def first_refusal(chosen: Iterable[Filter], task: Task, node: Node, load: NodeLoad) -> tuple[Filter, Refusal] | None:
    """The first filter that refuses the node, and why."""
    for one in chosen:
        refusal = one.check(task, node, load)
        if refusal is not None:
            return one, refusal
    return None


def summary(refusals: Iterable[Filter]) -> str:
    """Many refusals in one line: the most frequent first, then in the order of the filters."""
    counts: dict[str, int] = {}
    for refusal in refusals:
        counts[refusal.name] = counts.get(refusal.name, 0) + 1
    ordered = sorted((one for one in PIPELINE if one.name in counts), key=lambda one: -counts[one.name])
    return "; ".join(one.explain(counts[one.name]) for one in ordered)
