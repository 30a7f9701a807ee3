# SPDX-License-Identifier: Apache-2.0
"""The routing mesh on three real hosts: the announcement's own commands, names, reboots and flushed rules, and what is
left of it after ``leave``. What clients lose is counted in ``test_mesh_load.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lablib.handle import Host
from meshlib import PORT, answers, inside, published, running, state
from swarmlib import SLOW, Swarm

HELLO = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc redis 80"
NO_MESH = "! ip netns list | grep -q swns- && ! nft list table inet swmesh && ! ip link show swgw0"
MANY = 100


def seen_at(mesh: Swarm, host: Host, count: int) -> None:
    """Ask a host until that many different tasks have answered."""
    names: set[str] = set()

    def all_seen() -> bool:
        done = mesh.lab.run(
            ["sh", "-c", f"for i in $(seq {2 * count}); do curl -sS -m 10 http://{host.address}/; done"]
        )
        names.update(done.stdout.split("\n"))
        return len(names - {""}) == count

    mesh.lab.poll(all_seen, 60 * SLOW, f"{count} tasks to answer at {host.name}")


@pytest.mark.releases
def test_the_announcement_s_own_commands_do_what_it_says(mesh: Swarm) -> None:
    idle = mesh.hosts[-1]
    mesh.docker("node", "update", "--availability", "drain", mesh.node(idle)["ID"])
    image = mesh.lab.image("web:v1")
    mesh.docker("service", "create", "--name", "frontend", "--replicas", "5", "-p", "80:80", image)
    assert len(mesh.tasks("frontend")) == 5, "the command returns when the service has converged"
    assert not running(idle)
    for host in mesh.hosts:
        answers(mesh, host)
        seen_at(mesh, host, 5)
    mesh.docker("node", "update", "--availability", "active", mesh.node(idle)["ID"])
    mesh.docker("service", "scale", "frontend=12")
    assert len(mesh.tasks("frontend")) == 12
    for host in mesh.hosts:
        seen_at(mesh, host, 12)


@pytest.mark.long
def test_a_frontend_of_a_hundred_tasks_answers_with_all_of_them_at_every_node(
    mesh: Swarm, record_property: Any
) -> None:
    published(mesh, "frontend", 5)
    mesh.docker("service", "scale", "--detach", f"frontend={MANY}")
    record_property("scale_100_s", round(mesh.await_running("frontend", MANY), 1))
    for host in mesh.hosts:
        seen_at(mesh, host, MANY)


@pytest.mark.releases
def test_services_of_a_network_find_each_other_by_name(mesh: Swarm) -> None:
    mesh.docker("network", "create", "-d", "overlay", "mynet")
    for name in ("frontend", "redis"):
        options = ["--detach", "--name", name, "--replicas", "3", "--network", "mynet"]
        mesh.docker("service", "create", *options, mesh.lab.image("web:v1"))
    for name in ("frontend", "redis"):
        mesh.await_running(name, 3)
    service = mesh.get("/services/redis")
    (vip,) = service["Endpoint"]["VirtualIPs"]
    for host in mesh.hosts:
        found = mesh.lab.poll(
            lambda host=host: inside(host, "frontend", "sh", "-c", HELLO), 20 * SLOW, f"redis to answer on {host.name}"
        )
        assert found.splitlines()[-1].startswith("v1 ")
        assert vip["Addr"].partition("/")[0] in inside(host, "frontend", "nslookup", "redis")
        several = inside(host, "frontend", "nslookup", "tasks.redis")
        for task in mesh.tasks("redis"):
            (attached,) = task["NetworksAttachments"]
            assert attached["Addresses"][0].partition("/")[0] in several


def own(host: Host) -> dict[str, str]:
    """The same as ``state``, without what containers on Docker's own bridge change: their links, and its carrier."""
    found = state(host)
    found.pop("ip route")
    (links,) = (key for key in found if key.startswith("ip -o link"))
    names = (line.partition(":")[0] for line in found[links].splitlines())
    found[links] = " ".join(name for name in names if not name.startswith("veth"))
    return found


def test_who_publishes_nothing_and_uses_no_network_pays_nothing(mesh: Swarm) -> None:
    for host in mesh.hosts:
        mesh.lab.poll(lambda host=host: host.run(NO_MESH, check=False).returncode == 0, 20 * SLOW, "no mesh")
    before = {host.name: own(host) for host in mesh.hosts}
    mesh.create("web", "web:v1", 6)
    for host in mesh.hosts:
        assert len(running(host)) == 2
        assert own(host) == before[host.name]
        assert "swarm:" not in host.out("ip -d link")


def test_a_host_that_boots_answers_again_by_itself(mesh: Swarm) -> None:
    published(mesh, "web", 6)
    mesh.hosts[-1].reboot()
    answers(mesh, mesh.hosts[-1])
    mesh.await_ready()
    mesh.await_running("web", 6)
    for host in mesh.hosts:
        seen_at(mesh, host, 6)


@pytest.mark.parametrize("flush", ["iptables -F; ip6tables -F", "iptables -t nat -F", "nft flush ruleset"])
def test_a_host_whose_rules_were_flushed_answers_again_by_itself(mesh: Swarm, flush: str) -> None:
    host = mesh.hosts[-1]
    published(mesh, "web", 3)
    table = "nft list table inet swmesh 2> /dev/null | grep -v packets"
    before = host.out(table)
    host.run(flush)
    mesh.lab.poll(lambda: host.run(table, check=False).stdout.strip() == before, 20 * SLOW, "our table to be back")
    seen_at(mesh, host, 3)
    seen_at(mesh, mesh.hosts[0], 3)


def leave(mesh: Swarm, host: Host) -> None:
    """Take a worker out of the swarm, and its node out of the list."""
    node = mesh.node(host)["ID"]
    mesh.project.task("swarm_leave", hosts=host.name)
    mesh.lab.poll(lambda: mesh.node(host)["Status"]["State"] == "down", 30 * SLOW, "the node to be down")
    mesh.docker("node", "rm", node)


@pytest.fixture
def newcomer(mesh: Swarm) -> Iterator[Host]:
    """A host that has joined no swarm yet; it is back in after the test."""
    host = mesh.hosts[-1]
    leave(mesh, host)
    host.reimage()
    mesh.lab.poll(lambda: host.run("docker version", check=False).returncode == 0, 30 * SLOW, "the engine to answer")
    yield host
    mesh.project.play("queenright.swarm.site")
    mesh.forget_the_dead()
    mesh.await_ready()


@pytest.mark.releases
def test_after_leave_the_host_is_as_it_was_before_the_join(mesh: Swarm, newcomer: Host) -> None:
    before = state(newcomer)
    mesh.project.play("queenright.swarm.site")
    mesh.await_ready()
    published(mesh, "web", 6)
    mesh.docker("network", "create", "-d", "overlay", "mynet")
    mesh.create("inner", "web:v1", 3, "--network", "mynet")
    during = state(newcomer)
    assert {key for key, text in during.items() if text != before[key]} >= {"ip netns list", "nft list ruleset"}
    leave(mesh, newcomer)
    assert state(newcomer) == before
    assert f":{PORT} " not in newcomer.out("ss -Hltn")
