# SPDX-License-Identifier: Apache-2.0
"""What goes into the log: a batch of changes, taken as a whole or not at all."""

from __future__ import annotations

import dataclasses

from queenright.model.objects import Object


@dataclasses.dataclass(frozen=True, slots=True)
class Create:
    """A new object; refused if the id (or, for services, the name) is taken."""

    object: Object


@dataclasses.dataclass(frozen=True, slots=True)
class Update:
    """The object as it shall be; its ``version`` is the one that was read and must still be the stored one."""

    object: Object


@dataclasses.dataclass(frozen=True, slots=True)
class Delete:
    """Remove an object; ``version`` None removes whatever is there, absent ones included."""

    kind: str
    id: str
    version: int | None = None


Change = Create | Update | Delete


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Changes of one log entry. ``at`` is the proposer's wall clock in nanoseconds."""

    at: int
    changes: tuple[Change, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Conflict:
    """Why a batch was not taken: the first change that did not fit."""

    kind: str
    id: str
    reason: str
