# SPDX-License-Identifier: Apache-2.0
"""From changes to the log and from the log to the store: the two ends of every write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from queenright.manager.ports import Clock, Log
from queenright.model.changes import Batch, Change, Conflict
from queenright.model.errors import OutOfSequence, Unavailable
from queenright.store.store import Store
from queenright.wire import codec


class StoreMachine:
    """Applies log entries to the store (see ``ports.StateMachine``). A snapshot record is one object."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def apply(self, index: int, command: bytes) -> Conflict | None:
        return self._store.apply(index, codec.decode_batch(command))

    def freeze(self) -> Callable[[], Iterator[bytes]]:
        objects = self._store.freeze()
        return lambda: (codec.encode_object(value) for value in objects())

    def restore(self, index: int, records: Iterator[bytes]) -> None:
        self._store.restore(index, (codec.decode_object(record) for record in records))


class LogProposer:
    """The ``Proposer`` over a log. Stamps each batch with this manager's clock."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    @property
    def is_leader(self) -> bool:
        return self._log.is_leader

    async def propose(self, changes: Sequence[Change]) -> int:
        """Write all of it or nothing; gives an index that the store has reached."""
        if not changes:
            return self._log.applied_index
        if not self._log.is_leader:
            raise Unavailable("this manager is not the leader of the swarm")
        batch = Batch(at=self._clock.wall(), changes=tuple(changes))
        conflict = await self._log.propose(codec.encode_batch(batch))
        if isinstance(conflict, Conflict):
            raise ConflictError(conflict)
        return self._log.applied_index

    async def barrier(self) -> int:
        return await self._log.barrier()


class ConflictError(OutOfSequence):
    """Somebody else wrote first; ``conflict`` says what."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__("update out of sequence")
        self.conflict = conflict
