# SPDX-License-Identifier: Apache-2.0
"""Logs cross the wire as they are."""

from __future__ import annotations

import pytest

from queenright.model.logs import (
    LogLine,
    LogOptions,
    LogPosition,
    LogPublication,
    LogRead,
    LogReadRequest,
    LogSubscription,
    WantedLog,
)
from queenright.wire import logs
from queenright.wire.codec import CodecError

OPTIONS = LogOptions(follow=True, stdout=False, stderr=True, since=5, until=7, tail=0)


def test_lines_come_back_byte_for_byte() -> None:
    lines = [LogLine(1, 1, "", b"\xff\x00no text"), LogLine(1_700_000_000_000_000_001, 2, "a=b,c=d", b"x\n")]
    assert logs.unpack_lines(logs.pack_lines(lines)) == lines
    assert logs.unpack_lines(b"") == []


def test_bytes_that_are_no_lines_are_refused() -> None:
    with pytest.raises(CodecError, match="no lines"):
        logs.unpack_lines(b"\xff\xff\xff")


def test_what_is_wanted_comes_back() -> None:
    given = LogSubscription(id="s", options=OPTIONS, wanted=(WantedLog("t", 3, 4), WantedLog("u")))
    assert logs.read_subscription(logs.subscription_message(given)) == given
    over = LogSubscription(id="s", over=True)
    assert logs.read_subscription(logs.subscription_message(over)).over


def test_what_is_asked_comes_back_with_its_positions() -> None:
    given = LogReadRequest(
        service_ids=("a",),
        task_ids=("b", "c"),
        options=OPTIONS,
        positions=(LogPosition("b", 8), LogPosition("c", 0, True)),
        began=9,
    )
    assert logs.read_read_request(logs.read_request_message(given)) == given


def test_what_is_given_comes_back() -> None:
    published = LogPublication(task_id="t", lines=b"x", done=True, error="e")
    assert logs.read_publication(logs.publication_message(published)) == published
    read = LogRead(task_id="t", node_id="n", service_id="s", lines=b"l", done=True, missing="m", again=True)
    assert logs.read_read(logs.read_message(read)) == read
