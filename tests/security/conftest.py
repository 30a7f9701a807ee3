# SPDX-License-Identifier: Apache-2.0
"""A manager and a worker on loopback, each with a real engine, logging all that they can."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from compat.daemon.kit import Daemon
from compat.engine import DockerEngine
from security.kit import Manager


@contextlib.contextmanager
def on_an_engine() -> Iterator[Daemon]:
    engine = DockerEngine("--iptables=false", "--bridge=none")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qr"))
    daemon = Daemon(folder, engine.socket)
    try:
        engine.start()
        engine.make_image()
        yield daemon.start("--log-level=debug")
    finally:
        daemon.close()
        engine.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def manager() -> Iterator[Manager]:
    with on_an_engine() as daemon:
        yield Manager(daemon)
        assert "Traceback" not in daemon.log_path.read_text(errors="replace")


@pytest.fixture(scope="session")
def worker(manager: Manager) -> Iterator[Daemon]:
    with on_an_engine() as daemon:
        join = {"RemoteAddrs": [manager.addr], "JoinToken": manager.daemon.token(), "ListenAddr": "127.0.0.1:2377"}
        daemon.post("/swarm/join", join)
        daemon.becomes(state="active", ready=True)
        yield daemon
        assert "Traceback" not in daemon.log_path.read_text(errors="replace")
