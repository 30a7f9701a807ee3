# SPDX-License-Identifier: Apache-2.0
"""The library under the core: pinned to the byte, with no way to its pickles."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pysyncobj
import pysyncobj.syncobj
import pysyncobj.version
import pytest
from runtime.raft.kit import make

import queenright.edge.raft
from queenright.edge.raft import LibraryError
from queenright.edge.raft import core as core_module
from queenright.edge.raft.core import LIBRARY_VERSION, Committed, check_library, library_clock
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.members import Config, Member
from queenright.edge.raft.proposals import Proposal
from queenright.edge.raft.replica import Replica
from queenright.edge.raft.transport import MemberNode, Outbox
from queenright.edge.raft.wal import Wal
from queenright.edge.raft.wal_reader import create_wal
from queenright.wire.raft import RequestVote

ROOM = Path(queenright.edge.raft.__file__).parent


@pytest.fixture
def wal(tmp_path):
    wal = create_wal(Disk(), tmp_path / "log", Config((Member("m1"),)))
    yield wal
    wal.close()


def test_the_installed_library_is_the_one_the_overrides_were_written_for():
    check_library()
    assert pysyncobj.version.VERSION == LIBRARY_VERSION


def test_the_pin_in_the_requirements_is_the_same_version():
    requirements = (Path(__file__).parents[3] / "runtime" / "requirements.txt").read_text()
    assert re.search(rf"^pysyncobj=={re.escape(LIBRARY_VERSION)}\b", requirements, re.MULTILINE)


def test_a_library_that_was_changed_is_refused(tmp_path):
    changed = tmp_path / "syncobj.py"
    changed.write_bytes(Path(pysyncobj.syncobj.__file__).read_bytes() + b"\n")
    with pytest.raises(LibraryError, match=r"install pysyncobj==0\.3\.17"):
        check_library(changed)


async def test_a_log_does_not_start_over_another_library(tmp_path, monkeypatch):
    monkeypatch.setattr(core_module, "LIBRARY_SHA256", "0" * 64)
    with pytest.raises(LibraryError):
        await make(tmp_path / "raft").start()
    assert not (tmp_path / "raft").exists()


def test_every_overridden_private_method_is_in_core_and_exists_in_the_library():
    pattern = re.compile(r"(?:def |^    )(_SyncObj__\w+)(?:\(| = )", re.MULTILINE)
    found = {path.name: set(pattern.findall(path.read_text())) for path in ROOM.glob("*.py")}
    assert {name for name, methods in found.items() if methods} == {"core.py"}
    assert len(found["core.py"]) >= 6
    assert all(hasattr(pysyncobj.SyncObj, method) for method in found["core.py"])
    users = {path.name for path in ROOM.glob("*.py") if "_SyncObj__" in path.read_text()}
    assert users == {"core.py"}


def test_addresses_can_be_read_and_written_beside_the_library():
    assert socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, "fd00::1")) == "fd00::1"


class Refusals:
    """A proposal's way back: what it was told, with the reasons of the library."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def proposal(self, command: bytes, term: int | None = None) -> Proposal:
        future = asyncio.new_event_loop().create_future()
        return Proposal(command, term, future, lambda _, reason: self.heard.append(reason))


def replica(wal: Wal) -> Replica:
    return Replica("m1", wal, 0, clock=library_clock, dice=lambda: 0.5)


def test_the_places_that_unpickle_or_believe_unchecked_are_closed(wal):
    core = replica(wal)._core
    for name in ("doApplyCommand", "parseChangeClusterRequest", "loadDumpFile", "onMessageReceived"):
        with pytest.raises(RuntimeError, match="unsafe"):
            getattr(core, f"_SyncObj__{name}")(b"\x00")


def test_a_lone_member_leads_after_one_step_and_commits_its_own_entries_only_when_flushed(wal):
    lone, told = replica(wal), Refusals()
    lone.step()
    assert lone.status().is_leader
    assert lone.take_committed() == (Committed(2, 1, b"\x01", ()),)
    lone.flush()
    lone.intake.put([told.proposal(b"x")])
    lone.step()
    assert wal.last_index == 3
    lone.step()  # committed for the library, but not yet on disk
    assert lone.take_committed() == ()
    lone.flush()
    assert lone.unfinished()
    lone.step()
    (entry,) = lone.take_committed()
    assert (entry.index, entry.term, entry.command, len(entry.callbacks)) == (3, 1, b"\x00x", 1)
    lone.flush()
    assert not lone.unfinished()
    assert told.heard == []  # who applies the entry tells


def test_a_proposal_whose_place_another_leader_took_is_called_discarded(wal):
    lone, told = replica(wal), Refusals()
    lone.step()
    lone.flush()
    lone.take_committed()
    lone.intake.put([told.proposal(b"mine")])
    lone.step()
    wal.sync()
    wal.deleteEntriesFrom(2)
    wal.setCurrentTerm(5, None)
    wal.add(b"\x00theirs", 3, 5)
    wal.sync()
    lone._core.commit_to(3)
    lone._core.doTick(0)
    assert [(entry.command, entry.callbacks) for entry in lone.take_committed()] == [(b"\x00theirs", ())]
    assert told.heard == [pysyncobj.FAIL_REASON.DISCARDED]


def test_a_proposal_of_another_term_is_not_taken(wal):
    lone, told = replica(wal), Refusals()
    lone.step()
    lone.flush()
    lone.intake.put([told.proposal(b"x", term=7)])
    lone.step()
    assert told.heard == [pysyncobj.FAIL_REASON.NOT_LEADER]
    assert wal.last_index == 2


def test_a_member_that_does_not_lead_refuses_proposals(tmp_path):
    wal = create_wal(Disk(), tmp_path / "log", Config(), "m1")
    told = Refusals()
    waiting = replica(wal)
    waiting.intake.put([told.proposal(b"x")])
    waiting.step()
    assert told.heard == [pysyncobj.FAIL_REASON.NOT_LEADER]
    assert not waiting.status().is_leader
    wal.close()


def test_a_member_that_is_left_behind_does_not_begin_the_election_that_was_to_come(tmp_path):
    wal = create_wal(Disk(), tmp_path / "log", Config.of([Member("m1"), Member("m2")]), "m1")
    member = replica(wal)
    member._campaign(transfer=False)
    member.leave_behind()
    member.step()
    assert member.flush() == []
    assert wal.getCurrentTerm() == 0
    wal.close()


def test_the_library_sends_nothing_but_requests_for_votes():
    outbox = Outbox()
    transport = outbox.for_library()
    assert transport.ready
    request = {"type": "request_vote", "term": 3, "last_log_index": 5, "last_log_term": 2}
    assert transport.send(MemberNode("m2"), request)
    assert outbox.take_early() == []
    assert outbox.take_late() == [("m2", RequestVote(3, 5, 2))]
    with pytest.raises(RuntimeError, match="next_node_idx"):
        transport.send(MemberNode("m2"), {"type": "next_node_idx"})
    for method in (transport.addNode, transport.dropNode):
        with pytest.raises(RuntimeError, match="does not keep the members"):
            method(MemberNode("m2"))
    transport.destroy()
