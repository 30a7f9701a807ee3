# SPDX-License-Identifier: Apache-2.0
"""The simulation has teeth: with a fault planted in the members, some schedule of the first few shows it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from pysyncobj import SyncObjConf

from queenright.edge.raft import core, following, leader, replica
from queenright.edge.raft.reads import Reads
from queenright.edge.raft.wal import Wal
from queenright.wire.raft import AppendAnswer, AppendEntries
from sim.disk import FaultyDisk
from sim.schedule import Step, play

Plan = list[Step]


def found(plans: Iterable[tuple[Plan, str]]) -> str:
    """What the judge says to the first schedule that shows the fault; empty if none does."""
    for seed, (plan, names) in enumerate(plans):
        try:
            play(seed, plan, names)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


def plans(*kinds: str, count: int = 30) -> list[tuple[Plan, str]]:
    """Schedules of these faults, one after the other, with everything that makes them matter in between."""
    made = []
    for number in range(count):
        plan = [
            Step(kind, (number + 3 * place) % 10, (37 * number + 11 * place) % 100) for place, kind in enumerate(kinds)
        ]
        made.append((plan, "abc" if number % 2 else "abcde"))
    return made


def test_without_a_planted_fault_nothing_is_found() -> None:
    assert found(plans("burst", "isolate", "kill all", "heal", "burst", "kill all", count=6)) == ""


def test_a_disk_that_lies_about_flushes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultyDisk, "sync", lambda self, fd: None)
    assert found(plans("burst", "kill all", "burst", "kill all", "burst", "kill all"))


def test_votes_that_are_given_twice_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "grants", lambda voter, candidate, request: request.term >= voter.term)
    assert found(plans("weather", "isolate", "kill", "heal", "start all", "split", "heal", "kill all"))


def test_votes_for_those_who_lack_entries_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(voter: replica.Voter, candidate: str, request: object) -> bool:
        return real(voter.__class__(voter.term, voter.voted_for, 0, 0, voter.led), candidate, request)

    real = replica.grants
    monkeypatch.setattr(replica, "grants", blind)
    assert "committed" in found(
        plans("isolate", "burst", "kill", "heal", "start all", "split", "burst", "kill", "heal")
    )


def test_entries_that_are_cut_off_without_a_conflict_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def eager(wal: Wal, message: AppendEntries, commit_index: int) -> following.Taken:
        keep = message.previous_index - wal.first_index + 1
        if message.entries and 0 < keep < len(wal) and wal.contains(message.previous_index, message.previous_term):
            wal.deleteEntriesFrom(keep)
        return real(wal, message, commit_index)

    real = following.append
    monkeypatch.setattr(following, "append", eager)
    assert found(plans("weather", "burst", "burst", "kill", "weather", "burst", "kill", "start all", "heal"))


def test_a_majority_that_is_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(count: int, others: int) -> bool:
        return 2 * count >= others + 1

    monkeypatch.setattr(replica, "majority", half)
    monkeypatch.setattr(core, "majority", half)
    even = [(plan, "abcd") for plan, _ in plans("split", "burst", "wait", "heal", "split", "burst", "heal")]
    assert found(even)


def test_reads_without_a_majority_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a leader that does not step down either: that alone keeps most stale reads away."""

    def at_once(self: Reads, contexts: Iterable[int], others: int) -> list[tuple[int, int]]:
        return confirmed(self, [self.context] * others, others)

    def steadfast() -> SyncObjConf:
        settings = configuration()
        settings.leaderFallbackTimeout = 10**6
        return settings

    confirmed, configuration = Reads.confirmed, core._configuration
    isolated = [([Step("isolate", 9, 99), Step("wait", 0, 99), Step("burst", 0, 99)], "abc")] * 10
    assert found(isolated) == ""
    monkeypatch.setattr(core, "_configuration", steadfast)
    assert found(isolated) == ""
    monkeypatch.setattr(Reads, "confirmed", at_once)
    assert "lies within" in found(isolated)


def test_acknowledgements_of_earlier_terms_are_found_to_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counterpart: what a leader hears of an earlier term changes nothing, whatever it says."""
    real = replica.Replica._on_append_answer

    def echoing(self: replica.Replica, sender: str, answer: AppendAnswer) -> None:
        real(self, sender, AppendAnswer(max(0, answer.term - 1), True, self.wal.last_index + 1, answer.context))
        real(self, sender, answer)

    monkeypatch.setattr(replica.Replica, "_on_append_answer", echoing)
    assert found(plans("isolate", "burst", "kill", "heal", "start all", count=6)) == ""


def test_several_changes_of_members_at_once_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader.Leader, "change_refusal", lambda self, config: None)
    both = [
        (plan, "abcde") for plan, _ in plans("isolate", "remove", "remove", "heal", "split", "remove", "burst", "heal")
    ]
    assert found(both)
