# SPDX-License-Identifier: Apache-2.0
"""The routing mesh on real engines: a published port answers on every node, through updates, restarts and removals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon.kit import Machine, Swarm, service_spec, until

PORT = 8080
SERVER = ("sh", "-c", "mkdir -p /w && hostname > /w/index.html && exec httpd -f -p 80 -h /w")


def web(name: str = "web", replicas: int = 2, **more: Any) -> dict[str, Any]:
    """A service that says which of its tasks answers."""
    spec = service_spec(name, replicas, *SERVER)
    ports = [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": PORT, "PublishMode": "ingress"}]
    return spec | {"EndpointSpec": {"Ports": ports}} | more


CLIENT = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode().strip())"
LOOP = """
import sys, time, urllib.request as r
failed = asked = 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    asked += 1
    try:
        r.urlopen(sys.argv[1], timeout=5).read()
    except OSError as error:
        failed += 1
        print("failed", error, file=sys.stderr)
    time.sleep(0.01)
print(asked, failed)
"""


def ask(machine: Machine, target: str) -> str | None:
    """What a client on that machine is answered; None: nothing."""
    try:
        return machine.run(sys.executable, "-c", CLIENT, f"http://{target}/").strip()
    except subprocess.CalledProcessError:
        return None


@pytest.fixture
def mesh(machines: list[Machine]) -> Iterator[Swarm]:
    swarm = Swarm(machines[:2])
    try:
        yield swarm.form()
    finally:
        swarm.close()


def test_a_published_port_answers_on_every_node_and_is_gone_with_its_service(mesh: Swarm) -> None:
    first, second = mesh.machines
    before = [machine.run("ip", "-br", "link") for machine in mesh.machines]
    mesh.manager.post("/services/create", web(replicas=1))
    mesh.manager.running("web", 1)
    for machine in mesh.machines:
        for target in (f"{first.address}:{PORT}", f"{second.address}:{PORT}", f"127.0.0.1:{PORT}"):
            until(lambda m=machine, t=target: ask(m, t), lambda: mesh.manager.get("/queenright/v1/mesh"))
    [port] = until(lambda: [p for p in mesh.manager.get("/queenright/v1/mesh")["ports"] if p["ready"]])
    assert (port["service"], port["port"], len(port["nodes"])) == ("web", PORT, 2)
    mesh.manager.api("DELETE", "/services/web")
    until(lambda: [machine.run("ip", "-br", "link") for machine in mesh.machines] == before or None)


def test_no_request_fails_while_a_service_is_updated_and_scaled(mesh: Swarm) -> None:
    """Clients ask each node, one after the other as fast as it goes, whatever happens to the tasks."""
    update = {"Parallelism": 1, "Order": "start-first", "Delay": 0}
    mesh.manager.post("/services/create", web(replicas=3) | {"UpdateConfig": update})
    mesh.manager.running("web", 3)
    for machine in mesh.machines:
        until(lambda m=machine: ask(m, f"{m.address}:{PORT}"))
    clients = [
        machine.launch(sys.executable, "-c", LOOP, f"http://{machine.address}:{PORT}/", "25")
        for machine in mesh.machines
    ]
    service = mesh.manager.get("/services/web")
    spec = service["Spec"]
    spec["TaskTemplate"]["ContainerSpec"]["Env"] = ["A=2"]
    mesh.manager.post(f"/services/web/update?version={service['Version']['Index']}", spec)
    until(lambda: (mesh.manager.get("/services/web").get("UpdateStatus") or {}).get("State") == "completed")
    mesh.manager.scale("web", 5)
    mesh.manager.running("web", 5)
    mesh.manager.scale("web", 2)
    outcome = [client.communicate()[0].decode().split() for client in clients]
    assert [int(failed) for _, failed in outcome] == [0, 0], outcome
    assert all(int(asked) > 50 for asked, _ in outcome)
