# SPDX-License-Identifier: Apache-2.0
"""A real cfssl is away while nodes join: they are pending, over restarts, and join by themselves when it is back."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest
from compat.daemon.kit import DOCKER, ApiError, Daemon, until
from security.kit import files
from security.test_cfssl import Site, dockerd, issuer, site

__all__ = ["dockerd", "site"]
TIMEOUT = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the "
    '"docker info" command to see the current swarm status of your node.'
)


def shown(daemon: Daemon) -> tuple[str, str]:
    """What ``docker info`` says of the node."""
    swarm = daemon.get("/queenright/v1/status")
    return swarm["state"], swarm["error"]


def state_in_info(daemon: Daemon) -> str:
    command = [DOCKER, f"--host=unix://{daemon.socket}", "info", "--format={{.Swarm.LocalNodeState}}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


def pending(site: Site, manager: Daemon, role: str = "Worker") -> tuple[Daemon, dict[str, Any], float]:
    """A daemon whose join was answered with Swarm's text; what it asked for, and how long that took."""
    daemon = site.daemon()
    body = site.joining(daemon, manager, role)
    began = time.monotonic()
    with pytest.raises(ApiError) as waited:
        daemon.post("/swarm/join", body)
    assert (waited.value.status, waited.value.message) == (503, TIMEOUT)
    return daemon, body, time.monotonic() - began


def secret_left(daemon: Daemon, secret: str) -> list[str]:
    found = [path for path in files(daemon.folder) if path.is_file() and secret.encode() in path.read_bytes()]
    return [path.name for path in found]


def test_a_node_is_pending_while_nobody_can_sign_and_joins_by_itself(site: Site) -> None:
    manager = site.found_outside()
    until(lambda: site.ca.asked, manager.tail)
    site.ca.stop_front()
    daemon, body, took = pending(site, manager)
    assert 18 < took < 35
    assert state_in_info(daemon) == "pending"
    state, error = shown(daemon)
    assert state == "pending" and "no external CA has signed" in error
    assert len(manager.nodes()) == 1
    with pytest.raises(ApiError, match="already part of a swarm"):
        daemon.post("/swarm/join", body)
    with pytest.raises(ApiError, match="already part of a swarm"):
        daemon.post("/swarm/init", site.addresses(daemon))
    assert secret_left(daemon, body["JoinToken"]) == ["join.json"]
    assert (daemon.state_dir / "join.json").stat().st_mode & 0o777 == 0o600
    daemon.kill()
    daemon.start("--log-level=debug", wait=False)
    until(lambda: daemon.socket.exists() and answered(daemon) == "pending", daemon.tail)
    site.ca.start_front()
    daemon.becomes(state="active", ready=True, role="worker")
    assert issuer(daemon) == "ext-swarm-ca"
    assert len(manager.nodes()) == 2
    assert secret_left(daemon, body["JoinToken"]) == []


def answered(daemon: Daemon) -> str:
    try:
        return shown(daemon)[0]
    except OSError:
        return ""


def test_a_manager_that_was_pending_becomes_one_of_the_voters(site: Site) -> None:
    manager = site.found_outside()
    until(lambda: site.ca.asked, manager.tail)
    site.ca.stop_cfssl()
    daemon, _, _ = pending(site, manager, "Manager")
    assert "status 502" in shown(daemon)[1]
    site.ca.start_cfssl()
    daemon.becomes(state="active", ready=True, role="manager")
    until(lambda: len([one for one in manager.status()["raft"]["members"] if one["voter"]]) == 2, manager.tail)


def test_who_waits_gets_in_at_once_when_it_is_back_in_time(site: Site) -> None:
    manager = site.found_outside()
    until(lambda: site.ca.asked, manager.tail)
    site.ca.stop_cfssl()
    daemon = site.daemon()
    command = [DOCKER, f"--host=unix://{daemon.socket}", "swarm", "join"]
    flags = [f"--{name}={site.addrs[daemon]}" for name in ("listen-addr", "advertise-addr")]
    client = subprocess.Popen(
        [*command, *flags, f"--token={manager.token()}", site.addrs[manager]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: shown(daemon)[0] == "pending" and "502" in shown(daemon)[1], daemon.tail)
    site.ca.start_cfssl()
    said, _ = client.communicate(timeout=60)
    assert said.strip() == "This node joined a swarm as a worker." and client.returncode == 0
    daemon.becomes(state="active", ready=True)


@pytest.mark.parametrize("force", ["", "?force=1"])
def test_leaving_ends_the_attempt_and_leaves_nothing(site: Site, force: str) -> None:
    manager = site.found_outside()
    until(lambda: site.ca.asked, manager.tail)
    site.ca.stop_front()
    daemon, body, _ = pending(site, manager)
    daemon.post(f"/swarm/leave{force}")
    assert shown(daemon) == ("inactive", "")
    assert not (daemon.state_dir / "certificates").exists() and secret_left(daemon, body["JoinToken"]) == []
    site.ca.start_front()
    daemon.stop()
    daemon.start()
    assert shown(daemon) == ("inactive", "")
    assert len(manager.nodes()) == 1
    daemon.post("/swarm/join", body)
    daemon.becomes(state="active", ready=True)


def test_a_no_for_good_is_said_at_once_and_ends_an_attempt(site: Site) -> None:
    manager = site.found_outside()
    until(lambda: site.ca.asked, manager.tail)
    site.ca.stop_front()
    daemon, body, _ = pending(site, manager)
    cluster = manager.get("/swarm")
    manager.post(f"/swarm/update?version={cluster['Version']['Index']}&rotateWorkerToken=1", cluster["Spec"])
    until(lambda: shown(daemon)[0] == "inactive", daemon.tail)
    assert "A valid join token is necessary" in shown(daemon)[1]
    began = time.monotonic()
    with pytest.raises(ApiError, match="A valid join token is necessary"):
        daemon.post("/swarm/join", body)
    assert time.monotonic() - began < 10
    assert shown(daemon) == ("inactive", "")


def test_many_who_wait_do_not_keep_the_manager_from_its_work(site: Site) -> None:
    """Their tries are answered, not held: nothing of them is left on the manager."""
    manager = site.found_outside()
    until(lambda: site.ca.asked, manager.tail)
    site.ca.stop_front()
    daemons = [site.daemon() for _ in range(4)]
    clients = []
    for daemon in daemons:
        flags = [f"--{name}={site.addrs[daemon]}" for name in ("listen-addr", "advertise-addr")]
        command = [DOCKER, f"--host=unix://{daemon.socket}", "swarm", "join", *flags, "--token", manager.token()]
        clients.append(
            subprocess.Popen([*command, site.addrs[manager]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
    for daemon in daemons:
        until(lambda daemon=daemon: "no external CA" in shown(daemon)[1], daemon.tail)
    cluster = manager.get("/swarm")
    spec = {**cluster["Spec"], "Labels": {"still": "written"}}
    manager.post(f"/swarm/update?version={cluster['Version']['Index']}", spec)
    assert manager.status()["state"] == "active" and len(manager.nodes()) == 1
    site.ca.start_front()
    for daemon, client in zip(daemons, clients, strict=True):
        daemon.becomes(state="active", ready=True)
        client.communicate(timeout=60)
    assert len(manager.nodes()) == 5
