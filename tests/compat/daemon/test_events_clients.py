# SPDX-License-Identifier: Apache-2.0
"""``docker events`` on a manager: the swarm's events and the engine's, by the docker command lines and the SDK."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from compat.daemon import kit
from compat.daemon.kit import PATIENCE, SLEEP, Daemon, Machine, until
from compat.engine import IMAGE

CLIENTS = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.access(path, os.X_OK)]


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    for machines in kit.machines(()):
        yield machines[0]


@pytest.fixture(scope="module")
def daemon(host: Machine) -> Iterator[Daemon]:
    """The only manager of a swarm."""
    daemon = host.fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    host.clean()


class Listener:
    """A ``docker events`` that runs."""

    def __init__(self, *command: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def wait(self, kind: str, action: str, name: str) -> dict[str, Any]:
        """The event of that kind, once it came."""

        def look() -> dict[str, Any]:
            fitting = (event for event in list(self.events) if fits(event, kind, action, name))
            return next(fitting, {})

        return until(look, lambda: (kind, action, name, [brief(event) for event in self.events]))

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def brief(event: dict[str, Any]) -> tuple[str, str, str]:
    return event["Type"], event["Action"], event["Actor"]["Attributes"].get("name", "")


def fits(event: dict[str, Any], kind: str, action: str, name: str) -> bool:
    return event["Type"] == kind and event["Action"] == action and brief(event)[2].startswith(name)


class Cli:
    """A docker command on the daemon's socket."""

    def __init__(self, binary: str, daemon: Daemon) -> None:
        self._command = [binary, "-H", f"unix://{daemon.socket}"]
        self._listeners: list[Listener] = []

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        command = [*self._command, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()

    def listen(self, *arguments: str) -> Listener:
        listener = Listener(*self._command, "events", "--format", "{{json .}}", *arguments)
        self._listeners.append(listener)
        return listener

    def past(self, since: float, *arguments: str) -> list[dict[str, Any]]:
        """What happened since then."""
        text = self(
            "events", "--format", "{{json .}}", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}", *arguments
        )
        return [json.loads(line) for line in text.splitlines()]

    def close(self) -> None:
        for listener in self._listeners:
            listener.stop()


@pytest.fixture(params=CLIENTS, ids=[path.replace("/", "-")[1:] for path in CLIENTS])
def cli(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Cli]:
    cli = Cli(request.param, daemon)
    yield cli
    cli.close()
    for service in daemon.get("/services"):
        daemon.api("DELETE", f"/services/{service['ID']}")
    until(lambda: not daemon.get("/tasks"))
    for secret in daemon.get("/secrets"):
        daemon.api("DELETE", f"/secrets/{secret['ID']}")


def ready(daemon: Daemon, listener: Listener) -> None:
    """Until the listener hears: it may have connected a moment after what it should have heard."""
    names = iter(f"probe{number}" for number in range(10_000))

    def heard() -> bool:
        name = next(names)
        key = daemon.post("/secrets/create", {"Name": name, "Data": "eA=="})["ID"]
        daemon.api("DELETE", f"/secrets/{key}")
        time.sleep(0.1)
        return bool(listener.events)

    until(heard)


def test_a_service_is_seen_from_its_creation_to_its_removal_with_its_containers(cli: Cli, daemon: Daemon) -> None:
    listener = cli.listen()
    ready(daemon, listener)
    begun = time.time() - 60
    cli("service", "create", "-d", "--no-resolve-image", "--name", "web", IMAGE, *SLEEP)
    created = listener.wait("service", "create", "web")
    assert created["scope"] == "swarm"
    assert listener.wait("container", "start", "web.1.")["scope"] == "local"
    cli("service", "update", "-d", "--no-resolve-image", "--replicas", "2", "web")

    def scaled() -> dict[str, Any]:
        updates = [event["Actor"]["Attributes"] for event in listener.events if fits(event, "service", "update", "web")]
        return next((attributes for attributes in updates if "replicas.new" in attributes), {})

    attributes = until(scaled)
    assert (attributes["replicas.old"], attributes["replicas.new"]) == ("1", "2")
    cli("service", "rm", "web")
    removed = listener.wait("service", "remove", "web")
    assert removed["Actor"]["ID"] == created["Actor"]["ID"]
    listener.wait("container", "destroy", "web.1.")
    told = cli.past(begun, "--filter", "service=web", "--filter", "type=service")
    actions = [event["Action"] for event in told]
    assert actions[-1] == "remove"
    assert "create" in actions
    times = [event["timeNano"] for event in cli.past(begun)]
    assert times == sorted(times)


def test_a_secret_and_a_node_are_seen_and_nothing_secret_is_told(cli: Cli, daemon: Daemon) -> None:
    listener = cli.listen("--filter", "scope=swarm")
    ready(daemon, listener)
    cli("secret", "create", "key", "-", stdin="open sesame 7413")
    told = listener.wait("secret", "create", "key")
    assert told["Actor"]["Attributes"] == {"name": "key"}
    [node] = daemon.get("/nodes")
    cli("node", "update", "--availability", "drain", node["ID"])
    attributes = listener.wait("node", "update", "")["Actor"]["Attributes"]
    assert (attributes["availability.old"], attributes["availability.new"]) == ("active", "drain")
    cli("node", "update", "--availability", "active", node["ID"])
    assert "sesame" not in json.dumps(listener.events)
    assert {event["scope"] for event in listener.events} == {"swarm"}


def test_a_reader_of_the_sdk_gets_the_services_alone(daemon: Daemon) -> None:
    client = docker.DockerClient(base_url=f"unix://{daemon.socket}", version="auto")
    got: list[dict[str, Any]] = []
    events = client.events(decode=True, filters={"type": "service"})
    reader = threading.Thread(target=lambda: got.extend(events))
    reader.start()
    try:

        def heard() -> bool:
            key = daemon.service("seen", 0, *SLEEP)
            daemon.api("DELETE", f"/services/{key}")
            return len(got) > 1

        until(heard)
    finally:
        events.close()
        reader.join(PATIENCE)
        client.close()
    assert {event["Type"] for event in got} == {"service"}
    assert {"create", "remove"} <= {event["Action"] for event in got}


def test_when_the_engine_restarts_the_stream_ends_and_asking_again_loses_nothing(
    cli: Cli, daemon: Daemon, host: Machine
) -> None:
    listener = cli.listen()
    ready(daemon, listener)
    alone = cli.listen("--filter", "type=service")
    begun = time.time() - 60
    host.engine.stop()
    until(lambda: listener.process.poll() is not None)
    daemon.service("meanwhile", 0, *SLEEP)
    host.engine.start()
    alone.wait("service", "create", "meanwhile")  # it needs no engine
    until(lambda: [event for event in cli.past(begun) if fits(event, "service", "create", "meanwhile")])
