# SPDX-License-Identifier: Apache-2.0
"""The collection on the lab's hosts as users have it: installed from its tarball into an empty project, run by ssh."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lablib.handle import TOOLS, Done, Host, RunningLab
from lablib.paths import REPOSITORY

SOCKET = "/run/queenright/engine.sock"
OWN = "com.docker.swarm.task.id"
FOREIGN = "foreign"
SLOW = 8
"""How much slower than a quiet one a machine may be."""
Accept = Callable[[dict[str, Any]], bool]


class Project:
    """An empty folder with the collection in it; ``play`` runs playbooks there."""

    def __init__(self, lab: RunningLab, folder: pathlib.Path) -> None:
        self.lab = lab
        self.folder = folder
        variables = {"runtime_wheelhouse": lab.wheelhouse(), "runtime_wheelhouse_remote": True}
        (folder / "vars.json").write_text(json.dumps(variables))

    def install(self) -> None:
        """Build the tarball of this checkout and install it."""
        built = subprocess.run(
            [str(REPOSITORY / "scripts/build"), str(self.folder / "dist")], capture_output=True, text=True
        )
        assert built.returncode == 0, built.stdout + built.stderr
        tarball = built.stdout.splitlines()[-1]
        command = [str(TOOLS / "ansible-galaxy"), "collection", "install", "--offline", "--force", "-p"]
        subprocess.run([*command, str(self.folder), tarball], check=True, capture_output=True)

    def play(self, playbook: str, *arguments: str, check: bool = True) -> Done:
        """Run a playbook (or a file of the project) on the lab's hosts."""
        where = {"ANSIBLE_COLLECTIONS_PATH": str(self.folder), "PATH": f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin"}
        variables = f"@{self.folder / 'vars.json'}"
        return self.lab.ansible_playbook(playbook, "-e", variables, *arguments, check=check, cwd=self.folder, env=where)

    def task(self, module: str, hosts: str = "host1", check: bool = True, **arguments: Any) -> Done:
        """Run one module on hosts, by its short name."""
        plays = [
            {
                "hosts": hosts,
                "gather_facts": False,
                "tasks": [{f"queenright.swarm.{module}": arguments}],
            }
        ]
        path = self.folder / "task.json.yml"
        path.write_text(json.dumps(plays))
        return self.play(str(path), "-v", check=check)


class Swarm:
    """The swarm of the lab's hosts; host1 manages it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.lab = project.lab
        self.hosts = project.lab.hosts
        self.manager = project.lab.hosts[0]

    def docker(self, *arguments: str, check: bool = True, stdin: str | None = None) -> Done:
        """Docker's command line on the manager, with the swarm behind it."""
        return self.manager.run(["docker", "--context", "swarm", *arguments], check=check, stdin=stdin)

    def get(self, path: str, host: Host | None = None, **filters: Any) -> Any:
        """GET of the host socket (of the manager)."""
        if filters:
            path += "?filters=" + urllib.parse.quote(json.dumps(filters))
        line = f"curl -sS --fail-with-body --unix-socket {SOCKET} 'http://x{path}'"
        return json.loads((host or self.manager).out(line))

    def status(self, host: Host) -> dict[str, Any]:
        """The runtime's own word on a host."""
        found: dict[str, Any] = self.get("/queenright/v1/status", host)
        return found

    def create(self, name: str, image: str = "web:v1", replicas: int = 1, *more: str) -> None:
        """Create a service and return when it has converged."""
        options = ["--detach", "--name", name, "--replicas", str(replicas), *more]
        self.docker("service", "create", *options, self.lab.image(image))
        self.await_running(name, replicas)

    def tasks(self, name: str, state: str = "running") -> list[dict[str, Any]]:
        """A service's tasks that are in a state."""
        found = self.get("/tasks", service=[name])
        return [task for task in found if task["Status"]["State"] == state and task["DesiredState"] == "running"]

    def await_running(self, name: str, count: int, accept: Accept = lambda task: True) -> float:
        """Wait until ``count`` tasks of a service run, all of them as ``accept`` wants; seconds that it took."""
        began = time.monotonic()

        def there() -> bool:
            tasks = self.tasks(name)
            return len(tasks) == count and all(accept(task) for task in tasks)

        self.lab.poll(there, 60 * SLOW, f"{count} tasks of {name} to run as they should")
        return time.monotonic() - began

    def spread(self, name: str) -> dict[str, int]:
        """How many running tasks of a service each host has."""
        names = {node["ID"]: node["Description"]["Hostname"] for node in self.get("/nodes")}
        counts = dict.fromkeys(names.values(), 0)
        for task in self.tasks(name):
            counts[names[task["NodeID"]]] += 1
        return counts

    def node(self, host: Host) -> dict[str, Any]:
        """The node object of a host."""
        found: dict[str, Any] = next(
            node for node in self.get("/nodes") if node["Description"]["Hostname"] == host.name
        )
        return found

    def await_ready(self) -> None:
        """Until every node is ready and takes tasks, and each host's runtime says so."""

        def ready() -> bool:
            nodes = self.get("/nodes")
            return len(nodes) == len(self.hosts) and all(
                node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active" for node in nodes
            )

        self.lab.poll(ready, 30 * SLOW, "all nodes to be ready")

    def forget_the_dead(self) -> None:
        """Remove the nodes of hosts that were made anew and have joined as others meanwhile."""

        def known() -> dict[str, str]:
            return {node["ID"]: node["Status"]["State"] for node in self.get("/nodes")}

        if len(known()) > len(self.hosts):
            spare = len(known()) - len(self.hosts)
            self.lab.poll(lambda: list(known().values()).count("down") == spare, 30 * SLOW, "spare nodes to be down")
            for node_id, state in known().items():
                if state == "down":
                    self.docker("node", "rm", node_id)

    def clear(self) -> None:
        """Remove all services and wait until their containers are gone."""
        self.manager.run("docker --context swarm service ls -q | xargs -r -n 100 docker --context swarm service rm")
        for node in self.get("/nodes"):
            if node["Spec"]["Availability"] != "active":
                self.docker("node", "update", "--availability", "active", node["ID"])
        for host in self.hosts:
            self.lab.poll(lambda host=host: not containers(host), 30 * SLOW, f"{host.name} to be clear")


def containers(host: Host, label: str = OWN) -> dict[str, str]:
    """Containers with a label: id to the moment it was started, the number of restarts and whether it runs. One that
    goes away meanwhile is not among them.
    """
    form = "{{.Id}} {{.State.StartedAt}}/{{.RestartCount}}/{{.State.Running}}"
    command = f"docker ps -aq --no-trunc --filter label={label} | xargs -r docker inspect -f '{form}'"
    found = host.run(command, check=False)
    assert found.returncode == 0 or "No such object" in found.stderr, found  # one that went meanwhile
    lines = found.stdout.strip()
    return dict(line.split(" ", 1) for line in lines.splitlines())


@pytest.fixture(scope="session")
def project(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The collection, installed from this checkout's tarball."""
    made = Project(lab, tmp_path_factory.mktemp("project"))
    made.install()
    return made


@pytest.fixture(scope="module")
def formed(project: Project) -> Swarm:
    """A swarm of all hosts, by site.yml."""
    for host in project.lab.hosts:
        host.wait()
    project.play("queenright.swarm.site")
    swarm = Swarm(project)
    swarm.forget_the_dead()
    return swarm


@pytest.fixture
def swarm(formed: Swarm) -> Iterator[Swarm]:
    """A swarm whose nodes are all ready; services of a test are gone after it."""
    formed.await_ready()
    yield formed
    formed.lab.restore()
    formed.clear()


@pytest.fixture
def mesh(swarm: Swarm) -> Iterator[Swarm]:
    """A swarm in which no network is left after the test."""
    yield swarm
    swarm.lab.restore()
    swarm.clear()
    for network in swarm.get("/networks", driver=["overlay"]):
        if network["Name"] != "ingress":
            swarm.docker("network", "rm", network["Id"])
