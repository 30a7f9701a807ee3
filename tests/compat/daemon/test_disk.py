# SPDX-License-Identifier: Apache-2.0
"""A disk that is full or damaged: what was acknowledged is kept, what cannot go on says so and can be mended."""

from __future__ import annotations

import pathlib
import re
import shutil
import sqlite3
from typing import Any

import pytest
from compat.daemon.kit import ApiError, Daemon, Machine, service_spec, until

from queenright.edge.raft import frames

FULL = re.compile("No space left on device|disk is full|disk I/O error")
MANAGER = {"ListenAddr": "127.0.0.1:24377", "AdvertiseAddr": "127.0.0.1:24377"}


def founded(machine: Machine) -> Daemon:
    daemon = machine.daemon.start()
    daemon.post("/swarm/init", MANAGER)
    daemon.becomes(state="active", ready=True)
    return daemon


def write_until_refused(daemon: Daemon) -> tuple[dict[str, str], ApiError]:
    """Create services until one is refused; gives those that were acknowledged, and the refusal."""
    acknowledged: dict[str, str] = {}
    while len(acknowledged) < 5000:
        name = f"s{len(acknowledged)}"
        try:
            acknowledged[name] = daemon.post("/services/create", service_spec(name, 0, Env=["X=" + "x" * 4000]))["ID"]
        except ApiError as error:
            return acknowledged, error
    raise AssertionError("the disk did not fill")


def test_a_full_disk_stops_the_log_with_a_reason_and_loses_nothing(machine: Machine) -> None:
    daemon = machine.daemon
    state = str(daemon.state_dir)
    machine.run("mkdir", "-p", state)
    machine.run("mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs", state)
    founded(machine)
    daemon.service("run", 1)
    daemon.running("run", 1)
    before = machine.started()
    machine.run("sh", "-c", f"dd if=/dev/zero of={state}/filler bs=64k count=1000 2>/dev/null || true")
    machine.run("truncate", "-s", "-128k", f"{state}/filler")
    acknowledged, error = write_until_refused(daemon)
    assert error.status in (500, 503)
    assert "No space left on device" in error.message, error
    status = daemon.becomes(state="error", ready=False)
    assert "No space left on device" in status["error"]
    assert "No space left on device" in daemon.run("status").stdout
    with pytest.raises(ApiError, match="No space left on device"):
        daemon.post("/services/create", service_spec("late", 0))
    assert machine.started() == before
    assert daemon.stop() == 0
    machine.run("rm", f"{state}/filler")
    daemon.start()
    daemon.becomes(state="active", ready=True)
    there = {service["Spec"]["Name"]: service["ID"] for service in daemon.get("/services")}
    assert acknowledged.items() <= there.items()
    daemon.running("run", 1)
    assert machine.started() == before
    daemon.post("/services/create", service_spec("after", 0))
    daemon.post("/swarm/leave?force=1")
    assert daemon.status()["state"] == "inactive"
    daemon.stop()
    machine.run("umount", state)


def test_a_full_disk_makes_no_half_a_member(machine: Machine) -> None:
    daemon = machine.daemon
    state = str(daemon.state_dir)
    machine.run("mkdir", "-p", state)
    machine.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", state)
    daemon.start()
    machine.run("sh", "-c", f"dd if=/dev/zero of={state}/filler bs=4k count=1000 2>/dev/null || true")
    for pages in range(12):
        try:
            daemon.post("/swarm/init", MANAGER)
            break
        except ApiError as error:
            assert error.status == 503 and FULL.search(error.message), error
        assert daemon.status()["state"] == "inactive"
        assert machine.run("ls", state).split() == ["filler", "lock"], pages
        machine.run("truncate", "-s", "-4k", f"{state}/filler")
    daemon.stop()
    machine.run("umount", state)


def overwrite(path: pathlib.Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def newer_log(state: pathlib.Path) -> pathlib.Path:
    path = state / "raft" / "log"
    overwrite(path, 0, frames.encode_file_header(path.read_bytes()[:8], 99, 0))
    return path


def newer_database(state: pathlib.Path) -> pathlib.Path:
    path = state / "tasks.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    return path


def no_log(state: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(state / "raft")
    return state / "raft"


def no_key(state: pathlib.Path) -> pathlib.Path:
    path = state / "certificates" / "swarm-node.key"
    path.unlink()
    return path


def open_key(state: pathlib.Path) -> pathlib.Path:
    path = state / "certificates" / "swarm-node.key"
    path.chmod(0o644)
    return path


def linked_key(state: pathlib.Path) -> pathlib.Path:
    path = state / "certificates" / "swarm-node.key"
    path.rename(state / "key")
    path.symlink_to(state / "key")
    return path


def damaged_log(state: pathlib.Path) -> pathlib.Path:
    path = state / "raft" / "log"
    overwrite(path, path.stat().st_size // 2, b"\xa5" * 16)
    return path


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (newer_log, "newer release"),
        (newer_database, "newer"),
        (no_log, "the log of this manager is missing"),
        (no_key, "is missing: restore it"),
        (open_key, "may be read by others"),
        (linked_key, "is a symbolic link"),
        (damaged_log, "is damaged"),
    ],
)
def test_what_cannot_be_used_is_named_in_the_status_and_can_be_left(machine: Machine, harm: Any, words: str) -> None:
    daemon = founded(machine)
    daemon.service("web", 2)
    daemon.running("web", 2)
    before, old = machine.started(), daemon.status()
    daemon.stop()
    path = harm(daemon.state_dir)
    daemon.start()
    status = daemon.status()
    assert (status["state"], status["ready"]) == ("error", False)
    assert str(path) in status["error"] and words in status["error"], status["error"]
    for key in ("role", "node_id", "cluster_id", "node_addr", "managers"):
        assert status[key] == old[key]
    shown = daemon.run("status")
    assert shown.returncode == 1 and words in shown.stdout
    assert machine.started() == before
    with pytest.raises(ApiError, match="being prepared or has trouble"):
        daemon.get("/services")
    with pytest.raises(ApiError, match="already part of a swarm"):
        daemon.post("/swarm/init", MANAGER)
    with pytest.raises(ApiError, match="leaving with force gives the local state up"):
        daemon.post("/swarm/leave")
    daemon.post("/swarm/leave?force=1")
    assert (daemon.status()["state"], daemon.status()["error"]) == ("inactive", "")
    assert machine.containers(all=True) == []
    daemon.post("/swarm/init", MANAGER)
    assert daemon.becomes(state="active", ready=True)["cluster_id"] != old["cluster_id"]


def test_a_port_that_is_taken_is_named_and_taken_later(machine: Machine) -> None:
    daemon = founded(machine)
    old = daemon.status()
    daemon.stop()
    other = Daemon(daemon.folder / "other", machine.engine.socket, inside=machine.engine.namespaces).start()
    other.post("/swarm/init", MANAGER)
    for port in ("24377", "24376"):  # the control port is taken, and the port of joins
        with pytest.raises(ApiError, match=f"cannot .*{port if port == '24377' else '24377'}"):
            third = Daemon(daemon.folder / f"third{port}", machine.engine.socket, inside=machine.engine.namespaces)
            third.start().post("/swarm/init", {"ListenAddr": f"127.0.0.1:{port}", "AdvertiseAddr": "127.0.0.1"})
        assert sorted(path.name for path in third.state_dir.iterdir()) == ["lock"]
        assert third.status()["state"] == "inactive"
        third.stop()
    daemon.start()
    status = daemon.status()
    assert (status["state"], status["node_id"]) == ("error", old["node_id"])
    assert "24377" in status["error"] and "is another daemon using the port?" in status["error"]
    other.post("/swarm/leave?force=1")
    assert daemon.becomes(state="active", ready=True)["node_id"] == old["node_id"]
    other.stop()


def test_dockerd_that_became_a_swarm_of_its_own_keeps_us_out_until_it_left(machine: Machine) -> None:
    daemon = founded(machine)
    daemon.service("web", 1)
    daemon.running("web", 1)
    before = machine.started()
    daemon.stop()
    with machine.engine.client() as client:
        client.init_swarm("127.0.0.1:23377", "127.0.0.1:23377")
        daemon.start()
        status = daemon.status()
        assert status["state"] == "error"
        assert f"'docker -H unix://{machine.engine.socket} swarm leave --force'" in status["error"]
        assert machine.started() == before
        client.leave_swarm(force=True)
    daemon.becomes(state="active", ready=True)
    daemon.running("web", 1)
    assert machine.started() == before


def test_nobody_waits_for_a_membership_that_was_given_up(machine: Machine) -> None:
    daemon = founded(machine)
    daemon.stop()
    other = Daemon(daemon.folder / "other", machine.engine.socket, inside=machine.engine.namespaces).start()
    other.post("/swarm/init", MANAGER)
    daemon.start()
    assert daemon.status()["state"] == "error"
    daemon.post("/swarm/leave?force=1")
    other.post("/swarm/leave?force=1")
    other.stop()
    daemon.post("/swarm/init", MANAGER)
    until(lambda: daemon.status()["ready"], daemon.tail)
    assert not daemon.said("background task")
