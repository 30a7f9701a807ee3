# SPDX-License-Identifier: Apache-2.0
"""What a supervisor is told, and what it hands over."""

from __future__ import annotations

import os
import pathlib
import socket
import tempfile
from collections.abc import Iterator

import pytest

from queenright.app import systemd
from queenright.app.systemd import Notifier, inherited_socket


@pytest.fixture
def channel() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory(prefix="qr") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(f"{folder}/n")
        found.settimeout(60)
        yield found


def test_what_is_told_arrives(channel: socket.socket) -> None:
    Notifier({"NOTIFY_SOCKET": channel.getsockname()}).tell("READY=1")
    assert channel.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nonexistent/socket", "@nobody-listens-here"])
def test_nobody_who_listens_is_no_error(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address} if address else {}).tell("READY=1")


def test_a_supervisor_that_does_not_read_does_not_hold_us(channel: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": channel.getsockname()})
    for _ in range(5000):
        notifier.tell("WATCHDOG=1" * 100)
    assert channel.recv(10) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_time(environment: dict[str, str], interval: float | None) -> None:
    assert Notifier(environment).watchdog_interval == interval


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "²"},
    ],
)
def test_without_a_socket_for_us_there_is_none(environment: dict[str, str]) -> None:
    assert inherited_socket(environment) is None


def test_a_socket_for_us_is_taken_and_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="qr") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        handed = os.dup(listener.fileno())
        os.set_inheritable(handed, True)
        monkeypatch.setattr(systemd, "FIRST", handed)
        found = inherited_socket({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
        assert found is not None
        with found:
            assert found.getsockname() == str(pathlib.Path(folder) / "s")
            assert not found.getblocking() and not os.get_inheritable(found.fileno())


def test_a_file_in_its_place_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    with open(tmp_path / "file", "w") as file:
        monkeypatch.setattr(systemd, "FIRST", file.fileno())
        with pytest.raises(OSError):
            inherited_socket({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})


@pytest.mark.parametrize(
    ("script", "stops"), [("echo stopping", True), ("echo running", False), ("exit 1", False), ("exec sleep 60", False)]
)
async def test_a_machine_that_stops_is_told_from_a_service_that_restarts(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str, stops: bool
) -> None:
    tool = tmp_path / "systemctl"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "RUNS", tmp_path)
    monkeypatch.setattr(systemd, "ASK_SECONDS", 0.2 if "sleep" in script else 60.0)
    assert await systemd.machine_stops() == stops


async def test_where_systemd_is_not_the_init_no_machine_stops(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "RUNS", tmp_path / "nowhere")
    assert not await systemd.machine_stops()
    monkeypatch.setattr(systemd, "RUNS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not await systemd.machine_stops()
