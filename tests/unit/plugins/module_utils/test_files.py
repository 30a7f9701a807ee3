# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the installation owns."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils._files import Files, replace


def mode(path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_new_file_gets_its_folders_content_and_mode(tmp_path):
    path, files = tmp_path / "a/b/c.conf", Files(check=False)
    assert files.write(str(path), "x = 1\n", 0o640)
    assert path.read_text() == "x = 1\n"
    assert mode(path) == 0o640
    assert files.diffs == [{"before_header": str(path), "after_header": str(path), "before": "", "after": "x = 1\n"}]


def test_a_file_that_is_as_wanted_is_no_change_and_keeps_its_inode(tmp_path):
    path = tmp_path / "c.conf"
    assert Files(check=False).write(str(path), "same", 0o644)
    inode = path.stat().st_ino
    again = Files(check=False)
    assert not again.write(str(path), "same", 0o644)
    assert again.diffs == []
    assert path.stat().st_ino == inode


def test_a_wrong_mode_alone_is_a_change_without_a_difference_in_text(tmp_path):
    path = tmp_path / "c.conf"
    path.write_text("same")
    path.chmod(0o666)
    files = Files(check=False)
    assert files.write(str(path), "same", 0o600)
    assert mode(path) == 0o600
    assert files.diffs == []


def test_check_mode_says_the_same_and_touches_nothing(tmp_path):
    path = tmp_path / "sub/c.conf"
    files = Files(check=True)
    assert files.write(str(path), "new", 0o600)
    assert not path.parent.exists()
    there = tmp_path / "there"
    there.write_text("old")
    assert files.remove(str(there))
    assert there.read_text() == "old"
    assert [one["after"] for one in files.diffs] == ["new", ""]


def test_a_removed_file_is_gone_and_one_that_never_was_is_no_change(tmp_path):
    path = tmp_path / "there"
    path.write_text("old")
    files = Files(check=False)
    assert files.remove(str(path))
    assert not files.remove(str(path))
    assert not path.exists()


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "c.conf"
    victim.write_text("precious")
    os.symlink(victim, tmp_path / "c.conf.new")
    with pytest.raises(OSError):
        replace(str(path), "text", 0o600)
    assert victim.read_text() == "precious"
