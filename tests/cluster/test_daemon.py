# SPDX-License-Identifier: Apache-2.0
"""The daemon stops, is killed, is upgraded: containers do not notice, and what was acknowledged stays."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest
from lablib.handle import Host
from lablib.paths import REPOSITORY
from swarmlib import SLOW, SOCKET, Swarm, containers

# Writes services one after the other and notes each that was acknowledged, until a file appears.
_LOAD = """
import http.client, json, os, socket, sys, time
path, image, done, number = sys.argv[1], sys.argv[2], [], 0
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
while not os.path.exists("/tmp/stop-load"):
    number += 1
    name = f"load{number}"
    body = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Replicated": {"Replicas": 0}}}
    connection = Connection("localhost")
    try:
        connection.request("POST", "/services/create", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 201:
            done.append(name)
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    time.sleep(0.01)
print(json.dumps({"acknowledged": done, "tried": number}))
"""


def all_containers(swarm: Swarm) -> dict[str, dict[str, str]]:
    return {host.name: containers(host) for host in swarm.hosts}


def main_pid(host: Host) -> int:
    return int(host.out("systemctl show -P MainPID queenright.service"))


def await_another(swarm: Swarm, host: Host, former: int) -> None:
    """Until another daemon than ``former`` runs on the host and is ready."""

    def there() -> bool:
        if main_pid(host) in (0, former):
            return False
        found = host.run(f"curl -sS --unix-socket {SOCKET} http://x/queenright/v1/status", check=False)
        return found.returncode == 0 and json.loads(found.stdout)["ready"]

    swarm.lab.poll(there, 30 * SLOW, f"the daemon of {host.name} to be ready again")


def test_a_restarted_unit_leaves_every_container_alone(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 6)
    before = all_containers(swarm)
    for host in swarm.hosts:
        former = main_pid(host)
        host.run("systemctl restart queenright")
        await_another(swarm, host, former)
    swarm.await_ready()
    assert all_containers(swarm) == before
    assert len(swarm.tasks("web")) == 6
    swarm.docker("service", "scale", "--detach", "web=7")
    swarm.await_running("web", 7)
    for host in swarm.hosts:
        assert "SWMTKN" not in host.out("journalctl -u queenright -b -o cat")


def test_a_container_that_ends_while_the_daemon_is_away_is_replaced_when_it_is_back(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 3)
    host = swarm.hosts[-1]
    (victim,) = containers(host)
    host.run("systemctl stop queenright.socket queenright.service")
    host.run(f"docker kill {victim}")
    host.run("systemctl start queenright.socket queenright.service")
    swarm.await_running("web", 3, lambda task: task["Status"]["ContainerStatus"]["ContainerID"] != victim)
    failed = [task for task in swarm.get("/tasks", service=["web"]) if task["Status"]["State"] == "failed"]
    assert [task["Status"]["ContainerStatus"]["ExitCode"] for task in failed] == [137]


def test_killed_daemons_under_load_restart_no_container_and_lose_no_acknowledged_write(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 6)
    before = all_containers(swarm)
    manager = swarm.manager
    manager.write("/root/load.py", _LOAD)
    manager.run("rm -f /tmp/stop-load /root/load.json")
    manager.run(
        "systemd-run --quiet --unit load --collect -p StandardOutput=file:/root/load.json "
        f"python3 /root/load.py {SOCKET} {swarm.lab.image('web:v1')}"
    )
    try:
        for host in [*swarm.hosts, manager]:
            former = main_pid(host)
            host.run(f"kill -9 {former}")
            await_another(swarm, host, former)
    finally:
        manager.run("touch /tmp/stop-load")
    swarm.lab.poll(
        lambda: manager.run("systemctl is-active load", check=False).returncode, 60 * SLOW, "the load to end"
    )
    noted = json.loads(manager.out("cat /root/load.json"))
    assert noted["acknowledged"]
    print(f"{len(noted['acknowledged'])} of {noted['tried']} writes were acknowledged while daemons were killed")
    there = {service["Spec"]["Name"] for service in swarm.get("/services")}
    assert not set(noted["acknowledged"]) - there
    swarm.await_ready()
    assert all_containers(swarm) == before
    assert len(swarm.tasks("web")) == 6


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two later releases: one that is good and one whose daemon does not start."""
    return {
        "good": _release(tmp_path_factory.mktemp("good"), "0.1.1", ""),
        "bad": _release(tmp_path_factory.mktemp("bad"), "0.1.2", "raise RuntimeError('this release is broken')\n"),
    }


def _release(folder: pathlib.Path, version: str, poison: str) -> str:
    source = folder / "runtime"
    subprocess.run(["cp", "-rL", str(REPOSITORY / "runtime"), str(source)], check=True)
    package = source / "src/queenright"
    (package / "__init__.py").write_text(f'"""A test\'s release."""\n\n__version__ = "{version}"\n')
    daemon = package / "app/daemon.py"
    daemon.write_text(daemon.read_text() + poison)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return str(next(folder.glob("queenright-*.whl")))


def test_an_upgrade_keeps_containers_and_one_that_fails_is_taken_back(swarm: Swarm, wheels: dict[str, str]) -> None:
    swarm.create("web", "web:v1", 6)
    before = all_containers(swarm)
    source = {"wheelhouse": swarm.lab.wheelhouse(), "wheelhouse_remote": True}
    swarm.project.task("swarm_runtime", hosts="all", wheel=wheels["good"], **source)
    assert {swarm.status(host)["version"] for host in swarm.hosts} == {"0.1.1"}
    swarm.await_ready()
    assert all_containers(swarm) == before
    failed = swarm.project.task("swarm_runtime", check=False, wheel=wheels["bad"], ready_timeout=20, **source)
    words = " ".join(failed.stdout.split())
    assert "this release is broken" in words, words
    assert "The host runs release 0.1.1-" in words
    swarm.lab.poll(lambda: swarm.status(swarm.manager)["ready"], 30 * SLOW, "the manager to be ready again")
    assert swarm.status(swarm.manager)["version"] == "0.1.1"
    assert all_containers(swarm) == before
    refused = swarm.project.task("swarm_runtime", hosts="host2", check=False, state="absent")
    assert "let it leave first" in " ".join(refused.stdout.split())
    swarm.project.play("queenright.swarm.site", "--tags", "runtime")
    assert {swarm.status(host)["version"] for host in swarm.hosts} == {"0.1.0"}
    swarm.await_ready()
    assert all_containers(swarm) == before
