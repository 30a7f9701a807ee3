# SPDX-License-Identifier: Apache-2.0
"""What an agent needs of the world: an executor that runs containers, two clocks, and someone to report to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from queenright.decide.task_step import Seen
from queenright.model.objects import NodeDescription, Task, TaskStatus
from queenright.model.payloads import Payload


class ExecutorError(Exception):
    """Base of what an executor raises. The text says what, where and how to mend it; never a credential."""


class TaskError(ExecutorError):
    """This task cannot be done as it is declared; trying again will not help."""


class TemporaryError(ExecutorError):
    """Did not work now; the same call may work in a moment."""


class EngineLostError(ExecutorError):
    """The engine did not answer; whether it did what was asked is not known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A container of this cluster that the engine holds."""

    container_id: str
    task_id: str
    running: bool


class Seal(Protocol):
    """Seals and opens values of one file. Used by one thread at a time."""

    @property
    def label(self) -> bytes:
        """Stands in the file, in clear: by it the seal is found again. No secret."""
        ...

    def close(self, block: bytes, place: bytes) -> bytes:
        """Seal ``block``, which opens with the same ``place`` only."""
        ...

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        """The block, or None if this is not what was sealed for ``place``."""
        ...


class Sealer(Protocol):
    """Has the keys of this node. Called from several threads."""

    def new(self, purpose: str) -> Seal:
        """For a new file. Raises ValueError saying what is wrong with the keys, or OSError."""
        ...

    def find(self, purpose: str, label: bytes) -> Seal:
        """For a file with this label, made for the same purpose. Raises ValueError, a predicate that follows the name
        of the file, or OSError."""
        ...


class Supplies(Protocol):
    """What a task needs besides its specification (``agent.data``). Never written to a disk."""

    def payloads(self, task: Task) -> Sequence[Payload]:
        """Its secrets and configs, templates not expanded. Raises TaskError or TemporaryError."""
        ...

    def credentials(self, task: Task) -> bytes:
        """The JSON document with which its image is pulled, as it now is; empty for none."""
        ...


class Executor(Protocol):
    """Runs the containers of one node of one cluster (``edge/docker``). Any call may raise ExecutorError.

    ``look``, ``create``, ``start``, ``release`` and ``remove`` are short and not to be cancelled on the way; the others
    may be. What a task needs besides its specification the executor asks of its ``Supplies``.
    """

    async def describe(self) -> NodeDescription:
        """What the machine and the engine are, asked afresh."""
        ...

    async def found(self) -> Sequence[Found]:
        """Every container of this cluster, whether its task is known or not."""
        ...

    async def look(self, task: Task, container_id: str) -> Seen:
        """What there is of a task's container, by id or else by the task's name. Never UNKNOWN."""
        ...

    async def pull(self, task: Task, told: Callable[[str], None]) -> None:
        """Make sure that the image is there. ``told`` gets words on the progress, at once and then every 10 s or so."""
        ...

    async def create(self, task: Task) -> Seen:
        """Create the container, or find the one that was created for this task. Starts nothing."""
        ...

    async def start(self, task: Task, container_id: str) -> Seen: ...

    async def changed(self, container_id: str, seen: Seen) -> Seen:
        """Wait until what is known of a container differs from ``seen``."""
        ...

    async def stop(self, container_id: str, signal: str, grace: float) -> Seen:
        """Signal ("" for the container's own), grace in seconds, kill. Returns once it has ended or is gone."""
        ...

    async def release(self, task_id: str) -> None:
        """Take away the secrets and configs of a task that has ended; one that has none is fine."""
        ...

    async def sweep(self, keep: Collection[str]) -> None:
        """Take away the secrets and configs of all tasks but these: what a crash left."""
        ...

    async def remove(self, container_id: str, task_id: str) -> None:
        """Remove the container, its anonymous volumes and its secrets and configs, running or not; what is gone is
        fine.
        """
        ...


class Mesh(Protocol):
    """The networks that tasks are in (``agent.dataplane``)."""

    async def start(self) -> None:
        """Go on with what is remembered: the database is open. Before it returns nothing else is asked for."""
        ...

    async def stop(self) -> None:
        """Let go of everything; the data path goes on as it is."""
        ...

    async def ready(self, task: Task) -> None:
        """Return when the networks that the task has addresses in are made on this node. Raises TemporaryError that
        says why one is not; may be cancelled.
        """
        ...

    async def let_go(self, task: Task) -> None:
        """Return when no node sends the task connections any more, or after the time that its service gives it."""
        ...

    def engine_back(self) -> None:
        """The engine was away, and answers again."""
        ...


class Clock(Protocol):
    """``wall``: nanoseconds since the epoch, UTC."""

    def wall(self) -> int: ...


Report = Callable[[str, TaskStatus], None]
