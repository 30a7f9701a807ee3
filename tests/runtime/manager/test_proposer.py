# SPDX-License-Identifier: Apache-2.0
"""Writes: stamped, fenced to a leadership, refused in the field's words, and never above what all managers can read."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from runtime.manager.kit import Clock, Group

from queenright.manager import proposer as room
from queenright.manager.conflict import ConflictError
from queenright.manager.proposer import LogProposer
from queenright.model import features
from queenright.model.changes import Conflict, Create, Delete
from queenright.model.errors import FailedPrecondition, OutcomeUnknown, Unavailable
from queenright.model.objects import Node
from queenright.wire import codec


@dataclasses.dataclass
class Log:
    """A log that says yes, or why not."""

    is_leader: bool = True
    term: int = 4
    applied_index: int = 7
    failure: str | None = None
    answer: object = None
    taken: list[tuple[bytes, int | None]] = dataclasses.field(default_factory=list)
    barriers: int = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def propose(self, command: bytes, *, term: int | None = None) -> object:
        self.taken.append((command, term))
        return self.answer

    async def barrier(self) -> int:
        self.barriers += 1
        return self.applied_index


NODE = Create(Node(id="n"))


async def test_a_batch_carries_the_clock_of_its_maker() -> None:
    log, clock = Log(), Clock()
    assert await LogProposer(log, clock).propose([NODE]) == 7
    ((command, term),) = log.taken
    assert (codec.decode_batch(command).at, term) == (clock.wall(), None)


async def test_nothing_to_write_is_written_nowhere_by_whomever() -> None:
    log = Log(is_leader=False)
    assert await LogProposer(log, Clock()).propose([]) == 7
    assert log.taken == []


async def test_a_conflict_is_out_of_sequence_and_says_what() -> None:
    log = Log(answer=Conflict("node", "n", "exists already"))
    with pytest.raises(ConflictError, match="update out of sequence") as caught:
        await LogProposer(log, Clock()).propose([NODE])
    assert caught.value.conflict.id == "n"


async def test_a_fenced_proposer_writes_in_its_own_term_only() -> None:
    log = Log(term=4)
    fenced = LogProposer(log, Clock()).fenced(4)
    await fenced.propose([NODE])
    assert [term for _, term in log.taken] == [4]
    log.term = 5
    assert not fenced.is_leader
    with pytest.raises(Unavailable, match="not the leader"):
        await fenced.propose([NODE])
    assert len(log.taken) == 1
    assert await LogProposer(log, Clock()).propose([NODE]) == 7, "others may"


async def test_who_does_not_lead_says_who_could_or_that_nobody_does() -> None:
    log, group = Log(is_leader=False), Group("m1")
    proposer = LogProposer(log, Clock(), group)
    group.leader_id = "m2"
    with pytest.raises(Unavailable, match=r"^this manager is not the leader of the swarm$"):
        await proposer.propose([NODE])
    group.leader_id = None
    for call in (lambda: proposer.propose([NODE]), proposer.barrier, lambda: proposer.fenced(4).propose([NODE])):
        with pytest.raises(Unavailable) as caught:
            await call()
        assert str(caught.value) == (
            "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than "
            "half of the managers are online."
        )
        assert caught.value.plain
    assert (log.taken, log.barriers) == ([], 0)


async def test_a_log_that_does_not_answer_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ANSWER", 0.01)
    log = Log()
    log.propose = log.barrier = lambda *_, **__: asyncio.Event().wait()  # type: ignore[method-assign, assignment]
    proposer = LogProposer(log, Clock())
    with pytest.raises(OutcomeUnknown, match="did not answer within"):
        await proposer.propose([NODE])
    with pytest.raises(Unavailable, match="did not answer within"):
        await proposer.barrier()


async def test_a_barrier_is_the_log_s() -> None:
    log = Log()
    assert await LogProposer(log, Clock()).fenced(4).barrier() == 7
    assert log.barriers == 1


async def test_a_change_that_not_all_managers_can_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.features, "NEEDS", {**features.NEEDS, "ticket": 2})
    log, level = Log(), 1
    proposer = LogProposer(log, Clock(), level=lambda: level)
    await proposer.propose([NODE])
    with pytest.raises(FailedPrecondition, match=r"feature level 2.*are at 1: upgrade queenright on all managers"):
        await proposer.propose([NODE, Delete("ticket", "t")])
    assert len(log.taken) == 1
    level = 2
    await proposer.propose([NODE, Delete("ticket", "t")])
    assert len(log.taken) == 2
