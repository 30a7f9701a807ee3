# SPDX-License-Identifier: Apache-2.0
"""What all deciders share: the time they are given, what woke them, and what they answer.

A decider is ``decide(view, dirty, now, ids) -> Decision``. It reads the store, never a clock; it asks ``ids`` for new
names; it returns changes and the
time at which it wants to be asked again. The same question has the same answer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from queenright.model.changes import Change

SECOND = 1_000_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Now:
    """``wall`` in nanoseconds since the epoch (for what is stored), ``mono`` in seconds of a clock that never jumps
    (for liveness and waking).
    """

    wall: int
    mono: float

    def wake_at(self, wall: int) -> float:
        """The monotonic time of a stored wall time: now if it has passed."""
        return self.mono + max(0, wall - self.wall) / SECOND


@dataclasses.dataclass(slots=True)
class Dirty:
    """Keys touched since the decider was last asked. ``everything`` (a leader's start) stands for all keys; ``due``:
    the time has come at which it wanted to be asked again.
    """

    services: set[str] = dataclasses.field(default_factory=set)
    nodes: set[str] = dataclasses.field(default_factory=set)
    tasks: set[str] = dataclasses.field(default_factory=set)
    networks: set[str] = dataclasses.field(default_factory=set)
    stacks: set[str] = dataclasses.field(default_factory=set)
    everything: bool = False
    due: bool = False

    def __bool__(self) -> bool:
        return bool(self.everything or self.services or self.nodes or self.tasks or self.networks or self.stacks)


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """Changes in the order in which they may be cut, and the monotonic time of the next question (None: only when
    something changes). ``partial``: it speaks of what was touched only, and an earlier answer's time still holds.
    """

    changes: tuple[Change, ...] = ()
    wake_at: float | None = None
    partial: bool = False


def next_wake(held: float, decision: Decision) -> float:
    """When a decider that wanted to be asked at ``held`` wants that after its answer; infinity for never."""
    wake = math.inf if decision.wake_at is None else decision.wake_at
    return min(held, wake) if decision.partial else wake


def earliest(times: Iterable[float | None]) -> float | None:
    """The first of several wake times; None counts as never."""
    return min((time for time in times if time is not None), default=None)
