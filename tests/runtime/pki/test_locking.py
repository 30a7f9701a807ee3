# SPDX-License-Identifier: Apache-2.0
"""The lock of a manager's keys: what it closes, what opens it, and what a power cut leaves."""

from __future__ import annotations

import json
import os
import pathlib
import ssl
import stat
from datetime import UTC, datetime

import pytest

from queenright.edge.pki.authority import LocalSigner, Subject, create_root
from queenright.edge.pki.data_keys import KeyFile
from queenright.edge.pki.errors import KeyStoreError, LockedError, WrongKeyError
from queenright.edge.pki.keys import make_csr, make_key
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.edge.pki.locking import Lock
from queenright.edge.pki.sealing import RecordSealer
from queenright.lib import atomic

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
NODE = "0gac67oclbxq7lfpa4r2q6fgs"
KEY, OTHER = b"k" * 32, b"o" * 32


class Place:
    """The files of one manager. Made again, it is the host after a restart."""

    def __init__(self, folder: pathlib.Path, holder: str = NODE) -> None:
        self.folder = folder
        self.lock = Lock(folder / "autolock.key", holder, os.urandom)
        self.data = KeyFile(folder / "raft.key", self.lock)
        self.keys = KeyStore(folder / "certificates", self.lock)

    def conform(self) -> None:
        self.data.conform()
        self.keys.conform()

    def again(self) -> Place:
        return Place(self.folder)

    def texts(self) -> str:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return "\n".join(path.read_bytes().decode("latin-1") for path in paths)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    found = Place(tmp_path)
    found.data.add(b"d" * 32)
    found.keys.save(issued_credentials())
    return found


def issued_credentials() -> NodeCredentials:
    root, key = create_root(NOW), make_key()
    chain = LocalSigner(root).issue(make_csr(key), Subject(NODE, "c" * 25, "manager"), now=NOW).chain_pem
    return NodeCredentials(key, chain, root.certificate_pem)


def closed(place: Place, key: bytes = KEY) -> Place:
    place.lock.engage(key)
    place.conform()
    place.lock.settle()
    return place


def test_what_is_closed_opens_with_the_unlock_key_after_a_restart(place: Place) -> None:
    before = place.keys.load()
    closed(place)
    again = place.again()
    assert again.lock.locked
    again.lock.unlock(KEY)
    assert not again.lock.locked
    keys = again.data.load()
    assert keys is not None
    assert keys.keys == (b"d" * 32,)
    found = again.keys.load()
    assert found is not None
    assert before is not None
    assert (found.chain_pem, found.root_pem, found.key_pem) == (before.chain_pem, before.root_pem, before.key_pem)


def test_nothing_opens_before_the_lock_does(place: Place) -> None:
    again = closed(place).again()
    for read in (again.data.load, again.keys.load, lambda: again.data.add(b"e" * 32), again.keys.password):
        with pytest.raises(LockedError, match="unlock it first"):
            read()


def test_no_key_is_in_clear_while_the_lock_is_engaged(place: Place) -> None:
    held = place.keys.load()
    assert held is not None
    pending = place.keys.pending_key()
    closed(place)
    texts = place.texts()
    assert "ENCRYPTED PRIVATE KEY" in texts
    for key in (held.key_pem, pending):
        assert key.decode().splitlines()[1] not in texts
    assert "ZGRkZGRk" not in texts  # the data key in base 64
    assert place.again().lock.locked
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (place.lock.path, place.data.path, place.keys.key_path)}
    assert modes == {0o600}


def test_a_wrong_key_and_damage_are_told_apart(place: Place) -> None:
    closed(place)
    with pytest.raises(WrongKeyError, match="invalid key provided"):
        place.again().lock.unlock(OTHER)
    data = json.loads(place.lock.path.read_text())
    for name in ("sealed", "salt"):
        letter = "B" if data[name][4] == "A" else "A"
        spoilt = {**data, name: data[name][:4] + letter + data[name][5:]}
        place.lock.path.write_text(json.dumps(spoilt))
        for key in (KEY, OTHER):
            with pytest.raises(KeyStoreError, match=r"autolock\.key is damaged: restore it from a backup"):
                place.again().lock.unlock(key)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"magic": "queenright-autolock", "format": 1}', "is damaged"),
        ('{"magic": "queenright-autolock", "format": 2}', "format 2, this release knows 1"),
        ('{"magic": "another", "format": 1}', "is no lock"),
    ],
)
def test_a_file_of_another_kind_opens_with_no_key(place: Place, content: str, words: str) -> None:
    closed(place)
    place.lock.path.write_text(content)
    again = place.again()
    assert again.lock.locked
    with pytest.raises(KeyStoreError, match=words):
        again.lock.unlock(KEY)


def test_damage_to_what_is_closed_is_said_by_the_name_of_the_file(place: Place) -> None:
    closed(place)
    for path, pattern in ((place.data.path, r"raft\.key"), (place.keys.key_path, r"swarm-node\.key")):
        content = path.read_text()
        at = content.index("closed") + 40 if "closed" in content else 100
        path.write_text(content[:at] + ("B" if content[at] == "A" else "A") + content[at + 1 :])
        again = place.again()
        again.lock.unlock(KEY)
        with pytest.raises(KeyStoreError, match=pattern):
            again.data.load()
            again.keys.load()
        path.write_text(content)


def test_the_lock_of_another_node_does_not_open(place: Place) -> None:
    closed(place)
    with pytest.raises(WrongKeyError):
        Place(place.folder, "1gac67oclbxq7lfpa4r2q6fgs").lock.unlock(KEY)


def test_another_unlock_key_closes_all_anew(place: Place) -> None:
    closed(place)
    old = {path: path.read_bytes() for path in (place.lock.path, place.data.path, place.keys.key_path)}
    closed(place, OTHER)
    with pytest.raises(WrongKeyError):
        place.again().lock.unlock(KEY)
    again = place.again()
    again.lock.unlock(OTHER)
    assert again.data.load() is not None
    assert again.keys.load() is not None
    place.lock.path.write_bytes(old[place.lock.path])  # who has the old lock and its key opens nothing of today
    stolen = place.again()
    stolen.lock.unlock(KEY)
    for read in (stolen.data.load, stolen.keys.load):
        with pytest.raises(KeyStoreError, match="open with the keys"):
            read()


@pytest.mark.parametrize("turn", ["engage", "change", "release"])
def test_a_power_cut_at_any_write_leaves_nothing_that_does_not_open(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, turn: str
) -> None:
    real, cut = atomic.replace_file, 0

    class PowerCutError(Exception):
        pass

    while True:
        cut += 1
        folder = tmp_path / str(cut)
        folder.mkdir()
        place, left = Place(folder), cut
        place.data.add(b"d" * 32)
        place.keys.save(issued_credentials())
        if turn != "engage":
            closed(place)

        def replace(path: pathlib.Path, data: bytes, *, mode: int = 0o600) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise PowerCutError
            real(path, data, mode=mode)

        monkeypatch.setattr(atomic, "replace_file", replace)
        try:
            if turn == "release":
                place.lock.release()
                place.conform()
                place.lock.discard()
            else:
                closed(place, OTHER if turn == "change" else KEY)
            done = True
        except PowerCutError:
            done = False
        monkeypatch.setattr(atomic, "replace_file", real)
        again = Place(folder)
        if again.lock.locked:
            try:
                again.lock.unlock(OTHER if turn == "change" else KEY)
            except WrongKeyError:
                again.lock.unlock(KEY)  # the cut came first of all
        found = again.data.load()
        assert found is not None
        assert found.keys == (b"d" * 32,)
        assert again.keys.load() is not None
        if done:
            break
    assert cut > 2


def test_what_is_released_is_in_clear_and_the_lock_gone(place: Place) -> None:
    closed(place)
    place.lock.release()
    place.conform()
    place.lock.discard()
    again = place.again()
    assert not again.lock.locked
    assert not again.lock.engaged
    assert again.data.load() is not None
    assert again.keys.load() is not None
    assert again.keys.password() == b""


def test_what_is_closed_already_is_not_written_again(place: Place) -> None:
    closed(place)
    before = {path: path.stat().st_ino for path in (place.data.path, place.keys.key_path)}
    again = place.again()
    again.lock.unlock(KEY)
    again.conform()
    assert {path: path.stat().st_ino for path in before} == before


def test_a_key_that_comes_later_is_closed_too(place: Place) -> None:
    closed(place)
    again = place.again()
    again.lock.unlock(KEY)
    sealer = RecordSealer(again.data, NODE, os.urandom)
    sealer.rotate()
    assert sealer.rotating
    sealer.settle()
    assert not sealer.rotating
    again.keys.save(issued_credentials())
    assert '"format": 2' in again.data.path.read_text()
    assert "ENCRYPTED" in again.keys.key_path.read_text()


def test_neither_texts_nor_representations_tell_a_key(place: Place) -> None:
    closed(place)
    again = place.again()
    try:
        again.lock.unlock(b"s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr")
    except WrongKeyError as error:
        assert "s3cr3t" not in str(error)
    assert KEY.decode() not in repr(place.lock)


def test_a_lock_that_is_a_link_is_refused(place: Place, tmp_path: pathlib.Path) -> None:
    closed(place)
    place.lock.path.rename(tmp_path / "elsewhere")
    place.lock.path.symlink_to(tmp_path / "elsewhere")
    again = place.again()
    assert again.lock.locked
    with pytest.raises(KeyStoreError, match="symbolic link"):
        again.lock.unlock(KEY)


def test_the_key_opens_for_tls_by_its_password(place: Place) -> None:
    closed(place)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.keys.certificate_path, place.keys.key_path, password=place.keys.password())
    with pytest.raises(ssl.SSLError):
        context.load_cert_chain(place.keys.certificate_path, place.keys.key_path, password=b"another")
