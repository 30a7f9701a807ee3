# SPDX-License-Identifier: Apache-2.0
"""The routing mesh on three real hosts: the announcement's own commands, names, updates and losses under load."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lablib import client
from lablib.handle import Host
from swarmlib import SLOW, Swarm, containers

KNOCK = pathlib.Path(__file__).with_name("knock.py")
PORT = 80
STATE = "ip -o link | cut -d: -f2; ip netns list; nft list ruleset | grep -v packets; iptables-save | grep -v '^[#:]'"


class Knocking:
    """``knock.py`` on the control side, at the published port of hosts, until :meth:`end`."""

    def __init__(self, swarm: Swarm, hosts: list[Host], rate: int) -> None:
        addresses = [f"{host.address}:{PORT}" for host in hosts]
        argv = client.inside(swarm.lab.place, ["/usr/bin/python3", str(KNOCK), str(rate), *addresses])
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "knocking\n"

    def end(self) -> dict[str, Any]:
        """``asked``, ``answers``, ``failed``."""
        out, _ = self._process.communicate()
        found: dict[str, Any] = json.loads(out)
        return found


def published(swarm: Swarm, name: str, replicas: int, *more: str, image: str = "web:v1") -> None:
    """A service at port 80 of every node, and every node answers."""
    options = ["--name", name, "--replicas", str(replicas), "--publish", f"{PORT}:80", *more]
    swarm.docker("service", "create", "--detach", *options, swarm.lab.image(image))
    swarm.await_running(name, replicas)
    for host in swarm.hosts:
        answers(swarm, host, PORT)


def answers(swarm: Swarm, host: Host, port: int) -> str:
    """What a host's published port says, once it says something."""
    url = f"http://{host.address}:{port}/"
    return swarm.lab.poll(
        lambda: (found := swarm.lab.http(url))[0] == 200 and found[1], 20 * SLOW, f"{url} to answer", pause=0.5
    )


def inside(host: Host, service: str, *command: str) -> str:
    """The output of a command in a container of a service on a host."""
    name = host.out(f"docker ps --format '{{{{.Names}}}}' --filter name=^{service}\\\\.").split()[0]
    return host.run(["docker", "exec", name, *command], check=False).stdout


@pytest.fixture
def mesh(swarm: Swarm) -> Iterator[Swarm]:
    """A swarm in which no network is left after the test."""
    yield swarm
    swarm.lab.restore()
    swarm.clear()
    for network in swarm.get("/networks", driver=["overlay"]):
        if network["Name"] != "ingress":
            swarm.docker("network", "rm", network["Id"])


def test_the_announcement_s_own_commands_do_what_it_says(mesh: Swarm) -> None:
    published(mesh, "frontend", 2)
    idle = [host for host in mesh.hosts if not containers(host)]
    assert idle, "one host has no task and answers all the same"
    mesh.docker("service", "scale", "--detach", "frontend=12")
    mesh.await_running("frontend", 12)
    names = set()

    def all_seen() -> bool:
        names.update(answers(mesh, mesh.hosts[0], PORT) for _ in range(10))
        return len(names) == 12

    mesh.lab.poll(all_seen, 30 * SLOW, "all tasks to answer at one host")


def test_services_of_a_network_find_each_other_by_name(mesh: Swarm) -> None:
    mesh.docker("network", "create", "--driver", "overlay", "mynet")
    for name in ("frontend", "redis"):
        mesh.docker(
            "service", "create", "--detach", "--name", name, "--replicas", "3", "--network", "mynet",
            mesh.lab.image("web:v1"),
        )  # fmt: skip
    for name in ("frontend", "redis"):
        mesh.await_running(name, 3)
    service = mesh.get("/services/redis")
    (vip,) = service["Endpoint"]["VirtualIPs"]
    for host in mesh.hosts:
        found = mesh.lab.poll(
            lambda host=host: inside(host, "frontend", "sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc redis 80"),
            20 * SLOW,
            f"redis to answer a task on {host.name}",
        )
        assert found.splitlines()[-1].startswith("v1 ")
        assert vip["Addr"].partition("/")[0] in inside(host, "frontend", "nslookup", "redis")
        several = inside(host, "frontend", "nslookup", "tasks.redis")
        for task in mesh.tasks("redis"):
            (attached,) = task["NetworksAttachments"]
            assert attached["Addresses"][0].partition("/")[0] in several


def under_load(mesh: Swarm, what: Callable[[], None], hosts: list[Host], rate: int = 200) -> dict[str, Any]:
    """What came of the requests that were made while ``what`` went on."""
    knocking = Knocking(mesh, hosts, rate)
    try:
        what()
    finally:
        found = knocking.end()
    assert found["asked"] > 100, found
    return found


def test_a_rolling_update_loses_no_request(mesh: Swarm, record_property: Any) -> None:
    published(mesh, "web", 10, "--update-parallelism", "2", image="web:healthy")

    def update() -> None:
        mesh.docker("service", "update", "--detach", "--env-add", "VERSION=new", "web")
        mesh.lab.poll(
            lambda: mesh.get("/services/web").get("UpdateStatus", {}).get("State") == "completed",
            120 * SLOW,
            "the update to complete",
            pause=1,
        )

    found = under_load(mesh, update, mesh.hosts)
    record_property("failed_requests_update", len(found["failed"]))
    record_property("requests_update", found["asked"])
    assert found["failed"] == []
    assert {body.split()[0] for body in found["answers"]} == {"healthy", "new"}


def test_draining_a_node_loses_no_request(mesh: Swarm, record_property: Any) -> None:
    published(mesh, "web", 6, image="web:healthy")
    drained = mesh.hosts[-1]
    node = mesh.node(drained)["ID"]

    def drain() -> None:
        mesh.docker("node", "update", "--availability", "drain", node)
        mesh.await_running("web", 6, lambda task: task["NodeID"] != node)
        mesh.lab.poll(lambda: not running(drained), 60 * SLOW, "the drained host to be empty")

    found = under_load(mesh, drain, mesh.hosts)
    record_property("failed_requests_drain", len(found["failed"]))
    assert found["failed"] == []


def running(host: Host) -> list[str]:
    """Containers of tasks that run."""
    return [key for key, state in containers(host).items() if state.endswith("/true")]


def leave(mesh: Swarm, host: Host) -> None:
    """Take a worker out of the swarm, and its node out of the list."""
    node = mesh.node(host)["ID"]
    mesh.project.task("swarm_leave", hosts=host.name)
    mesh.lab.poll(lambda: mesh.node(host)["Status"]["State"] == "down", 30 * SLOW, "the node to be down")
    mesh.docker("node", "rm", node)


def test_after_leave_the_host_is_as_it_was_before_the_join(mesh: Swarm) -> None:
    host = mesh.hosts[-1]
    leave(mesh, host)
    before = host.out(STATE)
    mesh.project.play("queenright.swarm.site")
    mesh.await_ready()
    published(mesh, "web", 6)
    assert host.out("ip netns list"), "there is something to be removed"
    leave(mesh, host)
    assert host.out(STATE) == before
    mesh.project.play("queenright.swarm.site")
    mesh.await_ready()
