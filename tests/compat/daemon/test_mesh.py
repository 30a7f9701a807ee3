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
        for machine in reversed(swarm.machines):  # what the kernel has goes with the membership
            if machine.daemon.process is not None and machine.daemon.status()["state"] != "inactive":
                machine.daemon.post("/swarm/leave?force=1")
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


def test_no_request_fails_while_a_node_is_drained(mesh: Swarm) -> None:
    mesh.manager.post("/services/create", web(replicas=4))
    mesh.manager.running("web", 4)
    for machine in mesh.machines:
        until(lambda m=machine: ask(m, f"{m.address}:{PORT}"))
    clients = [
        machine.launch(sys.executable, "-c", LOOP, f"http://{machine.address}:{PORT}/", "15")
        for machine in mesh.machines
    ]
    worker = mesh.machines[1].daemon.status()["node_id"]
    node = mesh.manager.get(f"/nodes/{worker}")
    mesh.manager.post(
        f"/nodes/{worker}/update?version={node['Version']['Index']}", node["Spec"] | {"Availability": "drain"}
    )
    until(lambda: not mesh.machines[1].containers() or None)
    outcome = [client.communicate()[0].decode().split() for client in clients]
    assert [int(failed) for _, failed in outcome] == [0, 0], outcome
    assert ask(mesh.machines[1], f"{mesh.machines[1].address}:{PORT}")  # also without a task


def test_services_find_each_other_by_name_and_the_data_path_outlives_the_daemon(mesh: Swarm) -> None:
    mesh.manager.post("/networks/create", {"Name": "mynet", "Driver": "overlay"})
    spec = web(replicas=2)
    spec["TaskTemplate"]["Networks"] = [{"Target": "mynet"}]
    mesh.manager.post("/services/create", spec)
    asking = service_spec("client", 1, "sleep", "1d")
    asking["TaskTemplate"]["Networks"] = [{"Target": "mynet"}]
    mesh.manager.post("/services/create", asking)
    mesh.manager.running("web", 2)
    [client] = mesh.manager.running("client", 1)
    machine = mesh.machine_of(client["NodeID"])
    container = client["Status"]["ContainerStatus"]["ContainerID"]

    def inside(*command: str) -> str | None:
        with machine.engine.client() as engine:
            made = engine.exec_create(container, list(command), environment={"PATH": "/bin"})
            text: str = engine.exec_start(made["Id"]).decode()
            return text if engine.exec_inspect(made["Id"])["ExitCode"] == 0 else None

    names = {until(lambda: inside("wget", "-q", "-O", "-", "http://web/")) for _ in range(20)}
    assert len(names) == 2  # both tasks
    worker = mesh.machines[1]
    worker.daemon.kill()
    until(lambda: ask(worker, f"{worker.address}:{PORT}"))
    worker.run("nft", "flush", "ruleset")
    worker.daemon.start()
    until(lambda: ask(worker, f"{worker.address}:{PORT}"))
    assert until(lambda: inside("wget", "-q", "-O", "-", "http://web/"))


REBOOT = """
for link in $(ip -o link | grep -oE '(sw|svx|svb)-[0-9a-f]{10}|swgw0' | sort -u); do ip link del $link || true; done
for name in /run/netns/swns-*; do umount $name; rm $name; done
nft flush ruleset
"""


def test_a_machine_that_reboots_gets_its_networks_back(mesh: Swarm) -> None:
    """All that a kernel holds is gone then. The engine is up first, and makes the bridges that its networks lack."""
    mesh.manager.post("/services/create", web(replicas=2))
    mesh.manager.running("web", 2)
    _, machine = mesh.machines
    until(lambda: ask(machine, f"127.0.0.1:{PORT}"))
    machine.daemon.kill()
    with machine.engine.client() as client:
        for container in client.containers():
            client.kill(container["Id"])
    machine.engine.stop()
    machine.run("sh", "-c", REBOOT)
    assert "sw-" not in machine.run("ip", "-o", "link")
    machine.engine.start()
    shown = until(lambda: [x for x in machine.run("ip", "-o", "link").splitlines() if ": sw-" in x])
    assert "swarm:" not in "".join(shown)  # made by the engine
    machine.daemon.start()
    machine.daemon.becomes(state="active", ready=True)
    until(lambda: ask(machine, f"127.0.0.1:{PORT}"), lambda: mesh.manager.get("/queenright/v1/mesh"))
    mesh.manager.running("web", 2)


def test_after_leaving_a_machine_is_as_it_was(mesh: Swarm) -> None:
    worker = mesh.machines[1]

    def picture() -> tuple[str, ...]:
        commands = ("ip -br link", "ls /run/netns", "nft list ruleset", "ip -br addr", "ip route")
        return tuple(worker.run("sh", "-c", f"{command} 2>/dev/null || true") for command in commands)

    before = picture()
    mesh.manager.post("/services/create", web(replicas=2))
    mesh.manager.running("web", 2)
    until(lambda: ask(worker, f"{worker.address}:{PORT}"))
    assert picture() != before
    worker.daemon.post("/swarm/leave")
    until(lambda: picture() == before or None, lambda: (before, picture()))
