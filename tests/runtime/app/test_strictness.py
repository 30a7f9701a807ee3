# SPDX-License-Identifier: Apache-2.0
"""A state directory that is open to others is refused with the reason, and so is all in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from queenright.app.strictness import LooseError, private_state, without_proxies


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """As a member leaves it."""
    directory = tmp_path / "state"
    old = os.umask(0o077)
    try:
        (directory / "certificates").mkdir(parents=True)
        (directory / "certificates").chmod(0o755)
        (directory / "raft").mkdir()
        for name in ("lock", "state.json", "tasks.db", "raft.key", "raft/log", "certificates/swarm-node.key"):
            (directory / name).write_bytes(b"x")
        for name in ("swarm-node.crt", "swarm-root-ca.crt"):
            (directory / "certificates" / name).write_bytes(b"x")
            (directory / "certificates" / name).chmod(0o644)
    finally:
        os.umask(old)
    return directory


def test_a_state_directory_as_the_daemon_leaves_it_is_taken(state: Path) -> None:
    private_state(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_what_a_crash_left_beside_a_certificate_does_not_keep_the_daemon_from_starting(state: Path) -> None:
    for name in (".swarm-node.crt", "..swarm-node.crt.new", ".swarm-root-ca.crt.new"):
        (state / "certificates" / name).write_bytes(b"x")
        (state / "certificates" / name).chmod(0o644)
    private_state(state)
    (state / "certificates" / ".swarm-node.key.new").touch()
    (state / "certificates" / ".swarm-node.key.new").chmod(0o644)
    with pytest.raises(LooseError, match=r"swarm-node.key.new may be read by others"):
        private_state(state)


def test_one_that_is_not_there_is_made(tmp_path: Path) -> None:
    private_state(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_one_that_holds_nothing_yet_is_tightened(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    (tmp_path / "state" / "lock").touch()
    (tmp_path / "state" / "lost+found").mkdir(mode=0o700)  # a disk of its own
    private_state(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        (".", 0o755, r"state may be read by others \(mode 0755\).* chmod 0700 "),
        (".", 0o770, "state may be written by others"),
        ("raft", 0o750, "raft may be read by others"),
        ("raft.key", 0o640, r"raft.key may be read by others \(mode 0640\).* chmod 0600 .*raft.key; else leave"),
        ("raft/log", 0o604, "log may be read by others"),
        ("state.json", 0o620, r"state.json may be written by others .* chmod go-w "),
        ("certificates", 0o775, "certificates may be written by others"),
        ("certificates/swarm-node.key", 0o644, "swarm-node.key may be read by others"),
        ("certificates/swarm-node.crt", 0o664, "swarm-node.crt may be written by others"),
    ],
)
def test_what_others_may_read_or_write_is_refused(state: Path, name: str, mode: int, words: str) -> None:
    (state / name).chmod(mode)
    with pytest.raises(LooseError, match=words):
        private_state(state)
    assert stat.S_IMODE((state / name).stat().st_mode) == mode  # nothing was hidden by putting it right


@pytest.mark.parametrize("name", ["state.json", "raft", "certificates/swarm-node.key", "certificates/swarm-node.crt"])
def test_links_are_not_followed(state: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (state / name).rename(elsewhere)
    (state / name).symlink_to(elsewhere)
    with pytest.raises(LooseError, match=r"is a symbolic link, which is not followed"):
        private_state(state)


def test_the_directory_itself_may_be_no_link(state: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(state)
    with pytest.raises(LooseError, match=f"--state-dir {state}"):
        private_state(tmp_path / "link")


def test_what_is_neither_file_nor_directory_is_refused(state: Path) -> None:
    os.mkfifo(state / "pipe", 0o600)
    with pytest.raises(LooseError, match="pipe is neither a file nor a directory"):
        private_state(state)


def test_what_belongs_to_somebody_else_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(state / "raft.key", 1234, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(LooseError, match=r"belongs to user \d+"):
        private_state(state)


def test_proxies_are_taken_out_of_the_environment() -> None:
    environment = {"PATH": "/bin", "http_proxy": "x", "HTTPS_PROXY": "y", "All_Proxy": "z", "grpc_proxy": "g"}
    assert without_proxies(environment) == ["All_Proxy", "HTTPS_PROXY", "grpc_proxy", "http_proxy"]
    assert environment == {"PATH": "/bin"}
