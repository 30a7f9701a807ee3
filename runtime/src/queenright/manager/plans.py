# SPDX-License-Identifier: Apache-2.0
"""What a playbook declares of one object, and what that comes to: the two ends of ``apply``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from queenright.model.changes import Change
from queenright.sources.draft import Draft
from queenright.spec.fields import difference

PRESENT = "present"
ABSENT = "absent"
HIDDEN = "(not shown)"


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """One call of ``apply``. ``context``: what is no option: ``registry_auth``, ``force``, and the immutable options
    of a swarm as they stand in the inventory. It may hold what is secret, as a stack's options may: nothing of either
    is shown anywhere.
    """

    kind: str
    name: str = ""
    state: str = PRESENT
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    context: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    dry_run: bool = False
    draft: Draft | None = dataclasses.field(default=None, repr=False)  # of a stack: its source, read


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a wish comes to now. ``before`` and ``after`` are specs in Engine JSON, None where there is none.
    ``more`` is answered beside the rest. ``whole``: all changes in one entry of the log, or none.
    """

    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    actions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    diff: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    whole: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything is different from what was declared; there may be ``changes`` that only tidy up."""
        return bool(self.actions)


def plan_of(
    key: str, before: dict[str, Any] | None, after: dict[str, Any] | None, action: str, changes: tuple[Change, ...]
) -> Plan:
    """A plan of one action whose diff is the difference of the two documents."""
    return Plan(key, before, after, (action,), (), changes, difference(before or {}, after or {}))
