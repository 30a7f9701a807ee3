# SPDX-License-Identifier: Apache-2.0
"""Locked managers by the docker command lines and the SDK, on a real engine: all their words, and kills in between."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import docker
import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, container_of

CLIENTS = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.access(path, os.X_OK)]
WITHIN = 120
WRONG = "SWMKEY-1-" + "A" * 43
LOCKED = "Swarm is encrypted and needs to be unlocked before it can be used"


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    for machines in kit.machines(("--live-restore",)):
        yield machines[0]


@pytest.fixture
def daemon(host: Machine) -> Iterator[Daemon]:
    """A daemon in no swarm; it has left the one that it was in afterwards."""
    daemon = host.fresh().start()
    yield daemon
    host.clean()


class Cli:
    """A docker command on the daemon's socket."""

    def __init__(self, binary: str, daemon: Daemon) -> None:
        self._command = [binary, "-H", f"unix://{daemon.socket}"]

    def attempt(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments], input=stdin, capture_output=True, text=True, timeout=WITHIN, check=False
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()


def killed(daemon: Daemon) -> None:
    """The daemon after a power cut."""
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    daemon.start()


@pytest.mark.parametrize("binary", CLIENTS)
def test_the_command_line_locks_unlocks_and_rotates(host: Machine, daemon: Daemon, binary: str) -> None:
    cli = Cli(binary, daemon)
    told = cli("swarm", "init", "--autolock", "--advertise-addr", host.address)
    key = cli("swarm", "unlock-key", "--quiet")
    assert key.startswith("SWMKEY-1-")
    assert key in told
    daemon.becomes(state="active", ready=True)
    daemon.service("web", 1, "sleep", "100000")
    (task,) = daemon.running("web", 1)
    before = host.started()
    for kill in (False, True):
        if kill:
            killed(daemon)
        else:
            daemon.stop()
            daemon.start()
        assert daemon.status()["state"] == "locked"
        assert cli("info", "--format", "{{.Swarm.LocalNodeState}}") == "locked"
        for words in (
            ("node", "ls"),
            ("service", "ls"),
            ("swarm", "unlock-key"),
            ("swarm", "update", "--autolock=false"),
        ):
            assert LOCKED in cli.attempt(*words).stderr, words
        assert "invalid key provided" in cli.attempt("swarm", "unlock", stdin=WRONG + "\n").stderr
        cli("swarm", "unlock", stdin=key + "\n")
        daemon.becomes(state="active", ready=True)
        assert host.started() == before
        assert container_of(daemon.running("web", 1)[0]) == container_of(task)
    assert "swarm is not locked" in cli.attempt("swarm", "unlock", stdin=key + "\n").stderr
    fresh = cli("swarm", "unlock-key", "--rotate", "--quiet")
    assert fresh != key
    killed(daemon)
    assert "invalid key provided" in cli.attempt("swarm", "unlock", stdin=key + "\n").stderr
    cli("swarm", "unlock", stdin=fresh + "\n")
    cli("swarm", "update", "--autolock=false")
    assert "no unlock key is set" in cli.attempt("swarm", "unlock-key").stderr
    killed(daemon)
    daemon.becomes(state="active", ready=True)
    assert host.started() == before
    assert not daemon.said(key[9:])
    assert not daemon.said(fresh[9:])


def test_a_locked_host_is_left_with_force_only(host: Machine, daemon: Daemon) -> None:
    cli = Cli(CLIENTS[0], daemon)
    cli("swarm", "init", "--autolock", "--advertise-addr", host.address)
    daemon.becomes(state="active", ready=True)
    daemon.service("web", 1, "sleep", "100000")
    daemon.running("web", 1)
    killed(daemon)
    assert LOCKED in cli.attempt("swarm", "leave").stderr
    assert host.containers()
    cli("swarm", "leave", "--force")
    assert cli("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"
    assert not host.containers(all=True)
    assert not list(daemon.state_dir.glob("*.key"))


def test_the_sdk_locks_and_unlocks(host: Machine, daemon: Daemon) -> None:
    client = docker.DockerClient(base_url=f"unix://{daemon.socket}", timeout=WITHIN)
    try:
        client.swarm.init(advertise_addr=host.address, autolock_managers=True)
        key = client.swarm.get_unlock_key()["UnlockKey"]
        daemon.becomes(state="active", ready=True)
        killed(daemon)
        with pytest.raises(docker.errors.APIError) as locked:
            client.nodes.list()
        assert locked.value.status_code == 503
        with pytest.raises(docker.errors.APIError) as wrong:
            client.swarm.unlock(WRONG)
        assert (wrong.value.status_code, wrong.value.explanation) == (
            401,
            "swarm could not be unlocked: invalid key provided",
        )
        assert client.swarm.unlock(key) is True
        daemon.becomes(state="active", ready=True)
        with pytest.raises(docker.errors.APIError) as open_already:
            client.swarm.unlock(key)
        assert open_already.value.status_code == 409
    finally:
        client.close()
