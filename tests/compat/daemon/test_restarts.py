# SPDX-License-Identifier: Apache-2.0
"""Daemons and engines go and come back: containers stay, what happened meanwhile is reported, nothing is forgotten."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from compat.daemon.kit import Machine, Swarm, container_of, until

from queenright.edge.docker.container_config import CLUSTER_LABEL, NAME_LABEL, TASK_LABEL

AWAY = ("ready", "disconnected")  # of a node that has said that it restarts


def here(machine: Machine) -> list[str]:
    """A constraint that only this machine fulfils."""
    return [f"node.id=={machine.daemon.status()['node_id']}"]


@pytest.fixture(autouse=True)
def no_service_is_left(swarm: Swarm) -> Any:
    yield
    for daemon in swarm.daemons:
        if daemon.process is None:  # a test that failed on its way does not take the others along
            daemon.start()
    for service in swarm.manager.get("/services"):
        swarm.manager.api("DELETE", f"/services/{service['ID']}")
    until(lambda: not swarm.started() and not swarm.manager.get("/tasks"), swarm.started)


@pytest.mark.parametrize("number", [0, 1])
def test_a_daemon_that_restarts_keeps_its_containers_and_its_node(swarm: Swarm, number: int) -> None:
    machine, manager = swarm.machines[number], swarm.manager
    service = manager.service("web", 3, Constraints=here(machine))
    tasks = manager.running("web", 3)
    before, status = machine.started(), machine.daemon.status()
    assert len(before) == 3
    assert machine.daemon.stop() == 0
    assert machine.started() == before
    if number:
        assert manager.nodes()[status["node_id"]]["Status"]["State"] in AWAY
        assert {task["ID"] for task in manager.tasks(service)} == {task["ID"] for task in tasks}
    machine.daemon.start()
    again = machine.daemon.becomes(state="active", ready=True, tasks={"running": 3, "total": 3})
    assert {key: again[key] for key in ("node_id", "cluster_id", "role", "node_addr", "managers")} == {
        key: status[key] for key in ("node_id", "cluster_id", "role", "node_addr", "managers")
    }
    assert {task["ID"] for task in manager.running("web", 3)} == {task["ID"] for task in tasks}
    assert machine.started() == before


def test_a_worker_that_says_it_restarts_is_not_down_for_longer_than_a_heartbeat_s_grace(swarm: Swarm) -> None:
    """Down comes after three heartbeats of silence, but after a minute for who has announced it."""
    machine, manager = swarm.machines[1], swarm.manager
    node_id = machine.daemon.status()["node_id"]
    cluster = manager.get("/swarm")
    spec = cluster["Spec"] | {"Dispatcher": {"HeartbeatPeriod": 1_000_000_000}}
    manager.post(f"/swarm/update?version={cluster['Version']['Index']}", spec)
    machine.daemon.stop()
    machine.daemon.start()
    machine.daemon.becomes(state="active", ready=True)
    machine.daemon.stop()
    silent_until = time.monotonic() + 8
    while time.monotonic() < silent_until:
        assert manager.nodes()[node_id]["Status"]["State"] in AWAY
        time.sleep(0.2)
    machine.daemon.start()
    machine.daemon.becomes(state="active", ready=True)
    machine.daemon.kill()
    manager.node_is(node_id, "down")
    machine.daemon.start()
    manager.node_is(node_id, "ready")
    cluster = manager.get("/swarm")
    spec = cluster["Spec"] | {"Dispatcher": {"HeartbeatPeriod": 5_000_000_000}}
    manager.post(f"/swarm/update?version={cluster['Version']['Index']}", spec)


def test_an_exit_while_the_daemon_was_away_is_reported_with_its_code(swarm: Swarm) -> None:
    machine, manager = swarm.machines[1], swarm.manager
    manager.service(
        "web", 1, "sh", "-c", "trap 'exit 42' TERM; while true; do sleep 0.1; done", Constraints=here(machine)
    )
    (task,) = manager.running("web", 1)
    machine.daemon.kill()
    with machine.engine.client() as client:
        client.kill(container_of(task), "SIGTERM")
        client.wait(container_of(task))
    machine.daemon.start()

    def reported() -> Any:
        found = manager.get(f"/tasks/{task['ID']}")
        return found if found["Status"]["State"] == "failed" else None

    ended = until(reported, lambda: manager.get(f"/tasks/{task['ID']}"))
    assert ended["Status"]["ContainerStatus"]["ExitCode"] == 42
    assert "42" in ended["Status"]["Err"]
    (replacement,) = manager.running("web", 1)
    assert replacement["ID"] != task["ID"]


def test_containers_of_others_are_left_alone(swarm: Swarm) -> None:
    machine, manager = swarm.machines[1], swarm.manager
    copied = {CLUSTER_LABEL: manager.status()["cluster_id"], TASK_LABEL: "t1", NAME_LABEL: "web.1.t1"}
    with machine.engine.client() as client:
        foreign = [
            client.create_container("qr-test/busybox:1", ["sleep", "1000"], labels=labels, name=name)["Id"]
            for name, labels in (
                ("plain", {}),
                ("swarm", {"com.docker.swarm.task.id": "x", "com.docker.swarm.service.name": "web"}),
                ("cluster", {CLUSTER_LABEL: "another", TASK_LABEL: "t1"}),
                ("copy", copied),  # of a task's container, made by docker commit and docker run
            )
        ]
        for container in foreign:
            client.start(container)
    before = machine.started()
    manager.service("web", 2, Constraints=here(machine))
    manager.running("web", 2)
    machine.daemon.kill()
    machine.daemon.start()
    machine.daemon.becomes(ready=True)
    manager.scale("web", 0)
    until(lambda: set(machine.started()) == set(foreign), machine.started)
    assert machine.started() == before
    with machine.engine.client() as client:
        for container in foreign:
            client.remove_container(container, force=True)


def test_a_container_of_the_swarm_without_a_task_goes(swarm: Swarm) -> None:
    machine, manager = swarm.machines[1], swarm.manager
    labels = {CLUSTER_LABEL: manager.status()["cluster_id"], TASK_LABEL: "gone", NAME_LABEL: "web.1.gone"}
    machine.daemon.stop()
    with machine.engine.client() as client:
        stray = client.create_container("qr-test/busybox:1", ["sleep", "1000"], labels=labels, name="web.1.gone")["Id"]
        client.start(stray)
    machine.daemon.start()
    until(lambda: stray not in machine.started(), machine.daemon.tail)


def test_a_manager_that_was_away_finds_its_workers_and_their_tasks(swarm: Swarm) -> None:
    manager, worker = swarm.machines[0], swarm.machines[1]
    swarm.manager.service("web", 2, Constraints=here(worker))
    tasks = swarm.manager.running("web", 2)
    before = worker.started()
    manager.daemon.kill()
    until(lambda: not worker.daemon.status()["ready"], worker.daemon.tail)
    assert (worker.daemon.status()["state"], worker.daemon.status()["tasks"]["running"]) == ("active", 2)
    assert worker.started() == before
    assert "10.99.0.1:2377" in worker.daemon.status()["error"]
    manager.daemon.start()
    for daemon in swarm.daemons:
        daemon.becomes(state="active", ready=True)
    assert {task["ID"] for task in swarm.manager.running("web", 2)} == {task["ID"] for task in tasks}
    assert worker.started() == before


def test_dockerd_restarts_beside_a_running_daemon_and_its_containers_live_on(swarm: Swarm) -> None:
    machine, manager = swarm.machines[1], swarm.manager
    manager.service("web", 2, Constraints=here(machine))
    tasks = manager.running("web", 2)
    before = machine.started()
    machine.engine.stop()
    until(lambda: not machine.daemon.status()["engine"]["reachable"], machine.daemon.status)
    assert machine.daemon.status()["state"] == "active"
    machine.engine.start()
    until(lambda: machine.daemon.status()["engine"]["reachable"], machine.daemon.status)
    assert {task["ID"] for task in manager.running("web", 2)} == {task["ID"] for task in tasks}
    assert machine.started() == before


def test_dockerd_that_takes_its_containers_along_gets_new_ones(swarm: Swarm) -> None:
    machine, manager = swarm.machines[2], swarm.manager
    manager.service("web", 2, Constraints=here(machine))
    old = {task["ID"] for task in manager.running("web", 2)}
    machine.engine.stop()
    machine.engine.start()
    until(lambda: not old & {task["ID"] for task in manager.tasks("web")}, lambda: manager.tasks("web"))
    tasks = manager.running("web", 2)
    until(lambda: set(machine.started()) == {container_of(task) for task in tasks}, machine.started)


def test_dockerd_that_starts_after_the_daemon_is_waited_for(swarm: Swarm) -> None:
    machine, manager = swarm.machines[1], swarm.manager
    manager.service("web", 1, Constraints=here(machine))
    tasks = manager.running("web", 1)
    before = machine.started()
    machine.daemon.stop()
    machine.engine.stop()
    machine.daemon.start()
    status = machine.daemon.status()
    assert (status["state"], status["engine"]["reachable"]) == ("active", False)
    machine.engine.start()
    machine.daemon.becomes(state="active", ready=True)
    assert [task["ID"] for task in manager.running("web", 1)] == [task["ID"] for task in tasks]
    assert machine.started() == before


def test_an_engine_that_hangs_does_not_keep_the_daemon_from_ending(swarm: Swarm) -> None:
    machine = swarm.machines[1]
    swarm.manager.service("web", 2, Constraints=here(machine))
    swarm.manager.running("web", 2)
    before = machine.started()
    machine.daemon.stop()
    machine.daemon.start("--stop-timeout=5")
    machine.daemon.becomes(ready=True)
    machine.engine.signal(signal.SIGSTOP)
    try:
        swarm.manager.scale("web", 4)
        time.sleep(1)
        began = time.monotonic()
        machine.daemon.signal(signal.SIGTERM)
        assert machine.daemon.wait() == 0
        assert time.monotonic() - began < 60
    finally:
        machine.engine.signal(signal.SIGCONT)
    machine.daemon.start()
    swarm.manager.running("web", 4)
    assert before.items() <= machine.started().items()


def test_a_cable_that_is_pulled_and_plugged_again_restarts_nothing(swarm: Swarm) -> None:
    machine, manager = swarm.machines[1], swarm.manager
    manager.service("web", 2, Constraints=here(machine))
    tasks = manager.running("web", 2)
    before = machine.started()
    machine.plugged(False)
    time.sleep(2)
    machine.plugged(True)
    manager.scale("web", 3)
    assert {task["ID"] for task in tasks} < {task["ID"] for task in manager.running("web", 3)}
    assert before.items() < machine.started().items()
