# SPDX-License-Identifier: Apache-2.0
"""PySyncObj as it comes votes twice, counts strangers, and lets anybody depose a leader. Counterpart of
``test_vote_defects.py``."""

from __future__ import annotations

from pathlib import Path

from sim.clock import Clock
from sim.stock import StockGroup, StockMember, Wire


def candidate(clock: Clock, names: str) -> StockMember:
    """A member that has just asked all others for their votes."""
    group = StockGroup(clock, names)
    member = group.members["A"]
    member.poke("raftElectionDeadline", 0.0)
    member.doTick(0)
    assert member.peek("votesCount") == 1
    return member


def test_stock_counts_the_same_vote_twice(clock: Clock) -> None:
    member = candidate(clock, "ABCDE")
    for _ in range(2):
        member.receive("B", type="response_vote", term=member.raftCurrentTerm)
    assert member.leads


def test_stock_counts_the_votes_of_whoever_connects(clock: Clock) -> None:
    member = candidate(clock, "ABC")
    member.receive("a read-only client", type="response_vote", term=member.raftCurrentTerm)
    assert member.leads


def test_stock_forgets_its_vote_and_votes_again_in_the_same_term(tmp_path: Path, clock: Clock) -> None:
    name = str(tmp_path / "journal")
    request = {"type": "request_vote", "term": 5, "last_log_index": 9, "last_log_term": 4}

    def member() -> tuple[StockMember, Wire]:
        wire = Wire()
        return StockMember(wire, "A", ["B", "C"], journalFile=name), wire

    first, wire = member()
    first.receive("B", **request)
    assert [message["type"] for message in wire.under_way["A", "B"]] == ["response_vote"]
    Path(name + ".meta").write_bytes(b"")  # it was never flushed: this is what a power cut leaves

    again, wire = member()
    again.receive("C", **request)
    assert [message["type"] for message in wire.under_way["A", "C"]] == ["response_vote"]


def test_stock_lets_a_member_that_was_away_depose_a_healthy_leader(clock: Clock) -> None:
    group = StockGroup(clock)
    leader, (away, other) = group.elect()
    term = leader.raftCurrentTerm
    group.wire.cut(leader.name, away.name)  # it still reaches the third member, which hears the leader
    group.run(5)
    assert leader.leads
    assert away.leads
    assert other.raftCurrentTerm > term


def test_stock_leads_on_after_everybody_else_has_a_new_leader(clock: Clock) -> None:
    group = StockGroup(clock)
    leader, others = group.elect()
    leader.write("key", value="old")
    group.run(0.5)
    group.wire.isolate(leader.name)
    group.run(5)
    new = next(member for member in others if member.leads)
    new.write("key", value="new")
    group.run(1)
    assert leader.leads
    assert new.acknowledged == {"key"}
    assert leader.data["key"] == "old"  # a read that it answers now is stale
