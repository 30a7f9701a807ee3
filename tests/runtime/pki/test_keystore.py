# SPDX-License-Identifier: Apache-2.0
"""The key store: modes, links, and crashes at every step of a replacement."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queenright.edge.pki.authority import LocalSigner, Root, Subject, create_root
from queenright.edge.pki.errors import KeyStoreError, PkiError
from queenright.edge.pki.keys import key_digest, make_csr, make_key
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.lib import atomic

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
SUBJECT = Subject("n" * 25, "c" * 25, "worker")


@pytest.fixture(scope="module")
def root() -> Root:
    return create_root(NOW)


def credentials(root: Root, key: bytes | None = None) -> NodeCredentials:
    key = key or make_key()
    chain = LocalSigner(root).issue(make_csr(key), SUBJECT, now=NOW).chain_pem
    return NodeCredentials(key, chain, root.certificate_pem)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "certificates")


def modes(store: KeyStore) -> dict[str, str]:
    return {path.name: f"{stat.S_IMODE(path.stat().st_mode):04o}" for path in store.directory.iterdir()}


def test_an_empty_store_has_nothing_and_makes_nothing(store: KeyStore) -> None:
    assert store.load() is None
    assert store.root() is None
    store.wipe()
    store.discard_pending_key()
    assert not store.directory.exists()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_saved_is_loaded_and_has_its_modes_whatever_the_umask(store: KeyStore, root: Root, umask: int) -> None:
    saved = credentials(root)
    before = os.umask(umask)
    try:
        store.save(saved)
    finally:
        os.umask(before)
    assert store.load() == saved
    assert store.root() == root.certificate_pem
    assert modes(store) == {"swarm-root-ca.crt": "0644", "swarm-node.crt": "0644", "swarm-node.key": "0600"}
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o755


def test_the_key_is_not_in_the_repr(root: Root) -> None:
    assert "PRIVATE KEY" not in repr(credentials(root))


def test_a_pair_that_does_not_belong_together_is_not_saved(store: KeyStore, root: Root) -> None:
    good = credentials(root)
    store.save(good)
    with pytest.raises(PkiError, match="does not belong"):
        store.save(NodeCredentials(make_key(), good.chain_pem, good.root_pem))
    assert store.load() == good


@pytest.mark.parametrize("first", [True, False])
def test_a_crash_at_any_step_leaves_the_old_pair_or_the_new_one(
    tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Every rename is cut once, both before and after it; nothing but a whole pair is ever loaded."""

    class CrashError(Exception):
        pass

    outcomes = set()
    for cut in range(20):
        store = KeyStore(tmp_path / f"certificates{cut}")
        old = None if first else credentials(root)
        if old:
            store.save(old)
        new = credentials(root)
        steps = iter(range(1000))
        real = Path.rename

        def rename(self: Path, target: Path, steps=steps, cut=cut, real=real) -> Path:  # type: ignore[no-untyped-def]
            if next(steps) == cut:
                raise CrashError
            result = real(self, target)
            if next(steps) == cut:
                raise CrashError
            return result

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", rename)
            try:
                store.save(new)
                crashed = False
            except CrashError:
                crashed = True
        loaded = KeyStore(store.directory).load()
        assert loaded in (old, new)
        assert loaded == KeyStore(store.directory).load()
        assert not (store.directory / ".swarm-node.crt").exists()
        outcomes.add((crashed, loaded == new))
        if not crashed:
            break
    assert outcomes == {(True, False), (True, True), (False, True)}


def test_a_foreign_certificate_is_named_with_what_to_do(store: KeyStore, root: Root) -> None:
    store.save(credentials(root))
    store.certificate_path.write_bytes(credentials(root).chain_pem)
    with pytest.raises(KeyStoreError, match=r"swarm-node\.crt .* does not belong to .*swarm-node\.key"):
        store.load()


@pytest.mark.parametrize("name", ["swarm-node.key", "swarm-node.crt", "swarm-root-ca.crt"])
def test_a_missing_file_is_named(store: KeyStore, root: Root, name: str) -> None:
    store.save(credentials(root))
    (store.directory / name).unlink()
    with pytest.raises(KeyStoreError, match=name):
        store.load()


@pytest.mark.parametrize("content", [b"", b"junk", b"x" * 300_000])
def test_a_damaged_key_is_an_error_that_does_not_show_it(store: KeyStore, root: Root, content: bytes) -> None:
    store.save(credentials(root))
    store.key_path.write_bytes(content)
    with pytest.raises(KeyStoreError, match=r"swarm-node\.key") as caught:
        store.load()
    assert b"junk" not in str(caught.value).encode()


@pytest.mark.parametrize("name", ["swarm-node.key", "swarm-node.crt", "swarm-root-ca.crt", ".swarm-node.crt"])
def test_a_symbolic_link_is_neither_read_nor_replaced(store: KeyStore, root: Root, tmp_path: Path, name: str) -> None:
    store.save(credentials(root))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    (store.directory / name).unlink(missing_ok=True)
    (store.directory / name).symlink_to(elsewhere)
    with pytest.raises(KeyStoreError, match="symbolic link"):
        store.load()
    with pytest.raises(KeyStoreError, match="symbolic link"):
        store.save(credentials(root))
    assert elsewhere.read_bytes() == b"precious"


def test_a_linked_directory_is_refused(tmp_path: Path, root: Root) -> None:
    (tmp_path / "real").mkdir()
    store = KeyStore(tmp_path / "certificates")
    store.directory.symlink_to(tmp_path / "real")
    for call in (store.load, store.root, store.pending_key, store.wipe, lambda: store.save(credentials(root))):
        with pytest.raises(KeyStoreError, match="not a directory"):
            call()
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_key_that_others_may_read_is_refused(store: KeyStore, root: Root, mode: int) -> None:
    store.save(credentials(root))
    store.key_path.chmod(mode)
    with pytest.raises(KeyStoreError, match=r"chmod (600|go-w) .*swarm-node\.key"):
        store.load()


def test_a_certificate_that_others_may_write_is_refused(store: KeyStore, root: Root) -> None:
    store.save(credentials(root))
    store.root_path.chmod(0o664)
    with pytest.raises(KeyStoreError, match=r"chmod go-w .*swarm-root-ca\.crt"):
        store.load()


def test_a_directory_that_others_may_write_is_refused(store: KeyStore, root: Root) -> None:
    store.save(credentials(root))
    store.directory.chmod(0o777)
    with pytest.raises(KeyStoreError, match="may be written by others"):
        store.load()


def test_a_file_of_another_user_is_refused(store: KeyStore, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(credentials(root))
    real = os.fstat

    def foreign(fd: int) -> os.stat_result:
        status = list(real(fd))
        status[stat.ST_UID] = os.geteuid() + 4711
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", foreign)
    with pytest.raises(KeyStoreError, match="belongs to user"):
        store.load()


def test_a_pipe_in_the_place_of_a_file_does_not_block(store: KeyStore, root: Root) -> None:
    store.save(credentials(root))
    store.root_path.unlink()
    os.mkfifo(store.root_path, 0o600)
    with pytest.raises(KeyStoreError, match="not a regular file"):
        store.load()


def test_the_pending_key_is_made_once_and_ends_with_the_join(store: KeyStore, root: Root) -> None:
    key = store.pending_key()
    assert KeyStore(store.directory).pending_key() == key
    assert store.pending_key_digest() == key_digest(key)
    assert modes(store) == {"swarm-join.key": "0600"}
    assert store.load() is None
    store.save(credentials(root, key))
    assert "swarm-join.key" not in modes(store)
    assert store.load() is not None


def test_a_state_directory_that_is_missing_is_made_private(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "state" / "certificates")
    store.pending_key()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_discarded_pending_key_is_followed_by_another(store: KeyStore) -> None:
    key = store.pending_key()
    store.discard_pending_key()
    assert modes(store) == {}
    assert store.pending_key() != key


def test_a_damaged_pending_key_is_an_error(store: KeyStore) -> None:
    store.pending_key()
    atomic.replace_file(store.directory / "swarm-join.key", b"junk")
    with pytest.raises(PkiError, match=r"swarm-join\.key cannot be read"):
        store.pending_key()


def test_wiping_leaves_nothing(store: KeyStore, root: Root) -> None:
    store.save(credentials(root))
    store.pending_key()
    store.wipe()
    assert modes(store) == {}
    assert store.load() is None
