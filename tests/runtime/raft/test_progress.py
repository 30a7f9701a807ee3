# SPDX-License-Identifier: Apache-2.0
"""What a leader knows of another member."""

from __future__ import annotations

from queenright.edge.raft.progress import WINDOW_BYTES, WINDOW_MESSAGES, Progress


def going(next_index: int = 10) -> Progress:
    progress = Progress(next_index)
    assert progress.accepted(next_index)
    return progress


def test_at_first_nothing_is_sent_before_it_is_known_where_the_logs_meet() -> None:
    progress = Progress(10)
    assert not progress.may_send()
    progress.accepted(10)
    assert progress.may_send()
    assert (progress.match, progress.next) == (9, 10)


def test_entries_follow_each_other_without_waiting_for_answers() -> None:
    progress = going()
    progress.sent(12, 100)
    progress.sent(15, 100)
    assert progress.next == 16
    assert progress.match == 9
    assert progress.accepted(16)
    assert progress.match == 15


def test_an_answer_never_moves_back_what_is_sent_next() -> None:
    progress = going()
    progress.sent(20, 100)
    progress.accepted(13)
    assert progress.next == 21
    assert not progress.accepted(11)
    assert progress.match == 12


def test_a_window_that_is_full_waits_for_answers() -> None:
    progress = going()
    progress.sent(10, WINDOW_BYTES)
    assert not progress.may_send()
    progress.accepted(11)
    assert progress.may_send()
    for index in range(11, 11 + WINDOW_MESSAGES):
        progress.sent(index, 1)
    assert not progress.may_send()


def test_a_refusal_begins_the_search_anew_and_forgets_what_is_under_way() -> None:
    progress = going()
    progress.sent(20, WINDOW_BYTES)
    assert progress.refused(10)
    assert not progress.may_send()
    progress.accepted(10)
    assert progress.next == 10
    assert progress.may_send()


def test_a_refusal_of_what_was_acknowledged_is_not_believed() -> None:
    progress = going()
    assert not progress.refused(5)
    assert not progress.refused(5)
    assert (progress.denials, progress.next) == (2, 10)
    progress.accepted(11)
    assert progress.denials == 0


def test_while_a_snapshot_is_under_way_no_entries_are_sent() -> None:
    progress = going()
    progress.snapshot_begins()
    assert not progress.may_send()
    progress.snapshot_ended(50)
    assert progress.probing
    assert progress.next == 51


def test_a_snapshot_that_did_not_arrive_leaves_all_as_it_was() -> None:
    progress = going()
    progress.snapshot_begins()
    progress.snapshot_ended(None)
    assert progress.next == 10
    assert progress.probing
