# SPDX-License-Identifier: Apache-2.0
"""Networks of the swarm by the docker command lines and the SDK, on a real engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import docker
import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, until
from compat.daemon.test_data_clients import CLIENTS, Cli
from compat.engine import IMAGE


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


@pytest.fixture(params=CLIENTS, ids=[path.replace("/", "-")[1:] for path in CLIENTS])
def cli(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Cli]:
    yield Cli(request.param, daemon)
    for service in daemon.get("/services"):
        daemon.api("DELETE", f"/services/{service['ID']}")
    for one in daemon.get("/queenright/v1/networks"):
        until(lambda key=one["Id"]: _gone(daemon, key))


def _gone(daemon: Daemon, key: str) -> bool:
    return (
        subprocess.run(
            ["docker", "-H", f"unix://{daemon.socket}", "network", "rm", key], capture_output=True, check=False
        ).returncode
        == 0
    )


def test_the_command_line_makes_lists_inspects_and_removes(cli: Cli) -> None:
    key = cli("network", "create", "-d", "overlay", "--subnet", "10.77.0.0/24", "--label", "tier=back", "mynet")
    assert len(key) == 25
    listed = cli("network", "ls", "--format", "{{.ID}} {{.Name}} {{.Driver}} {{.Scope}}").splitlines()
    assert [line for line in listed if line.endswith("mynet overlay swarm")] == [f"{key[:12]} mynet overlay swarm"]
    assert any(line.endswith("host host local") for line in listed), "the host's own are there too"
    [shown] = json.loads(cli("network", "inspect", "mynet"))
    assert (shown["Id"], shown["Labels"]) == (key, {"tier": "back"})
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.1"}]
    assert cli("network", "ls", "-q", "--filter", "label=tier=back") == key[:12]
    refused = cli.attempt("network", "create", "-d", "overlay", "--subnet", "10.77.0.128/25", "other")
    assert refused.returncode == 1
    assert "of network mynet" in refused.stderr
    assert cli("network", "rm", "mynet") == "mynet"
    assert "mynet" not in cli("network", "ls")


def test_a_service_is_attached_by_name_and_holds_the_network(cli: Cli) -> None:
    key = cli("network", "create", "-d", "overlay", "mynet")
    cli("service", "create", "-d", "-q", "--name", "web", "--network", "mynet", IMAGE, "sleep", "1000")
    [service] = json.loads(cli("service", "inspect", "web"))
    assert service["Spec"]["TaskTemplate"]["Networks"] == [{"Target": key}]
    refused = cli.attempt("network", "rm", "mynet")
    assert refused.returncode == 1
    assert f"network {key} is in use by service {service['ID']}" in refused.stderr
    cli("service", "rm", "web")


def test_a_published_port_brings_the_ingress_network_and_a_chosen_number(cli: Cli) -> None:
    cli("service", "create", "-d", "-q", "--name", "web", "-p", "80", IMAGE, "sleep", "1000")
    [shown] = json.loads(cli("network", "inspect", "ingress"))
    assert (shown["Ingress"], shown["Scope"]) == (True, "swarm")

    def published() -> int:
        [service] = json.loads(cli("service", "inspect", "web"))
        return service["Endpoint"]["Ports"][0].get("PublishedPort", 0)

    assert 30000 <= until(published) <= 32767
    assert f"*:{published()}->80/tcp" in cli("service", "ls")
    cli("service", "rm", "web")


def test_the_sdk_sees_the_same(daemon: Daemon, cli: Cli) -> None:
    client = docker.DockerClient(base_url=f"unix://{daemon.socket}")
    made = client.networks.create("mynet", driver="overlay", labels={"a": "b"})
    assert [one.id for one in client.networks.list(names=["mynet"])] == [made.id]
    assert client.networks.get("mynet").attrs["Labels"] == {"a": "b"}
    made.remove()
    assert client.networks.list(names=["mynet"]) == []
    client.close()
