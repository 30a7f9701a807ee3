# SPDX-License-Identifier: Apache-2.0
"""The file of the host socket."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import stat

import pytest

from queenright.edge.http import listener
from queenright.edge.http.listener import ListenError


def bound(path: pathlib.Path, gid: int | None = None) -> contextlib.closing[listener.Listening]:
    return contextlib.closing(listener.bind(str(path), gid=gid))


def test_the_socket_is_for_its_owner_and_group_only(folder: pathlib.Path) -> None:
    path = folder / "s"
    with bound(path, gid=os.getgid()):
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o660
        assert status.st_gid == os.getgid()


def test_the_mode_does_not_depend_on_the_umask(folder: pathlib.Path) -> None:
    path = folder / "s"
    before = os.umask(0o077)
    try:
        with bound(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        os.umask(before)


def test_a_socket_file_left_by_a_dead_process_is_replaced(folder: pathlib.Path) -> None:
    path = folder / "s"
    socket.socket(socket.AF_UNIX).bind(str(path))
    with bound(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_that_answers_is_left_alone(folder: pathlib.Path) -> None:
    path = folder / "s"
    with bound(path) as first:
        with pytest.raises(ListenError, match="another process answers there"):
            listener.bind(str(path))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        first.sock.accept()


def test_a_file_that_is_no_socket_is_left_alone(folder: pathlib.Path) -> None:
    path = folder / "s"
    path.write_text("precious")
    with pytest.raises(ListenError, match="no socket"):
        listener.bind(str(path))
    assert path.read_text() == "precious"


def test_a_folder_that_does_not_exist_is_named(folder: pathlib.Path) -> None:
    path = str(folder / "missing" / "s")
    with pytest.raises(ListenError, match=path):
        listener.bind(path)


def test_an_inherited_socket_must_listen_on_a_unix_path(folder: pathlib.Path) -> None:
    path = folder / "s"
    with bound(path) as listening:
        adopted = listener.adopt(listening.sock)
        adopted.close()
        assert path.exists(), "the file belongs to whoever made it"
    with socket.socket() as sock, pytest.raises(ListenError, match="no unix stream socket"):
        listener.adopt(sock)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        pytest.raises(ListenError, match="no unix stream socket"),
    ):
        listener.adopt(sock)
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(ListenError, match="does not listen"):
        listener.adopt(sock)


def test_only_our_own_file_is_removed(folder: pathlib.Path) -> None:
    path = folder / "s"
    first = listener.bind(str(path))
    path.unlink()
    second = listener.bind(str(path))
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()
    second.close()
