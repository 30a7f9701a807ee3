# SPDX-License-Identifier: Apache-2.0
"""The fixtures ``lab`` and ``wide``: real hosts for the tests of this folder, one lab each for the whole session.

``QUEENRIGHT_LAB=name`` uses the lab of that name, started by hand, for both, and leaves it running. Otherwise ``lab``
has ``QUEENRIGHT_LAB_HOSTS`` (3) hosts and ``wide`` six, of Debian ``QUEENRIGHT_LAB_SUITE`` (bookworm); both are named
after this process, so that two runs on one machine do not meet, and end with it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from lablib import client  # noqa: E402
from lablib.handle import RunningLab  # noqa: E402
from lablib.paths import Lab  # noqa: E402
from managerlib import group, three, wide_project  # noqa: E402, F401 - fixtures
from swarmlib import formed, mesh, project, swarm  # noqa: E402, F401 - fixtures


@contextlib.contextmanager
def running(purpose: str, hosts: str) -> Iterator[RunningLab]:
    """A lab of this process, or the one that was chosen by name."""
    chosen = os.environ.get("QUEENRIGHT_LAB")
    if chosen:
        yield RunningLab(chosen)
        return
    client.sweep("test")
    place = Lab(f"test-{os.getpid()}{purpose}")
    suite = os.environ.get("QUEENRIGHT_LAB_SUITE", "bookworm")
    up = [str(HERE / "lab"), "--name", place.name, "up", hosts, "--suite", suite, "--tied"]
    # Tied to this process by a pipe: even a killed pytest leaves no lab behind.
    with subprocess.Popen(up, stdin=subprocess.PIPE) as starter:
        assert starter.wait() == 0, "the lab did not come up; its words are above"
        try:
            yield RunningLab(place.name)
        finally:
            client.down(place, wipe=True)


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    """A lab whose hosts all answer ssh. After each test that uses it faults are healed and hosts powered on."""
    with running("", os.environ.get("QUEENRIGHT_LAB_HOSTS", "3")) as one:
        yield one


@pytest.fixture(scope="session")
def wide() -> Iterator[RunningLab]:
    """Six hosts, for groups of managers."""
    with running("-wide", "6") as one:
        yield one


@pytest.fixture(autouse=True)
def _restore(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test broke is whole for the next one."""
    yield
    for name in {"lab", "wide"} & set(request.fixturenames):
        request.getfixturevalue(name).restore()
