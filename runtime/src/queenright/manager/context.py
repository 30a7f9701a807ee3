# SPDX-License-Identifier: Apache-2.0
"""What every use case of a running manager works with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from queenright.manager import slices
from queenright.manager.ports import Clock, Consensus, Proposer, Registries
from queenright.model.changes import Change
from queenright.model.errors import Unavailable
from queenright.model.objects import Cluster
from queenright.store.store import Store

MOST_TRIES = 10  # of a write whose maker can make it anew from what is there now


class Ids(Protocol):
    """New identifiers, and random bytes of the same source (``model.ids.IdSource``)."""

    def __call__(self) -> str: ...

    def bytes(self, count: int) -> bytes: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """The store to read, the proposer to write by, where times and names come from, the group of managers (None: this
    manager is alone and nobody can join it), and the registries (None: tags of images stay as they are).
    """

    store: Store
    proposer: Proposer
    clock: Clock
    ids: Ids
    consensus: Consensus | None = None
    registries: Registries | None = None

    @property
    def cluster(self) -> Cluster:
        """The swarm. Raises Unavailable as long as the log has not brought it."""
        found = self.store.cluster
        if found is None:
            raise Unavailable("the swarm's state is not there yet: the manager is starting")
        return found

    async def fresh(self) -> None:
        """Return when the store holds every write that was acknowledged before the call, by whichever manager.

        Raises Unavailable on a manager that does not lead, or is not confirmed as leader by a majority.
        """
        await self.proposer.barrier()

    async def write(self, changes: Sequence[Change]) -> None:
        """Write a short list as one entry; a long one, each of whose prefixes must be right, in slices."""
        await slices.write(self.proposer, changes)
