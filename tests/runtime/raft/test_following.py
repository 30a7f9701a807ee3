# SPDX-License-Identifier: Apache-2.0
"""What a follower does with what the leader sends. Entries are written as their terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queenright.edge.raft import Disk, InconsistentError, Member
from queenright.edge.raft.following import append
from queenright.edge.raft.members import Config
from queenright.edge.raft.wal import Wal
from queenright.edge.raft.wal_reader import create_wal
from queenright.wire.raft import AppendEntries, Entry

Make = Callable[..., Wal]


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Make]:
    """A log whose entries from 2 on have these terms."""
    made: list[Wal] = []

    def make(*terms: int) -> Wal:
        wal = create_wal(Disk(), tmp_path / f"log{len(made)}", Config((Member("m1"),)))
        wal.setCurrentTerm(9, None)
        for index, term in enumerate(terms, start=2):
            wal.add(command(index, term), index, term)
        wal.sync()
        made.append(wal)
        return wal

    yield make
    for wal in made:
        wal.close()


def command(index: int, term: int) -> bytes:
    return b"\x00" + f"{index}/{term}".encode()


def sent(previous: int, previous_term: int, *terms: int) -> AppendEntries:
    entries = (Entry(command(index, term), index, term) for index, term in enumerate(terms, start=previous + 1))
    return AppendEntries(9, 0, previous, previous_term, tuple(entries))


def terms(wal: Wal) -> list[int]:
    return [wal.term_of(index) for index in range(2, wal.last_index + 1)]


def test_entries_that_follow_are_appended(holding: Make) -> None:
    wal = holding(1, 1)
    taken = append(wal, sent(3, 1, 1, 2), 1)
    assert (taken.success, taken.next_index, taken.cut) == (True, 6, 0)
    assert terms(wal) == [1, 1, 1, 2]


def test_what_is_there_already_is_not_touched_nor_what_comes_after_it(holding: Make) -> None:
    wal = holding(1, 1, 2, 2)
    taken = append(wal, sent(1, 0, 1, 1), 1)
    assert (taken.success, taken.next_index, taken.cut) == (True, 4, 0)
    assert terms(wal) == [1, 1, 2, 2]


def test_only_what_differs_is_cut(holding: Make) -> None:
    wal = holding(1, 1, 2, 2)
    taken = append(wal, sent(2, 1, 1, 3), 2)
    assert (taken.success, taken.next_index, taken.cut) == (True, 5, 4)
    assert terms(wal) == [1, 1, 3]


def test_a_sign_of_life_says_only_that_the_logs_meet_there(holding: Make) -> None:
    wal = holding(1, 1, 2)
    assert append(wal, sent(3, 1), 1).next_index == 4
    assert terms(wal) == [1, 1, 2]


def test_a_gap_is_refused_with_the_place_to_go_on(holding: Make) -> None:
    wal = holding(1, 1)
    taken = append(wal, sent(9, 1, 2), 1)
    assert (taken.success, taken.next_index) == (False, 4)


def test_another_history_is_refused_a_whole_term_at_once(holding: Make) -> None:
    wal = holding(1, 2, 2, 2)
    taken = append(wal, sent(5, 4, 4), 1)
    assert (taken.success, taken.next_index) == (False, 3)
    assert terms(wal) == [1, 2, 2, 2]


def test_the_search_never_goes_behind_what_is_committed(holding: Make) -> None:
    wal = holding(1, 2, 2, 2)
    assert append(wal, sent(5, 4, 4), 3).next_index == 4


def test_a_committed_entry_is_never_cut(holding: Make) -> None:
    wal = holding(1, 1, 2)
    with pytest.raises(InconsistentError, match="another entry 4"):
        append(wal, sent(3, 1, 3), 4)
    assert terms(wal) == [1, 1, 2]


def test_entries_before_the_first_one_that_is_kept_are_passed_over(holding: Make) -> None:
    wal = holding(1, 1, 1, 1)
    wal.compact(4)
    assert append(wal, sent(1, 0, 1, 1), 5).next_index == 5
    taken = append(wal, sent(2, 1, 1, 1, 1, 2), 5)
    assert (taken.success, taken.next_index) == (True, 7)
    assert [wal.term_of(index) for index in range(4, 7)] == [1, 1, 2]
