# SPDX-License-Identifier: Apache-2.0
"""What the log raises becomes a refusal that says whether the write may be there."""

from __future__ import annotations

from typing import Any

import pytest

from queenright.app.logbook import Logbook
from queenright.edge.raft import (
    MAX_COMMAND,
    CommandTooLargeError,
    DiscardedError,
    FailedError,
    NotLeaderError,
    QueueFullError,
    RaftLog,
    StoppedError,
)
from queenright.model.errors import OutcomeUnknown, Refusal, TooLarge, Unavailable


class Machine:
    """Takes commands and forgets them."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def apply(self, index: int, command: bytes) -> object:
        self.taken.append(command)
        return None

    def freeze(self) -> Any:
        return lambda: iter(())

    def restore(self, index: int, records: Any) -> None:
        raise AssertionError("there was no snapshot")


class Broken:
    """A log that answers everything with one error."""

    def __init__(self, error: Exception, *, leads: bool) -> None:
        self.error = error
        self.is_leader = leads

    async def propose(self, command: bytes) -> object:
        raise self.error

    async def barrier(self) -> int:
        raise self.error


@pytest.mark.parametrize(
    ("error", "leads", "kind", "words"),
    [
        (FailedError("disk full"), True, OutcomeUnknown, "disk full; whether this write is kept is seen"),
        (FailedError("disk full"), False, Unavailable, "disk full; nothing was written"),
        (StoppedError("stopping"), True, OutcomeUnknown, "stopping"),
        (CommandTooLargeError("9 bytes"), True, TooLarge, "too much for one write: 9 bytes"),
        (NotLeaderError("no"), True, Unavailable, "not the leader"),
        (DiscardedError("no"), True, Unavailable, "not the leader"),
        (QueueFullError("10000"), True, Unavailable, "too many writes at once: 10000; try again"),
    ],
)
async def test_every_error_of_a_proposal_is_a_refusal(
    error: Exception, leads: bool, kind: type[Refusal], words: str
) -> None:
    book = Logbook(Broken(error, leads=leads))  # type: ignore[arg-type]
    with pytest.raises(kind, match=words) as caught:
        await book.propose(b"x")
    assert type(caught.value) is kind


async def test_a_barrier_of_a_log_that_failed_is_refused() -> None:
    with pytest.raises(Unavailable, match="disk full; nothing was written"):
        await Logbook(Broken(FailedError("disk full"), leads=True)).barrier()  # type: ignore[arg-type]


async def test_a_real_log_works_through_it(tmp_path: Any) -> None:
    machine = Machine()
    book = Logbook(RaftLog(tmp_path / "raft", "m1", machine, on_fatal=lambda error: None))
    with pytest.raises(Unavailable, match="nothing was written"):
        await book.propose(b"early")
    await book.start()
    try:
        assert (book.is_leader, book.failure) == (True, None)
        await book.propose(b"one")
        assert await book.barrier() == book.applied_index
        assert book.term >= 1 and machine.taken == [b"one"]
        with pytest.raises(TooLarge):
            await book.propose(bytes(MAX_COMMAND + 1))
    finally:
        await book.stop()
    with pytest.raises(Unavailable):
        await book.propose(b"late")
