# SPDX-License-Identifier: Apache-2.0
"""A real engine, our socket in front of it, and the command lines that are installed here."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import docker
import pytest
from compat.engine import IMAGE, DockerEngine

import queenright

CLIENTS = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.access(path, os.X_OK)]
WITHIN = 120.0


class Cli:
    """A docker command on our socket (or, with ``direct``, on dockerd's own)."""

    def __init__(self, binary: str, ours: str, engine: DockerEngine) -> None:
        self.binary = binary
        self._ours = ours
        self._theirs = engine.socket
        self._config = str(engine.folder / "config")

    def environment(self, *, direct: bool = False, **more: str) -> dict[str, str]:
        path = {name: os.environ[name] for name in ("PATH",)}
        socket = self._theirs if direct else self._ours
        return {**path, "HOME": self._config, "DOCKER_CONFIG": self._config, "DOCKER_HOST": f"unix://{socket}", **more}

    def __call__(self, *arguments: str, stdin: bytes = b"", direct: bool = False, **environment: str) -> str:
        """Run a command that must work; gives its standard output."""
        done = self.attempt(*arguments, stdin=stdin, direct=direct, **environment)
        assert done.returncode == 0, f"{arguments}: {done.stderr.decode()}"
        return done.stdout.decode()

    def attempt(
        self, *arguments: str, stdin: bytes = b"", direct: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.binary, *arguments],
            input=stdin,
            capture_output=True,
            timeout=WITHIN,
            env=self.environment(direct=direct, **environment),
        )

    def start(self, *arguments: str, **streams: int) -> subprocess.Popen[bytes]:
        """Start a command; its standard output is a pipe unless told otherwise."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen([self.binary, *arguments], env=self.environment(), **streams)

    def id(self, *arguments: str) -> str:
        """Run a container of the test image without a network in the background; gives its id."""
        return self("run", "-d", "--network", "none", *arguments).strip()


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """A dockerd without network, with the test image."""
    engine = DockerEngine("--iptables=false", "--bridge=none")
    try:
        engine.start()
        engine.make_image(IMAGE, "ENV PATH=/bin")
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="session")
def ours(engine: DockerEngine) -> Iterator[str]:
    """Path of our socket in front of ``engine``."""
    path = engine.folder / "q.sock"
    source = pathlib.Path(queenright.__file__).parents[1]
    log = engine.folder / "q.log"
    with open(log, "wb") as out:
        server = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).with_name("serve.py")), engine.socket, str(path)],
            env={**os.environ, "PYTHONPATH": str(source)},
            stderr=out,
        )
    try:
        deadline = time.monotonic() + WITHIN
        while not path.exists():
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield str(path)
        assert server.poll() is None, log.read_text()
    finally:
        server.terminate()
        server.wait(60)
    assert "Traceback" not in log.read_text()
    assert server.returncode == 0


@pytest.fixture(scope="session", params=CLIENTS, ids=[path.replace("/", "-")[1:] for path in CLIENTS])
def cli(request: pytest.FixtureRequest, ours: str, engine: DockerEngine) -> Cli:
    return Cli(request.param, ours, engine)


@pytest.fixture(scope="session")
def debian_cli(ours: str, engine: DockerEngine) -> Cli:
    return Cli("/usr/bin/docker", ours, engine)


@pytest.fixture(scope="session")
def sdk(ours: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=f"unix://{ours}", timeout=int(WITHIN))
    yield client
    client.close()
