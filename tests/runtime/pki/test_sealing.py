# SPDX-License-Identifier: Apache-2.0
"""Sealed blocks open where they were sealed and nowhere else, and the keys are kept as they must be."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import threading

import pytest

from queenright.edge.pki.data_keys import DataKeys, KeyFile
from queenright.edge.pki.errors import KeyStoreError
from queenright.edge.pki.sealing import RecordSealer

BLOCK = b"the bees know the way home"


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "raft.key"


def sealer(path: pathlib.Path, holder: str = "n1") -> RecordSealer:
    return RecordSealer(KeyFile(path), holder, os.urandom)


def test_a_block_opens_at_its_place_also_after_a_restart(path: pathlib.Path) -> None:
    seal = sealer(path).new("log")
    sealed = seal.close(BLOCK, b"at 100")
    assert seal.open(sealed, b"at 100") == BLOCK
    assert BLOCK not in sealed
    assert len(sealed) == len(BLOCK) + seal.overhead
    again = sealer(path).find("log", seal.label)
    assert again.open(sealed, b"at 100") == BLOCK
    assert again.current


def test_a_block_opens_nowhere_else(path: pathlib.Path) -> None:
    one = sealer(path)
    seal = one.new("log")
    sealed = seal.close(BLOCK, b"at 100")
    assert seal.open(sealed, b"at 101") is None
    assert one.new("log").open(sealed, b"at 100") is None, "another file"
    assert one.find("snapshot", seal.label).open(sealed, b"at 100") is None, "another purpose"
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert seal.open(changed, b"at 100") is None
    for length in range(len(sealed)):
        assert seal.open(sealed[:length], b"at 100") is None


def test_no_nonce_comes_twice_not_even_in_a_file_that_is_opened_again(path: pathlib.Path) -> None:
    label = sealer(path).new("log").label
    seen = set()
    for _ in range(50):
        seal = sealer(path).find("log", label)
        seen |= {seal.close(b"", b"")[:12] for _ in range(100)}
    assert len(seen) == 5000


def test_a_counter_that_is_used_up_goes_on_with_another_prefix(path: pathlib.Path) -> None:
    seal = sealer(path).new("log")
    seal.close(b"", b"")
    seal._count = 2**32 - 1
    last, first = seal.close(b"", b"")[:12], seal.close(b"", b"")[:12]
    assert last[8:] == b"\xff" * 4 and first[8:] == bytes(4)
    assert last[:8] != first[:8]


def test_the_key_is_made_once_and_only_its_owner_may_read_it(path: pathlib.Path) -> None:
    one = sealer(path)
    assert not path.exists()
    one.new("log")
    content = path.read_bytes()
    one.new("snapshot")
    sealer(path).new("log")
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_threads_that_begin_at_once_make_one_key(path: pathlib.Path) -> None:
    one = sealer(path)
    labels: list[bytes] = []
    start = threading.Barrier(8)

    def begin() -> None:
        start.wait(60)
        labels.append(one.new("log").label)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({label[1:9] for label in labels}) == 1
    assert len(set(labels)) == 8, "each file has a salt of its own"
    keys = KeyFile(path).load()
    assert keys is not None and len(keys.keys) == 1


def test_a_sealed_file_whose_key_is_gone_gets_no_new_key(path: pathlib.Path) -> None:
    label = sealer(path).new("log").label
    path.unlink()
    with pytest.raises(KeyStoreError, match=r"is sealed with key [0-9a-f]{16}, but .*raft\.key is missing: restore it"):
        sealer(path).find("log", label)
    assert not path.exists()


def test_another_key_and_another_node_are_told_apart(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    label = sealer(path).new("log").label
    other = sealer(tmp_path / "other.key")
    other.new("log")
    with pytest.raises(KeyStoreError, match=r"is sealed with key [0-9a-f]{16}, but .*other\.key holds another one"):
        other.find("log", label)
    with pytest.raises(KeyStoreError, match="was sealed for another node than n2"):
        sealer(path, "n2").find("log", label)


@pytest.mark.parametrize(
    ("label", "words"), [(b"", "newer release"), (b"\x02" + bytes(40), "newer release"), (b"\x01", "does not say")]
)
def test_a_label_of_another_kind_is_refused(path: pathlib.Path, label: bytes, words: str) -> None:
    sealer(path).new("log")
    with pytest.raises(KeyStoreError, match=words):
        sealer(path).find("log", label)


def test_after_a_rotation_the_old_key_still_opens_and_no_longer_counts_as_current(path: pathlib.Path) -> None:
    one = sealer(path)
    old = one.new("log")
    sealed = old.close(BLOCK, b"")
    assert old.current
    one.rotate()
    assert not old.current
    new = one.new("log")
    assert new.current and new.label[1:9] != old.label[1:9]
    again = sealer(path)
    assert again.find("log", old.label).open(sealed, b"") == BLOCK
    assert not again.find("log", old.label).current
    assert again.find("log", new.label).current
    KeyFile(path).keep_current()
    with pytest.raises(KeyStoreError, match="holds another one"):
        sealer(path).find("log", old.label)
    assert sealer(path).find("log", new.label).current


# The file of the keys.


def test_keys_come_back_the_newest_first(path: pathlib.Path) -> None:
    file = KeyFile(path)
    assert file.load() is None
    file.add(b"a" * 32)
    file.add(b"b" * 32)
    keys = KeyFile(path).load()
    assert keys == DataKeys((b"b" * 32, b"a" * 32))
    assert keys is not None and keys.find(DataKeys.id_of(b"a" * 32)) == b"a" * 32
    assert keys.find(bytes(8)) is None
    assert "bbbb" not in repr(keys)


def test_a_damaged_file_of_keys_is_refused_at_every_byte_and_left_alone(path: pathlib.Path) -> None:
    KeyFile(path).add(b"a" * 32)
    content = path.read_bytes()
    refused = 0
    for at in range(len(content)):
        damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        path.write_bytes(damaged)
        try:
            keys = KeyFile(path).load()
        except KeyStoreError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert keys == DataKeys((b"a" * 32,)), "a change of white space only"
        assert path.read_bytes() == damaged
    assert refused > len(content) * 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"magic": "other"}, "is no file of keys"),
        ({"format": 3}, "format 3, this release knows 2"),
        ({"keys": ""}, "is damaged"),
        ({"keys": "AAAA"}, "is damaged"),
        ({"check": None}, "is damaged"),
    ],
)
def test_a_file_of_another_kind_is_refused(path: pathlib.Path, change: dict[str, object], words: str) -> None:
    KeyFile(path).add(b"a" * 32)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(KeyStoreError, match=words):
        KeyFile(path).load()


def test_a_file_that_others_may_read_and_a_link_are_refused(path: pathlib.Path) -> None:
    KeyFile(path).add(b"a" * 32)
    path.chmod(0o644)
    with pytest.raises(KeyStoreError, match="may be read by others"):
        KeyFile(path).load()
    path.chmod(0o600)
    moved = path.rename(path.with_name("elsewhere"))
    path.symlink_to(moved)
    with pytest.raises(KeyStoreError, match="symbolic link"):
        KeyFile(path).load()


def test_destroyed_keys_are_overwritten_before_they_go(path: pathlib.Path) -> None:
    KeyFile(path).add(b"a" * 32)
    copy = path.with_name("copy")
    os.link(path, copy)
    size = path.stat().st_size
    KeyFile(path).destroy()
    assert not path.exists()
    assert copy.read_bytes() == bytes(size)
    KeyFile(path).destroy()
