# SPDX-License-Identifier: Apache-2.0
"""Stacks: services, networks, secrets and configs that are declared, rolled out and taken back as one; part of
``objects``.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import ClassVar

from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec

NAMESPACE_LABEL = "com.docker.stack.namespace"
"""Label of everything that a stack has; its value is the stack's name. Docker's clients know stacks by it alone."""
IMAGE_LABEL = "com.docker.stack.image"
"""Label of a stack's service: the image as it was written, before its tag was made into a digest."""
STARTED, HEALTHY, COMPLETED = "started", "healthy", "completed"
CONDITIONS = (STARTED, HEALTHY, COMPLETED)
"""What one service awaits of another: that its tasks run, that they are healthy and stay so, that its job has ended."""


class StackState(enum.StrEnum):
    """Where the roll-out of a stack's present revision stands. ``rollback_*``: the revision before it is put back."""

    UPDATING = "updating"
    COMPLETED = "completed"
    PAUSED = "paused"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_COMPLETED = "rollback_completed"
    ROLLBACK_PAUSED = "rollback_paused"

    @property
    def active(self) -> bool:
        return self in (StackState.UPDATING, StackState.ROLLBACK_STARTED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """``key`` is that of another service of the stack; ``condition`` one of CONDITIONS."""

    key: str
    condition: str = HEALTHY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StackService:
    """``key`` is its name inside the stack; ``spec`` is whole, with its full name and labels. ``said``: paths of Engine
    JSON that the source mentions among those that operators set by hand (``Mode.Replicated.Replicas``).
    """

    key: str
    spec: ServiceSpec
    after: tuple[Dependency, ...] = ()
    said: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StackNetwork:
    """``name`` is its full name. An external one is there without the stack, and ``spec`` empty."""

    key: str
    name: str
    external: bool = False
    spec: NetworkSpec = NetworkSpec()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StackData:
    """A secret or config (``kind``). ``name`` is that of its family, ``id`` that of the version which the revision
    uses. An external one is there without the stack.
    """

    key: str
    kind: str
    name: str
    external: bool = False
    id: str = ""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    template_driver: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """All that a stack was declared to be, once. ``number`` grows by one with each; ``user``, ``playbook`` and
    ``git_revision`` are as the caller gave them, ``actor`` as the manager saw who called; ``source`` is "compose",
    "bundle", "options" or "rollback". ``failure`` says why it did not come to its end, if it did not.
    """

    number: int
    at: int = 0
    actor: str = ""
    user: str = ""
    playbook: str = ""
    git_revision: str = ""
    message: str = ""
    source: str = ""
    services: tuple[StackService, ...] = ()
    networks: tuple[StackNetwork, ...] = ()
    data: tuple[StackData, ...] = ()
    failure: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """``failed`` is the full name of the service that failed, ``message`` says why in words."""

    state: StackState = StackState.COMPLETED
    started_at: int = 0
    completed_at: int = 0
    message: str = ""
    failed: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An object that no revision in force has any more, to be removed as soon as nothing uses it."""

    kind: str
    id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack. ``revision`` is the one in force, ``history`` those before it, newest first, at most ``keep``.

    ``on_failure``: "rollback" or "pause". ``timeout``: nanoseconds that a service may take to become what it shall be
    (0: for ever). ``removing``: its objects are being taken away, and then itself.
    """

    kind: ClassVar[str] = "stack"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    name: str = ""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    revision: Revision
    history: tuple[Revision, ...] = ()
    keep: int = 5
    on_failure: str = "rollback"
    timeout: int = 0
    status: StackStatus = StackStatus()
    leftovers: tuple[Leftover, ...] = ()
    removing: bool = False


def packed(stack: Stack) -> Stack:
    """The stack as it is written down: a service of a former revision that is as in the next newer one is named by its
    key alone. Most of a stack stays as it is from one revision to the next.
    """
    return _walked(stack, lambda one, newer: StackService(key=one.key, spec=ServiceSpec()) if one == newer else one)


def unpacked(stack: Stack) -> Stack:
    """The whole of what was written down. Equal services of several revisions are then one object."""
    return _walked(stack, lambda one, newer: one if one.spec.name or newer is None else newer)


def _walked(stack: Stack, choose: Callable[[StackService, StackService | None], StackService]) -> Stack:
    """The stack with each service of its history chosen by what it is and by what is in the next newer revision, as
    that is in the end when it is unpacked and as it was when it is packed.
    """
    if not stack.history:
        return stack
    held = {one.key: one for one in stack.revision.services}
    history = []
    for revision in stack.history:
        services = tuple(choose(one, held.get(one.key)) for one in revision.services)
        history.append(dataclasses.replace(revision, services=services))
        held = {
            one.key: one if one.spec.name else chosen for one, chosen in zip(revision.services, services, strict=True)
        }
    return dataclasses.replace(stack, history=tuple(history))
