# SPDX-License-Identifier: Apache-2.0
"""Reading goes on where it was when what is in between breaks, and ends with a word when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from runtime.manager.log_kit import PATIENCE, Clock, line, until

from queenright.manager import log_reader
from queenright.manager.log_reader import LogChunk, LogReader
from queenright.model.errors import InvalidArgument, NotLeading, OutcomeUnknown, Unavailable
from queenright.model.logs import LogOptions, LogRead, LogReadRequest
from queenright.wire.logs import pack_lines, unpack_lines

ASKED = LogReadRequest(service_ids=("web",), options=LogOptions(follow=True, tail=3))
BEGUN = LogRead()


def part(*texts: str, at: int = 100, task_id: str = "t") -> LogRead:
    lines = [line(text, at + number) for number, text in enumerate(texts)]
    return LogRead(task_id=task_id, node_id="n", service_id="web", lines=pack_lines(lines))


class Leader:
    """Gives one list after the other, one a call; an error in it is raised, ``...`` waits for ever."""

    def __init__(self, *plays: Sequence[object]) -> None:
        self.plays = list(plays)
        self.asked: list[LogReadRequest] = []
        self.open = 0

    async def read(self, request: LogReadRequest) -> AsyncGenerator[LogRead, None]:
        self.asked.append(request)
        play = self.plays.pop(0) if self.plays else [Unavailable("nobody leads")]
        self.open += 1
        try:
            for item in play:
                if isinstance(item, Exception):
                    raise item
                if item is ...:
                    await asyncio.Event().wait()
                assert isinstance(item, LogRead)
                yield item
        finally:
            self.open -= 1


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "FIRST_PATIENCE", 0.3)
    monkeypatch.setattr(log_reader, "PATIENCE", 0.3)


def reader_of(leader: Leader | None) -> LogReader:
    return LogReader(lambda: leader, unpack_lines, Clock(), lambda: 0.01)


async def all_of(leader: Leader, request: LogReadRequest = ASKED) -> list[LogChunk]:
    async with asyncio.timeout(PATIENCE):
        stream = await reader_of(leader).open(request)
        return [chunk async for chunk in stream]


def texts(chunks: list[LogChunk]) -> list[str]:
    return [line.text.decode().strip() for chunk in chunks for line in chunk.lines]


def missing(chunks: list[LogChunk]) -> list[str]:
    return [chunk.missing for chunk in chunks if chunk.missing]


async def test_lines_come_as_they_are_with_where_they_are_from() -> None:
    leader = Leader([BEGUN, part("a", "b"), LogRead(task_id="t", done=True)])
    (chunk,) = await all_of(leader)
    assert (chunk.task_id, chunk.node_id, chunk.service_id) == ("t", "n", "web")
    assert texts([chunk]) == ["a", "b"]
    assert leader.asked == [ASKED]


@pytest.mark.parametrize(
    "breaks", [LogRead(again=True), NotLeading("leads no more"), OutcomeUnknown("the connection broke")]
)
async def test_after_a_break_it_goes_on_where_it_was(breaks: object) -> None:
    first = [BEGUN, part("a", "b"), part("z", task_id="u"), LogRead(task_id="u", done=True), breaks]
    leader = Leader(first, [BEGUN, part("a", "b", "c")])
    chunks = await all_of(leader)
    assert texts(chunks) == ["a", "b", "z", "c"]
    assert missing(chunks) == []
    again = leader.asked[1]
    assert {(each.task_id, each.since, each.done) for each in again.positions} == {("t", 100, False), ("u", 0, True)}
    assert again.began == Clock().wall()
    assert (again.options, again.service_ids) == (ASKED.options, ASKED.service_ids)


async def test_nobody_who_leads_is_an_error_before_anything_was_given() -> None:
    with pytest.raises(Unavailable, match="does not have a leader"):
        await reader_of(None).open(ASKED)
    leader = Leader()
    with pytest.raises(Unavailable, match="nobody leads"):
        await reader_of(leader).open(ASKED)
    assert leader.open == 0


async def test_a_leader_that_is_found_in_time_serves() -> None:
    leader = Leader([NotLeading("not yet")], [NotLeading("not yet")], [BEGUN, part("a")])
    assert texts(await all_of(leader)) == ["a"]


async def test_a_leader_that_is_lost_for_good_ends_it_with_a_word() -> None:
    chunks = await all_of(Leader([BEGUN, part("a"), NotLeading("leads no more")]))
    assert texts(chunks) == ["a"]
    (reason,) = missing(chunks)
    assert reason.startswith("the manager that leads was lost")
    assert "nobody leads" in reason


async def test_breaks_without_end_and_without_anything_new_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "VAIN_TRIES", 3)
    leader = Leader(*[[BEGUN, part("a"), LogRead(again=True)]] * 9)
    chunks = await all_of(leader)
    assert texts(chunks) == ["a"]
    assert missing(chunks) == ["the connection to their nodes breaks again and again"]
    assert len(leader.plays) >= 5


async def test_a_node_whose_way_breaks_without_end_is_given_up_and_the_others_are_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_reader, "VAIN_TRIES", 3)
    broken = LogRead(node_id="bad", again=True)
    plays: list[list[object]] = [[BEGUN, part(f"{number}", at=200 + number), broken] for number in range(3)]
    leader = Leader(*plays, [BEGUN, part("end", at=300)])
    chunks = await all_of(leader)
    assert texts(chunks) == ["0", "1", "2", "end"]
    assert missing(chunks) == ["the connection to node bad breaks again and again"]
    assert [request.without for request in leader.asked] == [(), (), (), ("bad",)]


async def test_a_node_that_gives_something_new_between_its_breaks_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_reader, "VAIN_TRIES", 3)
    broken = LogRead(node_id="n", again=True)
    leader = Leader(*[[BEGUN, part(f"{number}", at=200 + number), broken] for number in range(9)], [BEGUN])
    chunks = await all_of(leader)
    assert texts(chunks) == [str(number) for number in range(9)]
    assert missing(chunks) == []


async def test_a_refusal_is_told_as_it_is() -> None:
    with pytest.raises(InvalidArgument, match="not so"):
        await reader_of(Leader([InvalidArgument("not so")])).open(ASKED)
    chunks = await all_of(Leader([BEGUN, InvalidArgument("not so")]))
    assert missing(chunks) == ["not so"]


async def test_what_is_missing_is_passed_on_with_its_task() -> None:
    told = LogRead(task_id="t", node_id="n", service_id="web", missing="node n is not available")
    (chunk,) = await all_of(Leader([BEGUN, told]))
    assert (chunk.task_id, chunk.node_id, chunk.missing) == ("t", "n", "node n is not available")


async def test_lines_that_cannot_be_read_are_missing() -> None:
    chunks = await all_of(Leader([BEGUN, LogRead(task_id="t", lines=b"\xff\xff")]))
    assert missing(chunks) == ["these bytes are no lines of a log"]


async def test_who_closes_it_frees_what_is_behind() -> None:
    leader = Leader([BEGUN, part("a"), ...])
    stream = await reader_of(leader).open(ASKED)
    assert leader.open == 1
    assert texts([await anext(stream)]) == ["a"]
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.aclose()
    assert leader.open == 0


async def test_who_closes_it_unread_frees_it_too() -> None:
    leader = Leader([BEGUN, ...])
    stream = await reader_of(leader).open(ASKED)
    await stream.aclose()
    assert leader.open == 0


async def test_who_goes_away_while_it_is_opened_leaves_nothing() -> None:
    leader = Leader([...])
    opening = asyncio.create_task(reader_of(leader).open(ASKED))
    await until(lambda: leader.open == 1)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert leader.open == 0


async def test_a_leader_that_ends_before_it_began_is_tried_again() -> None:
    assert texts(await all_of(Leader([], [BEGUN, part("a")]))) == ["a"]
