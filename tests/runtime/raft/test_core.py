# SPDX-License-Identifier: Apache-2.0
"""The library under the core: pinned to the byte, with no way to its pickles."""

from __future__ import annotations

import re
from pathlib import Path

import pysyncobj
import pysyncobj.syncobj
import pysyncobj.version
import pytest
from runtime.raft.kit import make

import queenright.edge.raft
from queenright.edge.raft import LibraryError
from queenright.edge.raft import core as core_module
from queenright.edge.raft.core import LIBRARY_VERSION, Committed, Core, check_library
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.transport import MemberNode, NoPeers
from queenright.edge.raft.wal_reader import create_wal

ROOM = Path(queenright.edge.raft.__file__).parent


@pytest.fixture
def wal(tmp_path):
    wal = create_wal(Disk(), tmp_path / "log", "m1")
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


def test_the_places_that_unpickle_are_closed(wal):
    core = Core("m1", wal, 0)
    for name in ("doApplyCommand", "parseChangeClusterRequest", "loadDumpFile"):
        with pytest.raises(RuntimeError, match="pickle"):
            getattr(core, f"_SyncObj__{name}")(b"\x00")


def test_a_lone_member_leads_after_one_tick_and_commits_its_own_entries_only_when_flushed(wal):
    core = Core("m1", wal, 0)
    core.doTick(0)
    assert core._isLeader()
    assert core.take_committed() == (Committed(2, 1, b"\x01", ()),)
    heard = []
    core.propose(b"x", lambda result, reason: heard.append(reason))
    core.doTick(0)
    assert wal.last_index == 3
    core.doTick(0)  # committed for the library, but not yet on disk
    assert core.take_committed() == ()
    assert core.unfinished()
    wal.sync()
    core.doTick(0)
    (entry,) = core.take_committed()
    assert (entry.index, entry.term, entry.command, len(entry.callbacks)) == (3, 1, b"\x00x", 1)
    assert not core.unfinished()
    assert heard == []  # who applies the entry tells


def test_a_proposal_whose_place_another_leader_took_is_called_discarded(wal):
    core = Core("m1", wal, 0)
    core.doTick(0)
    core.take_committed()
    heard = []
    core.propose(b"mine", lambda result, reason: heard.append(reason))
    core.doTick(0)
    wal.sync()
    wal.deleteEntriesFrom(2)
    wal.setCurrentTerm(5, None)
    wal.add(b"\x00theirs", 3, 5)
    wal.sync()
    core._SyncObj__raftCommitIndex = 3
    core.doTick(0)
    assert [(entry.command, entry.callbacks) for entry in core.take_committed()] == [(b"\x00theirs", ())]
    assert heard == [pysyncobj.FAIL_REASON.DISCARDED]


def test_a_member_that_does_not_lead_refuses_proposals(wal):
    core = Core("m1", wal, 0)
    heard = []
    core.propose(b"x", lambda result, reason: heard.append((result, reason)))
    core._SyncObj__raftElectionDeadline = float("inf")
    core.doTick(0)
    assert heard == [(None, pysyncobj.FAIL_REASON.MISSING_LEADER)]


def test_the_transport_of_a_group_of_one_reaches_nobody():
    transport = NoPeers(None, MemberNode("m1"), set())
    assert transport.ready
    assert transport.send(MemberNode("m2"), {"type": "request_vote"}) is False
    transport.flush()
    transport.dropNode(MemberNode("m2"))
    transport.destroy()
    with pytest.raises(ValueError, match="m2"):
        transport.addNode(MemberNode("m2"))
    with pytest.raises(ValueError, match="no other members"):
        NoPeers(None, MemberNode("m1"), {MemberNode("m2")})
