# SPDX-License-Identifier: Apache-2.0
"""Use cases on secrets and configs: create, relabel, remove, prune. Nothing here shows, logs or quotes data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from queenright.manager.check_data import check_data, check_data_name
from queenright.manager.checks import check_labels, check_values
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.data_kinds import Data, DataKind, SpecOfData
from queenright.model.changes import Create, Delete, Update
from queenright.model.errors import AlreadyExists, InvalidArgument, OutOfSequence
from queenright.spec.fields import encode


class DataControl:
    """Writes to the objects of one kind."""

    def __init__(self, context: Context, kind: DataKind) -> None:
        self._context = context
        self.kind = kind

    def find(self, ref: str) -> Data:
        """By id, then name, then unique prefix of an id. Raises NotFound or InvalidArgument (ambiguous)."""
        return self.kind.find(self._context.store, ref)

    async def create(self, spec: SpecOfData, data: bytes) -> str:
        """Create one and give its id. Raises InvalidArgument, or AlreadyExists if the name is taken in any case of
        letters.
        """
        for attempt in range(MOST_TRIES):
            made = self.new(spec, data)
            try:
                await self._context.write([Create(made)])
            except OutOfSequence:  # another call took the name (the next try says so) or the id
                if attempt == MOST_TRIES - 1:
                    raise
            else:
                return made.id
        raise AssertionError("unreachable")

    async def update(self, ref: str, version: int, spec: SpecOfData, data: bytes | None = None) -> None:
        """Put other labels in force; the rest must be as it is, or unsaid. OutOfSequence: ``version`` is old."""
        found = self.find(ref)
        if found.version != version:
            raise OutOfSequence
        if (spec.name or "") != found.spec.name or data not in (None, found.data):
            raise InvalidArgument("only updates to Labels are allowed")
        await self._context.write([Update(self.relabelled(found, spec.labels))])

    async def remove(self, ref: str) -> None:
        """Remove one. Raises InvalidArgument, and names the services, if any refers to it."""
        found = self.find(ref)
        for attempt in range(MOST_TRIES):
            self.check_unused(found)
            try:
                await self._context.write([Delete(self.kind.name, found.id)])
                return
            except OutOfSequence:  # a service that uses it came in between: the next look names it
                if attempt == MOST_TRIES - 1:
                    raise

    def new(self, spec: SpecOfData, data: bytes) -> Data:
        """One that could be created now; nothing is written."""
        self.check(spec)
        check_data(self.kind, data)
        name = spec.name or ""
        if self.kind.table(self._context.store).count("name", name.lower()):
            raise AlreadyExists(f"{self.kind.name} {name} already exists")
        return self.kind.make(id=self._context.ids(), spec=spec, data=data)

    def check(self, spec: SpecOfData) -> None:
        """Refuse what nothing of this kind may be called or labelled."""
        check_values(encode(spec))
        check_labels(spec.labels)
        check_data_name(spec.name or "")

    def relabelled(self, found: Data, labels: dict[str, str]) -> Data:
        """The same with other labels."""
        check_labels(labels)
        return self.kind.respecified(found, dataclasses.replace(found.spec, labels=dict(labels)))

    def check_unused(self, found: Data) -> None:
        """Raise InvalidArgument in Swarm's words if a service's spec refers to it."""
        names = sorted(service.name for service in self._context.store.services.by(self.kind.name, found.id))
        if names:
            raise InvalidArgument(in_use(self.kind, found, names))


def in_use(kind: DataKind, found: Data, names: Sequence[str]) -> str:
    """That services use it, in Swarm's words."""
    word = "service" if len(names) == 1 else "services"
    return f"{kind.name} '{found.spec.name}' is in use by the following {word}: {', '.join(names)}"
