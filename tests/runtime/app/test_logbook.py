# SPDX-License-Identifier: Apache-2.0
"""What the log raises becomes a refusal that says whether the write may be there."""

from __future__ import annotations

from typing import Any

import pytest
from runtime.sealers import sealer

from queenright.app.logbook import Logbook
from queenright.edge.raft import (
    MAX_COMMAND,
    CommandTooLargeError,
    DiscardedError,
    FailedError,
    MembershipError,
    NotLeaderError,
    QueueFullError,
    RaftLog,
    StoppedError,
    UnknownOutcomeError,
)
from queenright.model.errors import FailedPrecondition, OutcomeUnknown, Refusal, TooLarge, Unavailable


class Machine:
    """Takes commands and forgets them."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def apply(self, index: int, command: bytes) -> object:
        self.taken.append(command)
        return None

    def freeze(self) -> Any:
        return lambda: iter(())

    def prepare(self, index: int, records: Any) -> Any:
        raise AssertionError("there was no snapshot")


class Broken:
    """A log that answers everything with one error."""

    def __init__(self, error: Exception, *, leads: bool) -> None:
        self.error = error
        self.is_leader = leads

    leader_id: str | None = "m2"
    answering = frozenset({"m3"})

    async def propose(self, command: bytes, *, term: int | None = None) -> object:
        raise self.error

    async def barrier(self) -> int:
        raise self.error

    async def remove_member(self, member_id: str) -> None:
        raise self.error


def logbook(log: Any) -> Logbook:
    """Of member m1; m2 is connected to it."""
    return Logbook(log, "m1", lambda member_id: member_id == "m2")


@pytest.mark.parametrize(
    ("error", "leads", "kind", "words"),
    [
        (FailedError("disk full"), True, OutcomeUnknown, "disk full; whether this write is kept is seen"),
        (FailedError("disk full"), False, Unavailable, "disk full; nothing was written"),
        (StoppedError("stopping"), True, OutcomeUnknown, "stopping"),
        (CommandTooLargeError("9 bytes"), True, TooLarge, "too much for one write: 9 bytes"),
        (NotLeaderError("no"), True, Unavailable, "not the leader"),
        (DiscardedError("no"), True, Unavailable, "not the leader"),
        (UnknownOutcomeError("it leads no more"), True, OutcomeUnknown, "it leads no more; whether this write is kept"),
        (QueueFullError("10000"), True, Unavailable, "too many writes at once: 10000; try again"),
    ],
)
async def test_every_error_of_a_proposal_is_a_refusal(
    error: Exception, leads: bool, kind: type[Refusal], words: str
) -> None:
    book = logbook(Broken(error, leads=leads))
    with pytest.raises(kind, match=words) as caught:
        await book.propose(b"x")
    assert type(caught.value) is kind


async def test_a_barrier_of_a_log_that_failed_is_refused() -> None:
    with pytest.raises(Unavailable, match="disk full; nothing was written"):
        await logbook(Broken(FailedError("disk full"), leads=True)).barrier()


async def test_without_a_leader_a_write_is_refused_in_the_engine_s_words() -> None:
    broken = Broken(NotLeaderError("no"), leads=False)
    broken.leader_id = None
    with pytest.raises(Unavailable, match=r"^The swarm does not have a leader\. It's possible that too few managers"):
        await logbook(broken).propose(b"x", term=3)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (NotLeaderError("no"), Unavailable, "not the leader"),
        (MembershipError("too few would answer"), FailedPrecondition, "^too few would answer$"),
        (StoppedError("it is stopping"), FailedPrecondition, "it is stopping"),
        (OSError(28, "No space left on device"), FailedPrecondition, "No space left"),
    ],
)
async def test_a_change_of_the_group_that_fails_says_why(error: Exception, kind: type[Refusal], words: str) -> None:
    with pytest.raises(kind, match=words):
        await logbook(Broken(error, leads=True)).remove_member("m2")


def test_a_leader_knows_who_answers_and_others_know_who_is_connected() -> None:
    leads, follows = logbook(Broken(OSError(), leads=True)), logbook(Broken(OSError(), leads=False))
    assert [leads.connected(key) for key in ("m1", "m2", "m3")] == [True, False, True]
    assert [follows.connected(key) for key in ("m1", "m2", "m3")] == [True, True, False]


async def test_a_real_log_works_through_it(tmp_path: Any) -> None:
    machine = Machine()
    book = logbook(RaftLog(tmp_path / "raft", "m1", machine, sealer=sealer(), on_fatal=lambda error: None))
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
