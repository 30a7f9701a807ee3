# SPDX-License-Identifier: Apache-2.0
"""How many proposals go together, and that no room is lost by those that fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pysyncobj import FAIL_REASON

from queenright.edge.raft.errors import NotLeaderError, StoppedError
from queenright.edge.raft.proposals import MOST_BATCHES, Proposal, Proposals


class Desk:
    """Proposals with a raft thread that takes note of each batch."""

    def __init__(self) -> None:
        self.batches: list[list[Proposal]] = []
        self.proposals = Proposals(self._post, self.batches.append)

    def _post(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def submit(self, *commands: bytes) -> list[Proposal]:
        return [self.proposals.submit(command, None) for command in commands]

    def passed_on(self) -> list[list[bytes]]:
        return [[proposal.command[1:] for proposal in batch] for batch in self.batches]

    def finish(self, batch: list[Proposal]) -> None:
        for proposal in batch:
            self.proposals.resolve(proposal, None)


async def turn() -> None:
    await asyncio.sleep(0)


async def busy() -> Desk:
    """As many batches under way as there may be, and one command that waits."""
    desk = Desk()
    for number in range(MOST_BATCHES):
        desk.submit(b"%d" % number)
        await turn()
    desk.submit(b"late")
    await turn()
    assert len(desk.batches) == MOST_BATCHES
    return desk


async def test_what_is_submitted_in_one_turn_goes_together() -> None:
    desk = Desk()
    desk.submit(b"a", b"b")
    assert desk.passed_on() == []
    await turn()
    assert desk.passed_on() == [[b"a", b"b"]]


async def test_what_is_submitted_while_batches_are_under_way_goes_together_when_one_is_done() -> None:
    desk = await busy()
    desk.submit(b"later")
    await turn()
    desk.finish(desk.batches[0])
    assert desk.passed_on()[MOST_BATCHES:] == [[b"late", b"later"]]


async def test_a_batch_is_done_with_its_last_command() -> None:
    desk = Desk()
    desk.submit(b"a", b"b")
    await turn()
    for number in range(MOST_BATCHES - 1):
        desk.submit(b"%d" % number)
        await turn()
    desk.submit(b"late")
    await turn()
    desk.finish(desk.batches[0][:1])
    assert len(desk.batches) == MOST_BATCHES
    desk.finish(desk.batches[0][1:])
    assert desk.passed_on()[-1] == [b"late"]


async def test_a_batch_that_was_refused_makes_room_too() -> None:
    desk = await busy()
    refused = desk.batches[0][0]
    refused(None, FAIL_REASON.NOT_LEADER)
    assert desk.passed_on()[-1] == [b"late"]
    with pytest.raises(NotLeaderError):
        await refused.future


async def test_a_barrier_passes_on_what_waits_however_many_are_under_way() -> None:
    desk = await busy()
    desk.proposals.hand_over()
    assert desk.passed_on()[-1] == [b"late"]


async def test_what_waits_when_all_fail_is_passed_on_no_more() -> None:
    desk = Desk()
    for number in range(MOST_BATCHES):
        desk.submit(b"%d" % number)
        await turn()
    (late,) = desk.submit(b"late")
    desk.proposals.fail_all(StoppedError("it is over"))
    await turn()
    assert len(desk.batches) == MOST_BATCHES
    for proposal in [late, *(one for batch in desk.batches for one in batch)]:
        with pytest.raises(StoppedError):
            await proposal.future


async def test_no_room_is_lost_by_many_rounds() -> None:
    desk = Desk()
    for number in range(10):
        desk.submit(b"%d" % number)
        await turn()
        desk.finish(desk.batches[-1])
    assert len(desk.batches) == 10
