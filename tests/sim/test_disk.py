# SPDX-License-Identifier: Apache-2.0
"""The faulty disk keeps exactly what a real one must: what was flushed, and names whose directory was flushed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from sim.disk import FaultyDisk, PowerCutError


def create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_flushed_stays_and_the_rest_is_torn(tmp_path: Path, seed: int) -> None:
    disk = FaultyDisk(tmp_path, random.Random(seed))
    fd = create(tmp_path / "file")
    disk.write(fd, b"a" * 1000)
    disk.sync(fd)
    disk.write(fd, b"b" * 3000)
    os.close(fd)
    disk.power_cut()
    content = (tmp_path / "file").read_bytes()
    assert content[:1000] == b"a" * 1000
    assert len(content) <= 4000
    assert set(content[1000:]) <= set(b"b\0")


def test_the_dice_reach_every_end(tmp_path: Path) -> None:
    lengths, zeroed = set(), False
    for seed in range(40):
        path = tmp_path / str(seed)
        path.mkdir()
        disk = FaultyDisk(path, random.Random(seed))
        fd = create(path / "file")
        disk.write(fd, b"b" * 2000)
        os.close(fd)
        disk.power_cut()
        content = (path / "file").read_bytes()
        lengths.add(len(content))
        zeroed = zeroed or b"\0" in content
    assert len(lengths) > 20
    assert zeroed


def test_a_rename_counts_when_its_directory_was_flushed(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path, random.Random(1))
    (tmp_path / "file").write_bytes(b"old")
    disk.power_on()
    fd = create(tmp_path / "new")
    disk.write(fd, b"new")
    disk.sync(fd)
    os.close(fd)
    disk.publish(tmp_path / "new", tmp_path / "file")
    disk.power_cut()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_power_cut_in_the_middle_of_a_rename_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    seen = set()
    for seed in range(40):
        path = tmp_path / str(seed)
        path.mkdir()
        (path / "file").write_bytes(b"old")
        disk = FaultyDisk(path, random.Random(seed))
        disk.power_on()
        fd = create(path / "new")
        disk.write(fd, b"new")
        disk.sync(fd)
        os.close(fd)
        disk.cut_after = 2  # the rename itself is done
        with pytest.raises(PowerCutError):
            disk.publish(path / "new", path / "file")
        disk.power_cut()
        seen.add((path / "file").read_bytes())
    assert seen == {b"old", b"new"}
