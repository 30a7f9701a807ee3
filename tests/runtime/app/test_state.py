# SPDX-License-Identifier: Apache-2.0
"""The membership on disk: whole, checked, and gone after a wipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from queenright.app.state import MemberState, StateError, StateFile

MEMBER = MemberState(
    node_id="n1",
    cluster_id="c1",
    role="worker",
    listen_addr="0.0.0.0:2377",
    advertise_addr="10.0.0.1:2377",
    managers=(("m1", "10.0.0.2:2377"),),
)


def test_no_file_is_no_membership(tmp_path: Path) -> None:
    assert StateFile(tmp_path).load() is None


def test_a_membership_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.save(MEMBER)
    assert file.load() == MEMBER
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.save(MEMBER)
    data = json.loads(file.path.read_text())
    file.path.write_text(json.dumps({**data, "format": 99}))
    with pytest.raises(StateError, match="has format 99, this version knows 1: start the newer version again"):
        file.load()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"magic": "queenright-state", "format": 1}'])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    file = StateFile(tmp_path)
    file.path.write_text(text)
    with pytest.raises(StateError, match=r"state\.json"):
        file.load()


def test_a_wipe_leaves_nothing_of_the_membership(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.save(MEMBER)
    for name in ("raft", "certificates"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("x")
    for name in ("tasks.db", "tasks.db-wal"):
        (tmp_path / name).write_text("x")
    (tmp_path / "lock").write_text("")
    file.wipe()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_file_of_the_first_release_is_of_a_manager_whose_log_must_be_there(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.save(MEMBER)
    old = json.loads(file.path.read_text())
    for name in ("fresh", "role_version", "forcing"):
        del old[name]
    file.path.write_text(json.dumps({**old, "removed": False}))
    found = file.load()
    assert found == MEMBER
    assert not found.fresh and not found.forcing


def test_a_cleared_log_is_gone_and_clearing_nothing_is_fine(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.clear_log()
    file.log_directory.mkdir()
    (file.log_directory / "log").write_text("entries")
    file.clear_log()
    assert not file.log_directory.exists()
