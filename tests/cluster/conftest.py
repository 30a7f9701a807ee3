# SPDX-License-Identifier: Apache-2.0
"""The fixture ``lab``: real hosts for the tests of this folder, one lab for the whole session.

``QUEENRIGHT_LAB=name`` uses the lab of that name, started by hand, and leaves it running. Otherwise a lab ``test`` of
``QUEENRIGHT_LAB_HOSTS`` (3) hosts of Debian ``QUEENRIGHT_LAB_SUITE`` (bookworm) is made, and ends with pytest.
"""

from __future__ import annotations

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
from swarmlib import formed, project, swarm  # noqa: E402, F401 - fixtures


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    """A lab whose hosts all answer ssh. After each test that uses it faults are healed and hosts powered on."""
    chosen = os.environ.get("QUEENRIGHT_LAB")
    if chosen:
        yield RunningLab(chosen)
        return
    suite = os.environ.get("QUEENRIGHT_LAB_SUITE", "bookworm")
    up = [str(HERE / "lab"), "--name", "test", "up", os.environ.get("QUEENRIGHT_LAB_HOSTS", "3"), "--suite", suite]
    # Tied to this process by a pipe: even a killed pytest leaves no lab behind.
    with subprocess.Popen([*up, "--tied"], stdin=subprocess.PIPE) as starter:
        assert starter.wait() == 0, "the lab did not come up; its words are above"
        try:
            yield RunningLab("test")
        finally:
            client.down(Lab("test"), wipe=True)


@pytest.fixture(autouse=True)
def _restore(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test broke is whole for the next one."""
    yield
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").restore()
