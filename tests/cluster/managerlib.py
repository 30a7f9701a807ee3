# SPDX-License-Identifier: Apache-2.0
"""A group of managers on real hosts: who leads, who follows, load on it, and whether all hold the same."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from lablib.handle import Host, RunningLab
from lablib.paths import LabError
from swarmlib import SLOW, SOCKET, Project, Swarm

NO_LEADER = "The swarm does not have a leader"
SITE = "queenright.swarm.site"
_LOAD = pathlib.Path(__file__).with_name("load.py")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a host's socket said; ``status`` 0 is no answer at all."""

    status: int
    text: str
    stale: bool
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One line of a load's record (see load.py)."""

    do: str
    name: str
    began: float
    ended: float
    status: int
    text: str

    @property
    def acknowledged(self) -> bool:
        return 200 <= self.status < 300


class Load:
    """``load.py`` as a unit of a host."""

    def __init__(self, group: Group, host: Host, prefix: str, threads: int) -> None:
        self.host = host
        self._unit = f"load-{prefix}"
        self._stop = f"/run/stop-{prefix}"
        self._record = f"/root/{prefix}.jsonl"
        host.write("/root/load.py", _LOAD.read_text())
        image = group.lab.image("web:v1")
        host.run(
            f"rm -f {self._stop} {self._record}; systemd-run --quiet --unit {self._unit} --collect "
            f"-p StandardOutput=append:{self._record} -p StandardError=inherit "
            f"python3 /root/load.py {SOCKET} {image} {prefix} {threads} {self._stop}"
        )

    def attempts(self) -> list[Attempt]:
        """The record so far."""
        text = self.host.exec(["cat", self._record]).stdout
        return [Attempt(**json.loads(line)) for line in text.splitlines() if line.startswith("{")]

    def end(self) -> list[Attempt]:
        """Let each thread finish what it is at, and give the whole record."""
        self.host.exec(["touch", self._stop])
        RunningLab.poll(
            lambda: self.host.exec(["systemctl", "is-active", self._unit], check=False).returncode,
            60 * SLOW,
            f"the load on {self.host.name} to end",
        )
        return self.attempts()


class Group(Swarm):
    """Managers and workers among the hosts of a lab."""

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self.managers: list[Host] = []
        self.workers: list[Host] = []

    def form(self, managers: Sequence[Host], workers: Sequence[Host], *arguments: str) -> Any:
        """site.yml with these hosts in its groups; returns what it printed once all are ready."""
        self.lab.roles(managers, workers)
        done = self.project.play(SITE, *arguments)
        self.managers, self.workers = list(managers), list(workers)
        self.hosts = [*managers, *workers]
        self.manager = managers[0]
        self.await_whole()
        return done

    def retire(self, host: Host) -> None:
        """A manager becomes a host without a swarm again, and is forgotten."""
        node = self.node_id(host)
        self.manager = next(each for each in self.managers if each is not host)
        self.docker("node", "demote", node)
        self.lab.poll(lambda: (self.standing(host) or {}).get("role") == "worker", 60 * SLOW, f"{host} to work")
        host.run("docker --context swarm swarm leave")
        self.managers.remove(host)
        self.hosts.remove(host)
        self.lab.roles(self.managers, self.workers)

        def down() -> bool:
            found = {one["ID"]: one["Status"]["State"] for one in self.get("/nodes")}
            return found[node] == "down"

        self.lab.poll(down, 60 * SLOW, "the node that left to be down")
        self.docker("node", "rm", node)

    # -- asking

    def ask(self, host: Host, method: str, path: str, body: Any = None, *, patience: int = 30) -> Answer:
        """A request on the host's socket, past the network: what it says when it is cut off counts too."""
        line = ["curl", "-sS", "-m", str(patience), "-i", "-X", method, "--unix-socket", SOCKET, f"http://x{path}"]
        if body is not None:
            line += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        began = time.monotonic()
        try:
            done = host.exec(shlex.join(line), check=False, timeout=patience + 60)
        except LabError as error:  # it is off
            return Answer(0, str(error), False, 0.0)
        took = time.monotonic() - began
        if done.returncode:
            return Answer(0, done.stderr.strip(), False, took)
        head, _, text = done.stdout.partition("\n\n")
        lines = head.splitlines()
        stale = any(each.lower().startswith("x-queenright-stale: true") for each in lines)
        return Answer(int(lines[0].split()[1]), text, stale, took)

    def write(self, host: Host, name: str) -> Answer:
        """Create a service without tasks through a host."""
        spec = {"ContainerSpec": {"Image": self.lab.image("web:v1")}}
        body = {"Name": name, "TaskTemplate": spec, "Mode": {"Replicated": {"Replicas": 0}}}
        return self.ask(host, "POST", "/services/create", body)

    def standing(self, host: Host) -> dict[str, Any] | None:
        """The runtime's own status of a host; None while it does not answer."""
        answer = self.ask(host, "GET", "/queenright/v1/status", patience=10)
        return answer.json if answer.status == 200 else None

    def leader(self, among: Iterable[Host] | None = None) -> Host | None:
        """The host that leads by its own word."""
        for host in among or self.managers:
            status = self.standing(host)
            leader = (status or {}).get("leader")
            if status and leader and leader["node_id"] == status["node_id"] and status["has_quorum"]:
                return host
        return None

    def await_leader(self, among: Iterable[Host] | None = None) -> Host:
        hosts = list(among or self.managers)
        return self.lab.poll(lambda: self.leader(hosts), 30 * SLOW, f"a leader among {hosts}")

    def followers(self) -> list[Host]:
        leader = self.await_leader()
        return [host for host in self.managers if host is not leader]

    def node_id(self, host: Host) -> str:
        status = self.standing(host)
        assert status is not None, f"{host} does not answer"
        return str(status["node_id"])

    def await_whole(self) -> Host:
        """Until all managers are voters of one group and all nodes are ready; returns the leader."""

        def whole() -> Host | None:
            leader = self.leader()
            if leader is None:
                return None
            raft = (self.standing(leader) or {}).get("raft") or {"members": []}
            voters = {member["node_id"] for member in raft["members"] if member["voter"] and member["reachable"]}
            standings = [self.standing(host) for host in self.hosts]
            if any(status is None or not status["ready"] for status in standings):
                return None
            managing = {status["node_id"] for status in standings if status and status["role"] == "manager"}
            ready = {node["ID"] for node in self.get("/nodes", leader) if node["Status"]["State"] == "ready"}
            wanted = {self.node_id(host) for host in self.managers}
            members = {status["node_id"] for status in standings if status}
            return leader if voters == managing == wanted and members <= ready else None

        self.manager = self.lab.poll(whole, 60 * SLOW, f"{self.managers} to be one group", 0.5)
        return self.manager

    # -- loads and what became of their writes

    def load(self, hosts: Iterable[Host], prefix: str, threads: int = 3) -> list[Load]:
        return [Load(self, host, f"{prefix}-{host.name}", threads) for host in hosts]

    def names(self, host: Host) -> set[str]:
        return {service["Spec"]["Name"] for service in self.get("/services", host)}

    def agree(self, hosts: Sequence[Host] | None = None) -> dict[str, Any]:
        """Write a marker, and wait until all managers hold the same objects, the marker among them."""
        managers = list(hosts or self.managers)
        marker = f"marker-{time.time_ns()}"
        self.lab.poll(lambda: self.write(managers[0], marker).status == 201, 30 * SLOW, "the marker to be written")

        def same() -> dict[str, Any] | None:
            held = [_content(self, host) for host in managers]
            if any(each != held[0] for each in held) or marker not in held[0]["names"]:
                return None
            return held[0]

        try:
            return self.lab.poll(same, 30 * SLOW, "the managers to hold the same", 0.5)
        finally:
            self.ask(managers[0], "DELETE", f"/services/{marker}")

    def check_kept(self, attempts: Sequence[Attempt], held: set[str]) -> None:
        """Every acknowledged creation is there unless its removal was asked for; no acknowledged removal came back."""
        created = {one.name for one in attempts if one.do == "create" and one.acknowledged}
        asked_away = {one.name for one in attempts if one.do == "delete"}
        removed = {one.name for one in attempts if one.do == "delete" and one.acknowledged}
        assert created, "nothing was acknowledged: the load did not work"
        assert not (created - asked_away) - held, "acknowledged writes are lost"
        assert not removed & held, "what was removed is back"
        refused = {one.name for one in attempts if one.do == "create" and one.status in (400, 404, 409)}
        assert not refused, [one for one in attempts if one.name in refused][:3]

    def sweep(self, prefix: str) -> None:
        """Remove the services that a load left, through the leader."""
        leader = self.await_leader()
        for name in sorted(self.names(leader)):
            if name.startswith(prefix):
                self.ask(leader, "DELETE", f"/services/{name}")


def _content(group: Group, host: Host) -> dict[str, Any]:
    """What a manager holds, without what it knows of itself alone."""
    nodes = {
        node["ID"]: {key: node[key] for key in ("Version", "Spec", "Status")} for node in group.get("/nodes", host)
    }
    services = {one["ID"]: one for one in group.get("/services", host)}
    tasks = {one["ID"]: one for one in group.get("/tasks", host)}
    names = sorted(one["Spec"]["Name"] for one in services.values())
    return {"names": names, "nodes": nodes, "services": services, "tasks": tasks}


def took_over(attempts: Iterable[Attempt], since: float) -> float:
    """Seconds from a moment to the first acknowledged write that was begun after it."""
    ended = [one.ended for one in attempts if one.acknowledged and one.began >= since]
    assert ended, "no write succeeded any more"
    return min(ended) - since


@pytest.fixture(scope="session")
def wide_project(wide: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The collection, installed from this checkout's tarball, for the six hosts."""
    made = Project(wide, tmp_path_factory.mktemp("wide"))
    made.install()
    return made


@pytest.fixture(scope="session")
def three(wide_project: Project) -> Group:
    """host1 to host3 manage, host4 works; host5 and host6 are bare."""
    made = Group(wide_project)
    hosts = wide_project.lab.hosts
    for host in hosts:
        host.wait()
    made.form(hosts[:3], hosts[3:4])
    return made


@pytest.fixture
def group(three: Group) -> Iterator[Group]:
    """A group that is whole; services of a test are gone after it."""
    three.await_whole()
    yield three
    three.lab.restore()
    three.await_whole()
    three.clear()
