# SPDX-License-Identifier: Apache-2.0
"""Machines live as long as the test run, daemons and swarms as long as a test or a file of tests."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, Swarm


@pytest.fixture(scope="session")
def machines() -> Iterator[list[Machine]]:
    """The containers of the first two outlive their dockerd; that of the third may have a swarm of its own."""
    yield from kit.machines(("--live-restore",), ("--live-restore",), ())


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon that was not started yet, on a host without an engine."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qr"))
    daemon = Daemon(folder, str(folder / "docker.sock"))
    yield daemon
    daemon.close()
    shutil.rmtree(folder)


@pytest.fixture
def machine(machines: list[Machine]) -> Iterator[Machine]:
    """One machine with a daemon that was not started yet."""
    machines[2].fresh()
    yield machines[2]
    machines[2].clean()


@pytest.fixture(scope="module")
def swarm(machines: list[Machine]) -> Iterator[Swarm]:
    """A manager and two workers."""
    swarm = Swarm(machines)
    try:
        yield swarm.form()
    finally:
        swarm.close()
