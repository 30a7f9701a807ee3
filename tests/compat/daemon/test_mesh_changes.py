# SPDX-License-Identifier: Apache-2.0
"""Networks and published ports of services that run are changed by both docker command lines, on a real engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, container_of, until
from compat.daemon.test_data_clients import CLIENTS, Cli
from compat.daemon.test_mesh import ask
from compat.engine import IMAGE

PORT = 8080
SERVE = "mkdir -p /w && hostname > /w/index.html && exec httpd -f -p 80 -h /w"
ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 53))
print(flush=True)
while True:
    data, address = sock.recvfrom(100)
    sock.sendto(b"heard " + data, address)
"""
SAY = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(2)
sock.connect((sys.argv[1], int(sys.argv[2])))
sock.send(b"word")
print(sock.recv(100).decode())
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    """One with a bridge of the engine's own: ports of the host mode are published by it."""
    for machines in kit.machines(("--bridge=",)):
        yield machines[0]


@pytest.fixture(scope="module")
def daemon(host: Machine) -> Iterator[Daemon]:
    """The only manager of a swarm."""
    daemon = host.fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    host.clean()


ALL = [CLIENTS[0], *(pytest.param(path, marks=pytest.mark.long) for path in CLIENTS[1:])]


@pytest.fixture(params=ALL, ids=[path.replace("/", "-")[1:] for path in CLIENTS])
def cli(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Cli]:
    yield Cli(request.param, daemon)
    for service in daemon.get("/services"):
        daemon.api("DELETE", f"/services/{service['ID']}")
    for network in daemon.get("/queenright/v1/networks"):
        until(lambda key=network["Id"]: not cli_fails(request.param, daemon, "network", "rm", key))


def cli_fails(binary: str, daemon: Daemon, *words: str) -> bool:
    return Cli(binary, daemon).attempt(*words).returncode != 0


class Web:
    """A service by the name ``web``, and what there is to see of it."""

    def __init__(self, host: Machine, daemon: Daemon, cli: Cli, *options: str, replicas: int = 1) -> None:
        self.host, self.daemon, self.cli = host, daemon, cli
        self.replicas = replicas
        self._create("web", "--replicas", str(replicas), *options, command=SERVE)
        self.daemon.running("web", replicas)

    def _create(self, name: str, *options: str, command: str) -> None:
        how = ("-d", "-q", "--name", name, "--stop-grace-period", "0s", "--update-order", "stop-first")
        self.cli("service", "create", *how, *options, IMAGE, "sh", "-c", command)

    def update(self, *options: str) -> None:
        """Change it, and wait until that is in force."""
        self.cli("service", "update", "-q", *options, "web")
        self.daemon.running("web", self.replicas)

    def refused(self, *options: str) -> str:
        """The words with which a change is refused. The service is as it was."""
        before = self.daemon.get("/services/web")["Version"]
        done = self.cli.attempt("service", "update", "-d", "-q", *options, "web")
        assert done.returncode == 1, done.stdout
        assert self.daemon.get("/services/web")["Version"] == before
        return done.stderr

    def ports(self) -> list[tuple[str, int, int, str]]:
        """Protocol, published and target port, and mode, as the command line shows them."""
        [shown] = json.loads(self.cli("service", "inspect", "web"))
        return [
            (port["Protocol"], port["PublishedPort"], port["TargetPort"], port["PublishMode"])
            for port in shown["Endpoint"].get("Ports", [])
        ]

    def answers(self, port: int = PORT) -> str:
        """Who answers at a published port."""
        return until(lambda: ask(self.host, f"{self.host.address}:{port}"), self.daemon.tail)

    def is_silent(self, port: int = PORT) -> None:
        """Nobody answers at that port any more."""
        until(lambda: ask(self.host, f"{self.host.address}:{port}") is None)

    def hostnames(self) -> set[str]:
        return {container_of(task)[:12] for task in self.daemon.running("web", self.replicas)}


class Client:
    """A task in a network, to ask from."""

    def __init__(self, host: Machine, daemon: Daemon, cli: Cli, network: str) -> None:
        self._host = host
        cli("service", "create", "-d", "-q", "--name", "client", "--network", network, IMAGE, "sleep", "1000000")
        [task] = daemon.running("client", 1)
        self._container = container_of(task)

    def sees(self, *command: str) -> str | None:
        """What a command in there prints; None: it failed."""
        with self._host.engine.client() as engine:
            made = engine.exec_create(self._container, list(command), environment={"PATH": "/bin"})
            text: str = engine.exec_start(made["Id"]).decode()
            return text if engine.exec_inspect(made["Id"])["ExitCode"] == 0 else None

    def asks(self, name: str = "web") -> str | None:
        return self.sees("timeout", "5", "wget", "-q", "-O", "-", f"http://{name}/")

    def addresses(self, name: str = "web") -> set[str]:
        """Those that a name stands for."""
        text = self.sees("nslookup", f"{name}.") or ""
        _, _, found = text.partition("Name:")
        return set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", found))


def addresses_in(daemon: Daemon, network: str, count: int) -> set[str]:
    """Of the tasks of the service, those in a network."""
    tasks: list[dict[str, Any]] = daemon.running("web", count)
    return {
        address.partition("/")[0]
        for task in tasks
        for one in task["NetworksAttachments"]
        if one["Network"]["ID"] == network
        for address in one["Addresses"]
    }


@pytest.fixture
def udp(host: Machine) -> Iterator[Callable[[str], None]]:
    """Lets a container answer at port 53 of UDP, which nothing in its image does."""
    begun: list[subprocess.Popen[bytes]] = []

    def serve(container: str) -> None:
        net = f"--net=/proc/{host.inspect(container)['State']['Pid']}/ns/net"
        command = ["nsenter", net, sys.executable, "-c", ECHO]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"

    yield serve
    for process in begun:
        process.kill()
        process.wait()


def said(host: Machine, port: int) -> str | None:
    """What a published port of UDP says to a word; None: nothing."""
    try:
        return host.run(sys.executable, "-c", SAY, host.address, str(port)).strip()
    except subprocess.CalledProcessError:
        return None


def test_a_service_gets_another_network_and_gives_it_back(host: Machine, daemon: Daemon, cli: Cli) -> None:
    front, back = (cli("network", "create", "-d", "overlay", name) for name in ("front", "back"))
    web = Web(host, daemon, cli, "--network", "front")
    client = Client(host, daemon, cli, "back")
    assert client.addresses() == set()
    assert client.asks() is None
    web.update("--network-add", "back")
    assert until(client.asks).strip() in web.hostnames()
    assert len(addresses_in(daemon, front, 1)) == len(addresses_in(daemon, back, 1)) == 1
    assert "in use by service" in cli.attempt("network", "rm", "back").stderr
    web.update("--network-rm", "back")
    until(lambda: client.asks() is None)
    until(lambda: not client.addresses())
    assert addresses_in(daemon, back, 1) == set()
    web.update("--network-rm", "front", "--network-add", "name=back,alias=other")
    assert until(lambda: client.asks("other")).strip() in web.hostnames()
    assert cli("network", "rm", "front") == "front"


def test_ports_of_tcp_come_move_and_go(host: Machine, daemon: Daemon, cli: Cli) -> None:
    web = Web(host, daemon, cli)
    assert web.ports() == []
    web.update("--publish-add", f"published={PORT},target=80")
    assert web.ports() == [("tcp", PORT, 80, "ingress")]
    assert web.answers() in web.hostnames()
    web.update("--publish-add", f"published={PORT + 1},target=80")
    assert web.answers(PORT + 1) == web.answers(PORT)
    web.update("--publish-rm", "80")
    assert web.ports() == []
    for port in (PORT, PORT + 1):
        web.is_silent(port)
    web.update("--publish-add", f"{PORT}:80")
    assert web.answers() in web.hostnames()
    web.update("--publish-rm", f"{PORT}:80", "--publish-add", f"{PORT + 1}:80")
    assert web.answers(PORT + 1) in web.hostnames()
    web.is_silent(PORT)


def test_a_port_of_udp_beside_the_same_of_tcp(
    host: Machine, daemon: Daemon, cli: Cli, udp: Callable[[str], None]
) -> None:
    web = Web(host, daemon, cli, "--publish", f"{PORT}:80")
    web.update("--publish-add", f"published={PORT},target=53,protocol=udp")
    assert sorted(web.ports()) == [("tcp", PORT, 80, "ingress"), ("udp", PORT, 53, "ingress")]
    [task] = daemon.running("web", 1)
    udp(container_of(task))
    assert until(lambda: said(host, PORT)) == "heard word"
    assert web.answers() in web.hostnames()
    web.update("--publish-rm", "53/udp")
    until(lambda: said(host, PORT) is None)
    assert web.ports() == [("tcp", PORT, 80, "ingress")]
    assert web.answers() in web.hostnames()


def test_a_number_that_was_chosen_stays_over_updates(host: Machine, daemon: Daemon, cli: Cli) -> None:
    web = Web(host, daemon, cli)
    web.update("--publish-add", "80")
    [(protocol, number, target, mode)] = web.ports()
    assert (protocol, target, mode) == ("tcp", 80, "ingress")
    assert 30000 <= number <= 32767
    assert web.answers(number) in web.hostnames()
    web.update("--env-add", "A=1")
    web.update("--publish-add", f"{PORT}:81")
    assert ("tcp", number, 80, "ingress") in web.ports()
    assert web.answers(number) in web.hostnames()
    web.update("--publish-rm", "80")
    web.is_silent(number)


def test_a_port_goes_to_the_host_mode_and_back(host: Machine, daemon: Daemon, cli: Cli) -> None:
    web = Web(host, daemon, cli, "--publish", f"{PORT}:80")
    assert web.answers() in web.hostnames()
    web.update("--publish-rm", "80", "--publish-add", f"mode=host,published={PORT},target=80")
    [task] = daemon.running("web", 1)
    bound = host.inspect(container_of(task))["HostConfig"]["PortBindings"]
    assert [one["HostPort"] for one in bound["80/tcp"]] == [str(PORT)]
    assert web.answers() in web.hostnames()
    assert [port["PublishedPort"] for port in task["Status"]["PortStatus"]["Ports"]] == [PORT]
    web.update("--publish-rm", f"mode=host,published={PORT},target=80", "--publish-add", f"published={PORT},target=80")
    assert web.ports() == [("tcp", PORT, 80, "ingress")]
    assert web.answers() in web.hostnames()
    [task] = daemon.running("web", 1)
    assert not host.inspect(container_of(task))["HostConfig"]["PortBindings"]


def test_what_another_service_has_is_refused_and_dnsrr_needs_no_published_port(
    host: Machine, daemon: Daemon, cli: Cli
) -> None:
    back = cli("network", "create", "-d", "overlay", "back")
    cli("service", "create", "-d", "-q", "--name", "first", "-p", f"{PORT}:80", IMAGE, "sleep", "1000000")
    web = Web(host, daemon, cli, "--network", "back", replicas=2)
    for wanted in (f"{PORT}:80", f"mode=host,published={PORT},target=80"):
        assert f"port '{PORT}' is already in use by service 'first'" in web.refused("--publish-add", wanted)
    web.update("--publish-add", f"{PORT + 1}:80")
    assert "can't be used with dnsrr mode" in web.refused("--endpoint-mode", "dnsrr")
    client = Client(host, daemon, cli, "back")
    [virtual] = until(client.addresses)
    web.update("--publish-rm", "80", "--endpoint-mode", "dnsrr")
    tasks = addresses_in(daemon, back, 2)
    until(lambda: client.addresses() == tasks, lambda: (client.addresses(), tasks))
    assert virtual not in tasks
    assert "can't be used with dnsrr mode" in web.refused("--publish-add", f"{PORT + 1}:80")
    web.update("--endpoint-mode", "vip")
    tasks = addresses_in(daemon, back, 2)
    until(lambda: len(client.addresses() - tasks) == 1 == len(client.addresses()))
    assert {until(client.asks).strip() for _ in range(20)} == web.hostnames()
