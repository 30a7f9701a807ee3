# SPDX-License-Identifier: Apache-2.0
"""One of three real hosts whose disk is full: what it cannot run says why and runs elsewhere; then it comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lablib.handle import Host
from swarmlib import SLOW, Swarm

DISK = "/mnt/small"
FOLDERS = ("/var/lib/docker", "/var/lib/queenright")
UNITS = "queenright docker.socket docker"
FULL = "no space left on device"
START = "systemctl reset-failed docker docker.socket; systemctl start docker queenright"  # docker.service counts starts


@pytest.fixture
def small(swarm: Swarm) -> Iterator[Host]:
    """A worker whose engine and runtime have a small disk of their own, both of them the same one."""
    host = swarm.hosts[-1]
    host.run(f"systemctl stop {UNITS}")
    host.run(f"mkdir -p {DISK} && mount -t tmpfs -o size=96m tmpfs {DISK}")
    for folder in FOLDERS:
        place = f"{DISK}{folder}"
        host.run(f"mkdir -p {place} && chmod --reference={folder} {place}")
        if folder != "/var/lib/docker":
            host.run(f"cp -a {folder}/. {place}")
        host.run(f"mount --bind {place} {folder}")
    host.run(START)
    swarm.await_ready()
    yield host
    swarm.clear()
    host.run(f"systemctl stop {UNITS}")
    host.run(f"rm -f {DISK}/filler; cp -a {DISK}/var/lib/queenright/. /mnt/kept || true")
    for folder in FOLDERS:
        host.run(f"umount -l {folder}")  # the topmost and all in it; -R of newer ones takes what lies below as well
    host.run("cp -a /mnt/kept/. /var/lib/queenright && rm -r /mnt/kept", check=False)
    host.run(f"umount -R {DISK} && {{ {START}; }}")
    swarm.await_ready()


def fill(host: Host) -> None:
    """Write until nothing more fits."""
    host.run(
        f"dd if=/dev/zero of={DISK}/filler bs=64k 2>/dev/null; dd if=/dev/zero bs=1 >> {DISK}/filler 2>/dev/null; true"
    )
    assert host.out(f"df --output=avail {DISK} | tail -1").strip() == "0"


def test_a_task_whose_nodes_disk_is_full_says_so_and_runs_elsewhere_until_there_is_room(
    swarm: Swarm, small: Host
) -> None:
    swarm.create("before", "web:v1", 3)
    assert swarm.spread("before") == {host.name: 1 for host in swarm.hosts}
    kept = next(task["ID"] for task in swarm.tasks("before") if task["NodeID"] == swarm.node(small)["ID"])
    fill(small)

    swarm.docker(
        *("service", "create", "--detach", "--name", "web", "--replicas", "3", "--restart-delay", "200ms"),
        swarm.lab.image("web:v2"),
    )
    full = swarm.node(small)["ID"]
    swarm.await_running("web", 3, lambda task: task["NodeID"] != full)
    refused = [task for task in swarm.get("/tasks", service=["web"]) if task.get("NodeID") == full]
    assert refused and all(task["Status"]["State"] == "rejected" for task in refused)
    assert all(FULL in task["Status"]["Err"] for task in refused), [task["Status"] for task in refused]
    assert FULL in swarm.manager.run(f"queenright why {refused[0]['ID']}").stdout
    assert swarm.node(small)["Status"]["State"] == "ready", "its node is no worse for it"
    assert kept in {task["ID"] for task in swarm.tasks("before")}, "what ran there runs on"

    small.run(f"rm {DISK}/filler")
    swarm.create("after", "web:v3", 6)
    assert swarm.spread("after")[small.name] == 2
    assert kept in {task["ID"] for task in swarm.tasks("before")}


def test_a_daemon_that_is_restarted_on_a_full_disk_keeps_its_containers_and_goes_on_when_there_is_room(
    swarm: Swarm, small: Host
) -> None:
    swarm.create("web", "web:v1", 3)
    here = swarm.node(small)["ID"]
    kept = next(task["ID"] for task in swarm.tasks("web") if task["NodeID"] == here)
    started = small.out("docker ps -q --no-trunc")
    fill(small)
    small.run("systemctl restart queenright", check=False)
    assert small.out("docker ps -q --no-trunc") == started
    small.run(f"rm {DISK}/filler")
    small.run("systemctl restart queenright")
    swarm.lab.poll(lambda: swarm.node(small)["Status"]["State"] == "ready", 60 * SLOW, "the node to be ready again")
    swarm.await_running("web", 3)
    assert kept in {task["ID"] for task in swarm.tasks("web")}
    assert small.out("docker ps -q --no-trunc") == started
