# SPDX-License-Identifier: Apache-2.0
"""What the engine sends as a log is read whole, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.agent.ports import TaskError
from queenright.edge.docker.log_frames import ENGINE_PART, PIECE, Frames, Plain, Times
from queenright.model.logs import LogLine

STAMP = b"2024-03-01T12:00:00.123456789Z"
AT = 1_709_294_400_123_456_789


def frame(stream: int, payload: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4) + payload


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (STAMP, AT),
        (b"2024-03-01T14:00:00.123456789+02:00", AT),
        (b"1970-01-01T00:00:00.000000001Z", 1),
        (b"nonsense", 0),
        (b"", 0),
        (b"2024-03-01T12:00:00.12345678xZ", 0),
    ],
)
def test_times_are_read_to_the_nanosecond(text: bytes, at: int) -> None:
    times = Times()
    assert [times.read(text), times.read(text)] == [at, at]


def test_a_frame_is_a_line_with_its_time_and_what_the_driver_says() -> None:
    data = frame(1, STAMP + b" tag=x,env=a%2Cb hello world\n") + frame(2, STAMP + b"  no attributes\n")
    assert Frames().feed(data) == [
        LogLine(AT, 1, "tag=x,env=a%2Cb", b"hello world\n"),
        LogLine(AT, 2, "", b"no attributes\n"),
    ]


def test_an_empty_line_is_a_line() -> None:
    assert Frames().feed(frame(1, STAMP + b"  \n")) == [LogLine(AT, 1, "", b"\n")]
    assert Frames().feed(frame(1, STAMP + b"  ")) == [LogLine(AT, 1, "", b"")]


def test_an_error_of_the_engine_is_one() -> None:
    with pytest.raises(TaskError, match="Error grabbing logs: the file is broken"):
        Frames().feed(frame(3, b"Error grabbing logs: the file is broken\n"))


@pytest.mark.parametrize("data", [b"HTTP/1.1 200", frame(9, b"x"), b"\x01\0\0\0\xff\xff\xff\xff"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(TaskError, match="frames are broken"):
        Frames().feed(data)


def test_a_huge_line_travels_in_pieces_of_one_time() -> None:
    text = b"x" * (2 * PIECE) + b"y\n"
    lines = Frames().feed(frame(1, STAMP + b"  " + text))
    assert [len(line.text) for line in lines] == [PIECE, PIECE, 2]
    assert {line.at for line in lines} == {AT}


@given(st.lists(st.binary(max_size=200), max_size=20), st.lists(st.integers(1, 50), min_size=1, max_size=10))
def test_frames_may_be_cut_anywhere(texts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frame(1 + number % 2, STAMP + b"  " + text) for number, text in enumerate(texts))
    parser, found, position = Frames(), [], 0
    while position < len(data):
        for cut in cuts:
            found += parser.feed(data[position : position + cut])
            position += cut
    assert [line.text for line in found] == texts
    assert parser.finish() == []


def test_with_a_terminal_lines_are_what_ends_with_a_break() -> None:
    parser = Plain()
    assert parser.feed(STAMP + b" a=b one\r\n" + STAMP + b"  tw") == [LogLine(AT, 1, "a=b", b"one\r\n")]
    assert parser.feed(b"o\n") == [LogLine(AT, 1, "", b"two\n")]
    assert parser.feed(STAMP + b"  $ ") == []
    assert parser.finish() == [LogLine(AT, 1, "", b"$ ")]
    assert parser.finish() == []


def test_with_a_terminal_a_part_of_a_long_line_is_known_by_the_time_that_follows() -> None:
    long = b"x" * ENGINE_PART
    data = STAMP + b"  " + long + STAMP + b"  rest\n" + STAMP + b"  next\n"
    for size in (1, 7, 1000, len(data)):
        parser, found = Plain(), []
        for start in range(0, len(data), size):
            found += parser.feed(data[start : start + size])
        assert [line.text for line in found] == [long, b"rest\n", b"next\n"], size


def test_with_a_terminal_what_never_breaks_does_not_grow_for_ever() -> None:
    parser, got = Plain(), 0
    for _ in range(20):
        got += sum(len(line.text) for line in parser.feed(b"x" * 100_000))
    assert got > 1_500_000
