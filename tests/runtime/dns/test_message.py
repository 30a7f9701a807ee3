# SPDX-License-Identifier: Apache-2.0
"""Questions are read whatever comes, and answers have a form that others read."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from queenright.edge.dns import message
from queenright.edge.dns.message import MalformedError, Question


def ask(name: str, kind: int = message.A, *, ident: int = 7, flags: int = 0x0100, size: int | None = None) -> bytes:
    option = b"" if size is None else b"\0" + struct.pack("!HHIH", message.OPT, size, 0, 0)
    header = struct.pack("!6H", ident, flags, 1, 0, 0, int(size is not None))
    return header + message.packed_name(name) + struct.pack("!2H", kind, 1) + option


def test_a_question_is_taken_apart() -> None:
    found = message.parse(ask("Web.MyNet", message.AAAA, size=1400))
    assert (found.ident, found.name, found.kind, found.domain, found.size) == (7, "Web.MyNet", message.AAAA, 1, 1400)
    assert message.parse(ask("")).name == ""
    assert message.parse(ask("web")).size is None


BROKEN = [
    b"",
    b"\0" * 11,
    struct.pack("!6H", 7, 0, 0, 0, 0, 0),
    struct.pack("!6H", 7, 0, 2, 0, 0, 0) + b"\0" * 10,
    struct.pack("!6H", 7, 0x8000, 1, 0, 0, 0) + b"\3web\0\0\1\0\1",  # an answer
    struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\3we",
    struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\3web\0\0\1",
    struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",  # a name that points at itself
    struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\1a" * 130 + b"\0\0\1\0\1",
    struct.pack("!6H", 7, 0, 1, 0, 0, 1) + b"\3web\0\0\1\0\1",
]


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_question_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        message.parse(data)


@given(some.binary(max_size=600))
def test_whatever_comes_is_a_question_or_malformed(data: bytes) -> None:
    try:
        found = message.parse(data)
    except MalformedError:
        return
    assert message.compose(found, message.NOERROR)[:2] == data[:2]


@given(some.integers(0, 40), some.binary(min_size=1, max_size=3))
def test_a_damaged_question_breaks_nothing(at: int, put: bytes) -> None:
    whole = ask("tasks.web", size=1232)
    damaged = whole[:at] + put + whole[at + len(put) :]
    try:
        message.parse(damaged)
    except MalformedError:
        return


def counts(data: bytes) -> tuple[int, ...]:
    return struct.unpack("!6H", data[:12])


def test_an_answer_repeats_the_question_in_its_own_letters() -> None:
    question = message.parse(ask("wEb"))
    said = message.compose(question, message.NOERROR, [message.address_record("10.0.1.9", 10)])
    assert question.wire in said
    assert said.endswith(b"\xc0\x0c\0\1\0\1\0\0\0\x0a\0\4\x0a\0\1\x09")
    ident, flags, *numbers = counts(said)
    assert (ident, flags, numbers) == (7, 0x8580, [1, 1, 0, 0])


@pytest.mark.parametrize("code", [message.NOERROR, message.NXDOMAIN])
def test_nothing_comes_with_the_time_for_which_that_holds(code: int) -> None:
    said = message.compose(message.parse(ask("web", message.AAAA)), code)
    assert counts(said)[1] & message.RCODE == code
    assert counts(said)[2:] == (1, 0, 1, 0)
    assert struct.unpack("!I", said[-4:]) == (message.NEGATIVE_TTL,)


def test_a_failure_is_not_to_be_remembered() -> None:
    said = message.compose(message.parse(ask("web")), message.SERVFAIL)
    assert counts(said)[2:] == (1, 0, 0, 0)
    assert not counts(said)[1] & message.AUTHORITATIVE


SIXTY = [message.address_record(f"10.0.1.{number}", 1) for number in range(60)]


@pytest.mark.parametrize(("size", "limit", "records"), [(None, 512, 30), (4096, 1232, 60), (100, 512, 29)])
def test_too_many_records_are_cut_and_as_many_as_fit_are_there(size: int | None, limit: int, records: int) -> None:
    question = message.parse(ask("tasks.web", size=size))
    assert message.limit_of(question, udp=True) == limit
    said = message.compose(question, message.NOERROR, SIXTY, limit)
    assert len(said) <= limit
    assert counts(said)[3] == records
    assert bool(counts(said)[1] & message.TRUNCATED) == (records < 60) == message.is_truncated(said)
    assert counts(said)[5] == (size is not None)


def test_over_tcp_all_has_room() -> None:
    question = message.parse(ask("tasks.web"))
    assert counts(message.compose(question, 0, SIXTY * 20, message.limit_of(question, udp=False)))[3] == 1200


def test_an_unknown_version_of_edns_is_said_to_be_so() -> None:
    option = b"\0" + struct.pack("!HHIH", message.OPT, 1232, 1 << 16, 0)
    question = message.parse(ask("web", size=1232)[:-11] + option)
    assert question.version == 1
    said = message.compose(question, message.BADVERS)
    assert counts(said)[1] & message.RCODE == 0
    assert said[-6:-2] == b"\1\0\0\0"


def test_a_name_of_an_address_is_put_into_labels() -> None:
    assert message.packed_name("web.1.t1.mynet") == b"\3web\x011\2t1\5mynet\0"
    with pytest.raises(ValueError, match="too long"):
        message.packed_name("x" * 64)
    with pytest.raises(ValueError, match="too long"):
        message.packed_name(".".join(["x" * 60] * 5))


def question_of(name: str) -> Question:
    return message.parse(ask(name))


def test_only_the_answer_to_the_question_counts() -> None:
    question = question_of("example.com")
    good = message.compose(question, message.NOERROR)
    assert message.answers(good, 7, question)
    assert message.answers(good[:12] + good[12:].upper(), 7, question)
    assert not message.answers(good, 8, question)
    assert not message.answers(ask("example.com"), 7, question)
    assert not message.answers(message.compose(question_of("evil.com"), 0), 7, question)
    assert not message.answers(b"\0\7", 7, question)
    assert message.answers(message.refuse(7), 7, question)
    assert message.code_of(message.refuse(7)) == message.FORMERR
    assert message.with_ident(good, 513)[:2] == b"\2\1"
