# SPDX-License-Identifier: Apache-2.0
"""What a batch must fit: versions, names that are free, and references that hold.

Every manager asks the same of the same tables when it applies an entry, so that two writers who each saw a world
without the other cannot both be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from queenright.model.changes import Change, Conflict, Create, Delete
from queenright.model.objects import Config, Object, Registry, Secret, Service
from queenright.store import tables

NAMED = ("service", "secret", "config", "registry")
"""Kinds whose names are unique, in any letter case."""

REFERENCES = {"secret": tables.secret_ids, "config": tables.config_ids}
"""Kinds that services refer to, with the ids that a specification names."""


class Guard:
    """Checks the changes of one batch in order, each against the tables as the changes before it would leave them."""

    def __init__(self, held: Mapping[str, tables.AnyTable]) -> None:
        self._held = held
        self._later: dict[tuple[str, str], Object | None] = {}  # what the batch makes of objects, None: gone

    def check(self, changes: Iterable[Change]) -> Conflict | None:
        """The first change that does not fit, if there is one."""
        for change in changes:
            target = change if isinstance(change, Delete) else change.object
            reason = self._reason(change, target.kind, target.id)
            if reason is not None:
                return Conflict(target.kind, target.id, reason)
            self._later[target.kind, target.id] = None if isinstance(change, Delete) else change.object
        return None

    def _reason(self, change: Change, kind: str, key: str) -> str | None:
        present = self._get(kind, key)
        reason = _misfit(change, None if present is None else present.version)
        if reason is not None:
            return reason
        if isinstance(change, Delete):
            return self._in_use(kind, key) if kind in REFERENCES else None
        if kind in NAMED and self._name_taken(cast("Service | Secret | Config | Registry", change.object)):
            return "name in use"
        return self._dangling(cast("Service", change.object)) if kind == "service" else None

    def _get(self, kind: str, key: str) -> Object | None:
        if (kind, key) in self._later:
            return self._later[kind, key]
        return self._held[kind].get(key)

    def _name_taken(self, wanted: Service | Secret | Config | Registry) -> bool:
        kind, name = wanted.kind, wanted.name.lower()
        table = cast("tables.Table[Service]", self._held[kind])
        holders = {other.id for other in table.by("name", name) if (kind, other.id) not in self._later}
        for (of, key), other in self._later.items():
            if of == kind and other is not None and cast("Service", other).name.lower() == name:
                holders.add(key)
        return bool(holders - {wanted.id})

    def _in_use(self, kind: str, key: str) -> str | None:
        services = cast("tables.Table[Service]", self._held["service"])
        users = [user for user in services.by(kind, key) if ("service", user.id) not in self._later]
        users += [
            other
            for other in self._later.values()
            if isinstance(other, Service) and key in REFERENCES[kind](other.spec.task)
        ]
        if not users:
            return None
        names = ", ".join(sorted(user.name for user in users))
        gone = cast("Secret | Config | None", self._get(kind, key))
        word = "service" if len(users) == 1 else "services"
        return f"{kind} '{gone.name if gone is not None else key}' is in use by the following {word}: {names}"

    def _dangling(self, service: Service) -> str | None:
        """A reference that was not there before must lead somewhere."""
        for kind, ids_of in REFERENCES.items():
            wanted = ids_of(service.spec.task)
            if not wanted:
                continue
            before = cast("Service | None", self._get("service", service.id))
            known = ids_of(before.spec.task) if before is not None else ()
            for key in wanted:
                if key not in known and self._get(kind, key) is None:
                    return f"{kind} {key} not found"
        return None


def _misfit(change: Change, version: int | None) -> str | None:
    if isinstance(change, Create):
        return None if version is None else "exists already"
    if isinstance(change, Delete):
        return None if change.version is None or change.version == version else "changed meanwhile"
    if version is None:
        return "is gone"
    return None if change.object.version == version else "changed meanwhile"
