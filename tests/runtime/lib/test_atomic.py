# SPDX-License-Identifier: Apache-2.0
"""Files and directories that are wholly there or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from queenright.lib import atomic


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_for_its_owner_only_whatever_the_umask(tmp_path):
    for umask in (0o000, 0o777):
        before = os.umask(umask)
        try:
            atomic.replace_file(tmp_path / "key", b"secret")
        finally:
            os.umask(before)
        assert mode(tmp_path / "key") == 0o600
    assert (tmp_path / "key").read_bytes() == b"secret"


def test_a_mode_can_be_given(tmp_path):
    atomic.replace_file(tmp_path / "ca.pem", b"public", mode=0o644)
    assert mode(tmp_path / "ca.pem") == 0o644


def test_a_replaced_file_has_the_new_content_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "file"
    atomic.replace_file(path, b"old and long")
    atomic.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_when_the_disk_fails_the_old_content_stays_and_nothing_is_left_beside_it(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    atomic.replace_file(path, b"old")

    def fail(*args):
        raise OSError("no space")

    monkeypatch.setattr(atomic.os, step, fail)
    with pytest.raises(OSError, match="no space"):
        atomic.replace_file(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_flushed_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    order = []
    fsync, rename = os.fsync, type(tmp_path).rename

    def note_fsync(fd):
        order.append("directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def note_rename(self, target):
        order.append("rename")
        return rename(self, target)

    monkeypatch.setattr(atomic.os, "fsync", note_fsync)
    monkeypatch.setattr(type(tmp_path), "rename", note_rename)
    atomic.replace_file(tmp_path / "file", b"x")
    assert order == ["file", "rename", "directory"]


def test_a_left_over_temporary_file_is_no_obstacle_and_a_link_there_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / ".file.new").symlink_to(victim)
    atomic.replace_file(tmp_path / "file", b"x")
    assert victim.read_bytes() == b"untouched"
    assert (tmp_path / "file").read_bytes() == b"x"
    assert not (tmp_path / "file").is_symlink()


def test_short_writes_are_carried_on(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(atomic.os, "write", lambda fd, data: write(fd, data[:3]))
    atomic.replace_file(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_private_directory_is_made_with_its_parents_and_is_for_its_owner_only(tmp_path):
    path = tmp_path / "a" / "b" / "c"
    atomic.private_directory(path)
    assert [mode(each) for each in (path, path.parent, path.parent.parent)] == [0o700] * 3
    atomic.private_directory(path)


def test_an_open_directory_is_tightened_but_not_its_parent(tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "state"
    path.mkdir(mode=0o755)
    atomic.private_directory(path)
    assert (mode(path), mode(tmp_path)) == (0o700, 0o755)


def test_a_directory_reached_by_a_link_is_fine(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "there")
    atomic.private_directory(tmp_path / "here")
    assert mode(tmp_path / "there") == 0o700


def test_a_file_in_the_place_of_a_directory_is_an_error_with_its_name(tmp_path):
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="state is not a directory"):
        atomic.private_directory(tmp_path / "state")


def test_a_removed_file_is_gone_and_a_missing_one_is_fine(tmp_path):
    atomic.replace_file(tmp_path / "file", b"x")
    atomic.remove_file(tmp_path / "file")
    atomic.remove_file(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_shredded_file_is_overwritten_before_it_goes(tmp_path):
    path, other = tmp_path / "key", tmp_path / "other"
    atomic.replace_file(path, b"secret")
    os.link(path, other)
    atomic.shred_file(path)
    assert not path.exists()
    assert other.read_bytes() == bytes(6)
    atomic.shred_file(path)
    path.symlink_to(other)
    other.write_bytes(b"not mine")
    atomic.shred_file(path)
    assert (path.is_symlink(), other.read_bytes()) == (False, b"not mine"), "a link is removed, what it leads to stays"
