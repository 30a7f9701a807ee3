# SPDX-License-Identifier: Apache-2.0
"""PySyncObj as it comes guesses who belongs to the group. Counterpart of ``test_member_defects.py``."""

from __future__ import annotations

from pathlib import Path

from pysyncobj import FAIL_REASON
from pysyncobj.node import Node

from sim.clock import Clock
from sim.stock import StockGroup, StockMember, Wire


def test_stock_takes_several_changes_of_members_at_once(clock: Clock) -> None:
    group = StockGroup(clock, dynamicMembershipChange=True)
    leader, (first, second) = group.elect()
    leader.removeNodeFromCluster(first.selfNode)
    leader.removeNodeFromCluster(second.selfNode)
    leader.addNodeToCluster(Node("Z"))
    leader.doTick(0)
    assert {node.id for node in leader.otherNodes} == {"Z"}  # and nobody has answered anything


def test_stock_stops_when_a_member_that_is_not_there_is_added(clock: Clock) -> None:
    group = StockGroup(clock, "A", dynamicMembershipChange=True)
    leader, _ = group.elect()
    leader.addNodeToCluster(Node("B"))
    leader.write("blocked")
    group.run(5)
    assert not leader.acknowledged


def test_stock_cannot_remove_its_leader(clock: Clock) -> None:
    group = StockGroup(clock, dynamicMembershipChange=True)
    leader, _ = group.elect()
    answers: list[int] = []
    leader.removeNodeFromCluster(leader.selfNode, callback=lambda _result, reason: answers.append(reason))
    group.run(1)
    assert answers == [FAIL_REASON.REQUEST_DENIED]


def test_stock_acknowledges_writes_of_a_member_that_forgot_the_others(tmp_path: Path, clock: Clock) -> None:
    group, wire = _grown(tmp_path, clock)
    founder = group["A"]
    wire.isolate("A")
    founder.write("ghost")
    _run(clock, wire, 0.1, founder)
    assert "ghost" not in founder.acknowledged

    restarted = StockMember(wire, "A", [], dynamicMembershipChange=True, journalFile=str(tmp_path / "A"))
    for queue in wire.under_way.values():
        queue.clear()
    clock.advance(2.0)
    _run(clock, wire, 0.1, restarted)
    assert "ghost" in restarted.data  # alone, in a group of three

    rest = [group["B"], group["C"]]
    _run(clock, wire, 6.0, *rest)
    next(member for member in rest if member.leads).write("theirs")
    _run(clock, wire, 1.0, *rest)
    wire.link("A", "B")
    wire.link("A", "C")
    _run(clock, wire, 8.0, restarted, *rest)
    assert "ghost" in restarted.data
    assert all("ghost" not in member.data for member in rest)


def _grown(tmp_path: Path, clock: Clock) -> tuple[dict[str, StockMember], Wire]:
    """A founder on disk that took in two others."""
    wire = Wire()
    options = {"dynamicMembershipChange": True}
    founder = StockMember(wire, "A", [], journalFile=str(tmp_path / "A"), **options)
    group = {"A": founder}
    _run(clock, wire, 3.0, founder)
    founder.peek("raftLog").onOneSecondTimer = lambda: None  # all this happens within one second
    for name, known in (("B", "A"), ("C", "AB")):
        group[name] = StockMember(wire, name, list(known), **options)
        founder.addNodeToCluster(Node(name))
        founder.doTick(0)
        wire.link("A", name)
        _run(clock, wire, 0.3, *group.values())
    wire.link("B", "C")
    founder.write("key")
    _run(clock, wire, 0.3, *group.values())
    return group, wire


def _run(clock: Clock, wire: Wire, seconds: float, *members: StockMember) -> None:
    end = clock.now + seconds
    while clock.now < end:
        clock.advance(0.02)
        for member in members:
            member.doTick(0)
        wire.deliver()
