# SPDX-License-Identifier: Apache-2.0
"""After a break nothing comes twice and nothing is left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from queenright.manager import log_positions
from queenright.manager.log_positions import REMEMBERED, Positions
from queenright.model.logs import LogLine, LogPosition


def line(at: int, stream: int = 1, text: str = "x") -> LogLine:
    return LogLine(at, stream, "", text.encode())


def test_who_had_nothing_asks_for_nothing_special() -> None:
    assert Positions().all() == ()


def test_what_is_done_is_not_asked_for_again() -> None:
    positions = Positions()
    positions.new("t", [line(1)])
    positions.done("t")
    positions.done("u")
    assert positions.all() == (LogPosition("t", 0, True), LogPosition("u", 0, True))


def test_lines_of_one_time_are_told_apart_by_how_many_were_had() -> None:
    positions = Positions()
    positions.new("t", [line(5), line(5)])
    assert positions.all() == (LogPosition("t", 5),)
    assert positions.new("t", [line(5), line(5), line(5), line(6)]) == [line(5), line(6)]


def test_a_line_that_is_a_little_older_than_the_last_one_is_not_lost() -> None:
    positions = Positions()
    positions.new("t", [line(5, 1), line(9, 1)])
    positions.all()
    came = [line(5, 1), line(9, 1), line(8, 2), line(10, 1)]
    assert positions.new("t", came) == [line(8, 2), line(10, 1)]
    assert positions.new("t", [line(7, 2)]) == [line(7, 2)]


def test_very_many_that_are_done_do_not_stay_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(log_positions, "MOST_DONE", 3)
    positions = Positions()
    for number in range(10):
        positions.new(f"t{number}", [line(number)])
        positions.done(f"t{number}")
    assert [position.task_id for position in positions.all()] == ["t7", "t8", "t9"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(0, 2)), max_size=400),
    st.lists(st.integers(1, 120), max_size=12),
)
def test_with_breaks_anywhere_a_reader_gets_just_the_log(steps: list[tuple[int, int, int]], cuts: list[int]) -> None:
    """The engine gives what is not older than asked, in the order in which it was written."""
    at, log = 1, []
    for step, stream, length in steps:
        at += step
        log.append(line(at, stream, "x" * length))
    positions, got, asked = Positions(), [], 0
    rest = list(log)
    for cut in cuts:
        got += positions.new("t", rest[:cut])
        asked = next((position.since for position in positions.all()), 0)
        rest = [item for item in log if item.at >= asked]
    got += positions.new("t", rest)
    beyond = [item for item in log if log.count(item) > REMEMBERED // 2]
    if not beyond:  # more lines of one nanosecond than are remembered cannot be told apart
        assert got == log
