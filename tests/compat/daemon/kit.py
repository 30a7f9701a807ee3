# SPDX-License-Identifier: Apache-2.0
"""The whole daemon as a process, and machines to run it on: each a real dockerd in a network of its own, all joined
by a bridge in a private namespace."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import docker
from compat.engine import IMAGE, DockerEngine

import queenright

T = TypeVar("T")

PATIENCE = 90.0
SOURCE = pathlib.Path(queenright.__file__).parents[1]
DOCKER = "/usr/bin/docker"
SLEEP = ("sleep", "100000")


def until(look: Callable[[], T], what: Callable[[], object] = lambda: "") -> T:
    """Look again and again until there is something; gives it. Fails after a time that a slow machine keeps."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        time.sleep(0.03)
    return found


class ApiError(Exception):
    """An answer with a status of 400 or more."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: pathlib.Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


class Daemon:
    """``queenright run`` as a child process. State, socket and log lie in ``folder`` and outlive it.

    ``inside`` is the id of a process in whose network and mounts it runs (0: in ours).
    """

    def __init__(self, folder: pathlib.Path, docker_socket: str, *, inside: int = 0) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.socket = folder / "q.sock"
        self.log_path = folder / "q.log"
        self.docker_socket = docker_socket
        self.process: subprocess.Popen[bytes] | None = None
        self._inside = inside

    # -- the process

    def command(self, *arguments: str) -> list[str]:
        spaces = f"/proc/{self._inside}/ns"
        prefix = ["nsenter", f"--net={spaces}/net", f"--mount={spaces}/mnt", "--"] if self._inside else []
        return [*prefix, sys.executable, "-m", "queenright", *arguments]

    def flags(self) -> list[str]:
        return [
            f"--state-dir={self.state_dir}",
            f"--socket={self.socket}",
            f"--docker-socket={self.docker_socket}",
        ]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ}
        return {**kept, "PYTHONPATH": str(SOURCE), "HOME": str(self.folder), **(more or {})}

    def start(self, *flags: str, environment: Mapping[str, str] | None = None, wait: bool = True) -> Daemon:
        """Start it; with ``wait`` until it answers."""
        self.folder.mkdir(exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command("run", *self.flags(), *flags),
                env=self.environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            until(self.answers, self.tail)
        return self

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the same executable, with this daemon's settings, to its end."""
        return subprocess.run(
            self.command(arguments[0], *self.flags(), *arguments[1:]),
            env=self.environment(environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, f"the daemon has ended:\n{self.tail()}"
        try:
            return self.status()["state"] != "pending"
        except (OSError, http.client.HTTPException):
            return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def stop(self) -> int:
        """End it as a supervisor does; gives the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.process is not None:
            self.process.kill()
            self.wait()

    # -- what it says

    def tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-4000:] if self.log_path.exists() else "no log"

    def logged(self) -> list[dict[str, Any]]:
        """The lines of its log that are JSON objects."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, words: str) -> bool:
        """Whether a line of the log has these words."""
        return any(words in str(line.get("message")) for line in self.logged())

    def exchange(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """(status, headers, body bytes) of a request on the host socket."""
        connection = _UnixConnection(self.socket)
        try:
            data = None if body is None else json.dumps(body).encode()
            kind = {"Content-Type": "application/json"} if data is not None else {}
            connection.request(method, path, data, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def api(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer. Raises ApiError."""
        status, _, text = self.exchange(method, path, body, headers)
        value = json.loads(text) if text.strip() else None
        if status >= 400:
            raise ApiError(status, value.get("message", "") if isinstance(value, dict) else "")
        return value

    def get(self, path: str) -> Any:
        return self.api("GET", path)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        return self.api("POST", path, body, headers)

    def status(self) -> Any:
        return self.get("/queenright/v1/status")

    def becomes(self, **wanted: Any) -> Any:
        """The status, once it has these values."""

        def fits() -> Any:
            status = self.status()
            return status if all(status[key] == value for key, value in wanted.items()) else None

        return until(fits, lambda: (wanted, self.status(), self.tail()))

    # -- what the swarm says (managers)

    def service(self, name: str, replicas: int = 1, *command: str, **more: Any) -> str:
        """Create a replicated service of the test image; gives its id."""
        return str(self.post("/services/create", service_spec(name, replicas, *command, **more))["ID"])

    def scale(self, name: str, replicas: int) -> None:
        service = self.get(f"/services/{name}")
        spec = service["Spec"]
        spec["Mode"] = {"Replicated": {"Replicas": replicas}}
        self.post(f"/services/{service['ID']}/update?version={service['Version']['Index']}", spec)

    def tasks(self, service: str, *, desired: str = "running") -> list[dict[str, Any]]:
        """Tasks of a service that are wanted."""
        found = self.get(f"/tasks?filters={json.dumps({'service': [service]}).replace(' ', '')}")
        return [task for task in found if task["DesiredState"] == desired]

    def running(self, service: str, count: int) -> list[dict[str, Any]]:
        """The tasks of a service, once exactly so many are wanted and run."""

        def fits() -> list[dict[str, Any]] | None:
            tasks = self.tasks(service)
            return tasks if len(tasks) == count and all(running(task) for task in tasks) else None

        until(lambda: count == 0 or fits() is not None, lambda: [brief(task) for task in self.tasks(service)])
        return self.tasks(service)

    def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["ID"]: node for node in self.get("/nodes")}

    def node_is(self, node_id: str, state: str) -> None:
        until(lambda: self.nodes()[node_id]["Status"]["State"] == state, lambda: self.nodes()[node_id]["Status"])

    def token(self, role: str = "Worker") -> str:
        return str(self.get("/swarm")["JoinTokens"][role])


def running(task: Mapping[str, Any]) -> bool:
    return bool(task["Status"]["State"] == "running")


def brief(task: Mapping[str, Any]) -> tuple[Any, ...]:
    status = task["Status"]
    return task["ID"], task.get("NodeID"), status["State"], status.get("Err"), status.get("Message")


def container_of(task: Mapping[str, Any]) -> str:
    return str(task["Status"]["ContainerStatus"]["ContainerID"])


def service_spec(name: str, replicas: int = 1, *command: str, **container: Any) -> dict[str, Any]:
    """A service of the test image that sleeps (or runs ``command``) and stops at once."""
    constraints = container.pop("Constraints", [])
    return {
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": IMAGE,
                "Command": list(command or SLEEP),
                "StopGracePeriod": 0,
                "Init": True,
                **container,
            },
            "RestartPolicy": {"Condition": "any", "Delay": 100_000_000},
            "Placement": {"Constraints": constraints},
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
    }


class Machine:
    """A dockerd, an address, and a place for a daemon."""

    def __init__(self, number: int, fabric: Fabric, *options: str) -> None:
        self.number = number
        self.address = f"10.99.0.{number}"
        self._fabric = fabric
        self.engine = DockerEngine("--iptables=false", "--bridge=none", *options)
        self.engine.start()
        self.engine.make_image()
        fabric.plug(self.engine.namespaces, number, self.address)
        self.daemon = self.fresh()

    def fresh(self) -> Daemon:
        """A daemon that has never run."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="d", dir=self.engine.folder))
        self.daemon = Daemon(folder, self.engine.socket, inside=self.engine.namespaces)
        return self.daemon

    def containers(self, *, all: bool = False) -> list[dict[str, Any]]:
        with self.engine.client() as client:
            return list(client.containers(all=all))

    def inspect(self, container: str) -> dict[str, Any]:
        with self.engine.client() as client:
            return dict(client.inspect_container(container))

    def run(self, *command: str) -> str:
        """Run a command in the machine's network and mounts."""
        return subprocess.run([*self._enter(), *command], check=True, capture_output=True, text=True).stdout

    def launch(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command there."""
        return subprocess.Popen([*self._enter(), *command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def _enter(self) -> list[str]:
        spaces = f"/proc/{self.engine.namespaces}/ns"
        return ["nsenter", f"--net={spaces}/net", f"--mount={spaces}/mnt", "--"]

    def plugged(self, plugged: bool) -> None:
        """Pull the network cable, or plug it in again."""
        self._fabric.plugged(self.number, plugged)

    def started(self) -> dict[str, str]:
        """When each container was started, by its id."""
        found = {}
        for one in self.containers():
            with contextlib.suppress(docker.errors.NotFound):  # gone since
                found[one["Id"]] = self.inspect(one["Id"])["State"]["StartedAt"]
        return found

    def clean(self) -> None:
        """End the daemon, remove all containers, and the tunnels, whose numbers the next swarm gives out again."""
        self.daemon.close()
        self.run("sh", "-ec", "ip -o link show type vxlan | cut -d: -f2 | xargs -rn1 ip link delete")
        with self.engine.client() as client:
            while found := client.containers(all=True):
                for container in found:
                    with contextlib.suppress(docker.errors.APIError):  # on its way out already
                        client.remove_container(container["Id"], force=True, v=True)
        shutil.rmtree(self.daemon.folder, ignore_errors=True)

    def close(self) -> None:
        self.daemon.close()
        self.engine.close()


class Fabric:
    """A bridge in a network namespace that nobody else sees."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            [
                "unshare",
                "--net",
                "sh",
                "-c",
                "set -e; ip link add br0 type bridge; ip link set br0 up; echo; exec sleep 1d",
            ],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        if self._holder.stdout is None or not self._holder.stdout.readline():
            raise RuntimeError("a bridge cannot be made: this needs root and ip (iproute2)")

    def plug(self, pid: int, number: int, address: str) -> None:
        """Give the network of process ``pid`` an interface on the bridge."""
        inner = f"ip addr add {address}/24 dev eth0; ip link set eth0 up"
        self._run(
            f"ip link add port{number} type veth peer name eth0 netns {pid}; ip link set port{number} master br0 up"
        )
        subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", inner], check=True)

    def plugged(self, number: int, plugged: bool) -> None:
        """Pull the cable of a machine, or plug it in again."""
        self._run(f"ip link set port{number} {'up' if plugged else 'down'}")

    def _run(self, script: str) -> None:
        subprocess.run(["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "sh", "-ec", script], check=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class Swarm:
    """Daemons on machines, the first one the manager."""

    def __init__(self, machines: list[Machine]) -> None:
        self.machines = machines

    def form(self, managers: int = 1) -> Swarm:
        """Start all daemons, found a swarm on the first machine, let the others join; the first ones manage."""
        for machine in self.machines:
            machine.fresh().start()
        first, *others = self.machines
        first.daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": first.address})
        for number, machine in enumerate(others, 2):
            self.join(machine, "Manager" if number <= managers else "Worker")
        for machine in self.machines:
            machine.daemon.becomes(state="active", ready=True)
        return self

    def join(self, machine: Machine, role: str = "Worker") -> None:
        machine.daemon.post(
            "/swarm/join", {"RemoteAddrs": [self.machines[0].address], "JoinToken": self.manager.token(role)}
        )

    @property
    def manager(self) -> Daemon:
        return self.machines[0].daemon

    @property
    def daemons(self) -> list[Daemon]:
        return [machine.daemon for machine in self.machines]

    def wait_for_silent_nodes(self, seconds: int) -> None:
        """How long a node may be silent: a slow machine starts a killed daemon in more than the five seconds that a
        swarm waits by itself, and then its tasks rightly move."""
        cluster = self.manager.get("/swarm")
        period = seconds * 1_000_000_000
        spec = cluster["Spec"] | {"Dispatcher": cluster["Spec"]["Dispatcher"] | {"Silence": period}}
        self.manager.post(f"/swarm/update?version={cluster['Version']['Index']}", spec)
        assert self.manager.get("/swarm")["Spec"]["Dispatcher"]["Silence"] == period

    def machine_of(self, node_id: str) -> Machine:
        return next(one for one in self.machines if one.daemon.status()["node_id"] == node_id)

    def started(self) -> dict[str, str]:
        """When each container was started, by its id, on all machines."""
        return {key: value for machine in self.machines for key, value in machine.started().items()}

    def close(self) -> None:
        for machine in self.machines:
            machine.clean()


def machines(*options: tuple[str, ...]) -> Iterator[list[Machine]]:
    """A machine for each list of dockerd's options, all on one bridge; the body of a fixture."""
    made: list[Machine] = []
    fabric = Fabric()
    try:
        for number, own in enumerate(options, 1):
            made.append(Machine(number, fabric, *own))
        yield made
    finally:
        for machine in made:
            machine.close()
        fabric.close()
