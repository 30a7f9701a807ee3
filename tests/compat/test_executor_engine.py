# SPDX-License-Identifier: Apache-2.0
"""The worker and its executor against a real Docker Engine."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pathlib
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
from compat.engine import IMAGE, DockerEngine
from runtime.sealers import sealer

from queenright.agent.data import NodeData
from queenright.agent.database import TaskDatabase
from queenright.agent.reporter import Reporter
from queenright.agent.worker import Worker
from queenright.decide.task_step import GONE, UNHEALTHY
from queenright.edge.docker.executor import DockerExecutor
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.container import ContainerSpec, Healthcheck, Mount
from queenright.spec.service import EndpointSpec, Limits, Port, Resources, TaskSpec
from queenright.wire.codec import decode_task, encode_task
from queenright.wire.messages import AssignmentSet

PATIENCE = 120.0
STUBBORN = ("sh", "-c", "trap '' TERM; while true; do sleep 1; done")
POLITE = ("sh", "-c", "trap 'exit 7' TERM; while true; do sleep 0.1; done")
SLEEP = ("sleep", "1000")


async def until(condition: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        await asyncio.sleep(0.02)


class Clock:
    def wall(self) -> int:
        return time.time_ns()


class Node:
    """A worker on the engine, as the daemon has it."""

    def __init__(self, engine: DockerEngine, folder: pathlib.Path, cluster_id: str = "cluster") -> None:
        self.engine = engine
        self.path = folder / f"{cluster_id}.db"
        self.cluster_id = cluster_id
        self.reports: list[tuple[str, TaskStatus]] = []

    async def start(self) -> None:
        data = NodeData()
        self.executor = DockerExecutor(
            self.cluster_id,
            wall=time.time_ns,
            supplies=data,
            data_root=self.path.parent / "data",
            socket=self.engine.socket,
            prefer_local=True,
        )
        self.executor.open()
        database = TaskDatabase(self.path, sealer(), encode=encode_task, decode=decode_task)
        self.worker = Worker(self.executor, database, Reporter(lambda: 0.5), Clock(), data)
        await self.worker.start()
        self.worker.take_data(AssignmentSet(True, "", "1"))  # a manager has said all there is to know
        self.worker.connected(self._send)

    async def stop(self) -> None:
        await self.worker.stop()
        await self.executor.close()

    async def _send(self, updates: Sequence[tuple[str, TaskStatus]]) -> None:
        self.reports.extend(updates)

    def reported(self, task_id: str) -> TaskStatus:
        return next((status for known, status in reversed(self.reports) if known == task_id), TaskStatus())

    async def reaches(self, task: Task, state: TaskState) -> TaskStatus:
        await until(lambda: self.reported(task.id).state == state, lambda: (state.text, self.reported(task.id)))
        return self.reported(task.id)


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    engine = DockerEngine()
    try:
        engine.start()
        engine.make_image()
        yield engine
    finally:
        engine.close()


@pytest.fixture
async def node(engine: DockerEngine, tmp_path: pathlib.Path) -> AsyncIterator[Node]:
    node = Node(engine, tmp_path, f"cluster-{tmp_path.name}"[:60])
    await node.start()
    yield node
    await node.worker.remove_all(60)
    await node.stop()


COUNT = iter(range(1, 10_000))


def task_of(*command: str, desired: TaskState = TaskState.RUNNING, spec: Any = None, **container: Any) -> Task:
    number = next(COUNT)
    return Task(
        id=f"task{number:021d}",
        service_id="svc",
        service_name="web",
        slot=number,
        node_id="node",
        spec=dataclasses.replace(
            spec or TaskSpec(),
            container=ContainerSpec(
                **({"image": IMAGE, "args": command, "stop_grace_period": 300_000_000} | container)
            ),
        ),
        desired_state=desired,
        status=TaskStatus(state=TaskState.ASSIGNED),
    )


def wanting(task: Task, desired: TaskState) -> Task:
    return dataclasses.replace(task, desired_state=desired)


async def test_a_container_runs_with_our_name_and_labels(node: Node) -> None:
    task = task_of(*SLEEP, labels={"mine": "yes"}, hostname="{{.Service.Name}}-{{.Task.Slot}}")
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.RUNNING)
    with node.engine.client() as client:
        seen = client.inspect_container(status.container_id)
    assert seen["Name"] == f"/{task.name}"
    assert seen["State"]["Pid"] == status.pid
    assert seen["Config"]["Hostname"] == f"web-{task.slot}"
    assert seen["Config"]["Labels"] == {
        "mine": "yes",
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": task.id,
        "com.docker.swarm.task.name": task.name,
        "com.docker.swarm.node.id": "node",
        "com.docker.swarm.service.id": "svc",
        "com.docker.swarm.service.name": "web",
        "queenright.cluster.id": node.cluster_id,
    }


@pytest.mark.parametrize("code", [0, 3])
async def test_exit_codes_come_back(node: Node, code: int) -> None:
    task = task_of("sh", "-c", f"exit {code}")
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.FAILED if code else TaskState.COMPLETE)
    assert status.exit_code == code
    assert status.err == (f"task: non-zero exit ({code})" if code else "")


async def test_a_killed_process_is_noticed_at_once(node: Node) -> None:
    task = task_of(*SLEEP)
    await node.worker.apply_complete([task])
    running = await node.reaches(task, TaskState.RUNNING)
    os.kill(running.pid, signal.SIGKILL)
    status = await node.reaches(task, TaskState.FAILED)
    assert status.err == "task: non-zero exit (137)"


async def test_a_program_that_does_not_exist_fails_with_the_engines_words(node: Node) -> None:
    task = task_of("/no/such/program")
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.FAILED)
    assert "no such file" in status.err


async def test_a_missing_image_is_rejected_by_name(node: Node) -> None:
    task = task_of(*SLEEP, image="localhost:1/no-such:1")
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.REJECTED)
    assert status.err.startswith("No such image: localhost:1/no-such:1 (")


async def test_a_missing_bind_source_is_rejected_with_its_path(node: Node) -> None:
    mount = Mount(type="bind", source="/no/such/{{.Task.Slot}}", target="/data")
    task = task_of(*SLEEP, mounts=(mount,))
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.REJECTED)
    assert f"/no/such/{task.slot}" in status.err


async def test_shutdown_gives_the_program_time_to_end_well(node: Node) -> None:
    task = task_of(*POLITE, stop_grace_period=60 * 10**9)
    await node.worker.apply_complete([task])
    await node.reaches(task, TaskState.RUNNING)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    status = await node.reaches(task, TaskState.SHUTDOWN)
    assert status.exit_code == 7


async def test_after_its_grace_a_stubborn_program_is_killed(node: Node) -> None:
    task = task_of(*STUBBORN, stop_grace_period=500_000_000)
    await node.worker.apply_complete([task])
    await node.reaches(task, TaskState.RUNNING)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    status = await node.reaches(task, TaskState.SHUTDOWN)
    assert status.exit_code == 137


async def test_a_paused_container_can_be_shut_down(node: Node) -> None:
    task = task_of(*SLEEP)
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.RUNNING)
    with node.engine.client() as client:
        client.pause(status.container_id)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    assert (await node.reaches(task, TaskState.SHUTDOWN)).exit_code == 137


async def test_an_end_for_want_of_memory_is_named(node: Node) -> None:
    limits = Limits(memory=16 << 20)
    hungry = "x=a; while true; do x=$x$x; done"
    task = task_of("sh", "-c", hungry, spec=TaskSpec(resources=Resources(limits=limits)))
    await node.worker.apply_complete([task])
    assert (await node.reaches(task, TaskState.FAILED)).err == "task: non-zero exit (137): out of memory"


async def test_the_specs_stop_signal_is_used(node: Node) -> None:
    task = task_of(
        "sh",
        "-c",
        "trap 'exit 9' USR1; while true; do sleep 0.1; done",
        stop_signal="SIGUSR1",
        stop_grace_period=60 * 10**9,
    )
    await node.worker.apply_complete([task])
    await node.reaches(task, TaskState.RUNNING)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    assert (await node.reaches(task, TaskState.SHUTDOWN)).exit_code == 9


async def test_the_images_stop_signal_is_used(node: Node) -> None:
    node.engine.make_image("qr-test/signal:1", "STOPSIGNAL SIGUSR2")
    task = task_of(
        "sh",
        "-c",
        "trap 'exit 8' USR2; while true; do sleep 0.1; done",
        image="qr-test/signal:1",
        stop_grace_period=60 * 10**9,
    )
    await node.worker.apply_complete([task])
    await node.reaches(task, TaskState.RUNNING)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    assert (await node.reaches(task, TaskState.SHUTDOWN)).exit_code == 8


def probe(command: str) -> Healthcheck:
    second = 1_000_000_000
    return Healthcheck(test=("CMD-SHELL", command), interval=second // 2, timeout=60 * second, retries=1)


async def test_a_task_is_running_once_its_probe_says_healthy(node: Node) -> None:
    task = task_of("sh", "-c", "sleep 1; touch /tmp/up; sleep 1000", healthcheck=probe("true"))
    await node.worker.apply_complete([task])
    await node.reaches(task, TaskState.STARTING)
    await node.reaches(task, TaskState.RUNNING)


async def test_an_unhealthy_container_is_stopped_and_its_task_fails(node: Node) -> None:
    task = task_of(*POLITE, healthcheck=probe("false"), stop_grace_period=60 * 10**9)
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.FAILED)
    assert status.err == f"task: non-zero exit (7): {UNHEALTHY}"


async def test_host_ports_are_bound_and_reported(node: Node) -> None:
    ports = (
        Port(target_port=80, published_port=18080, mode="host"),
        Port(target_port=81, protocol="udp", mode="host"),
    )
    task = task_of("sh", "-c", "echo hello > /www/index.html; exec httpd -f -p 80 -h /www")
    task = dataclasses.replace(task, endpoint=EndpointSpec(ports=ports))
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.RUNNING)
    assert status.ports[0] == Port(target_port=80, published_port=18080, protocol="tcp", mode="host")
    assert status.ports[1].target_port == 81 and (status.ports[1].published_port or 0) > 1024
    answer = node.engine.inside("curl", "-s", "--retry", "20", "--retry-connrefused", "http://127.0.0.1:18080/")
    assert answer.stdout == "hello\n", answer


async def test_limits_reach_the_container(node: Node) -> None:
    limits = Limits(cpus=500_000_000, memory=32 << 20, pids=50)
    task = task_of(*SLEEP, spec=TaskSpec(resources=Resources(limits=limits)), env=("A={{.Node.Hostname}}",))
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.RUNNING)
    with node.engine.client() as client:
        seen = client.inspect_container(status.container_id)
    host = seen["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["PidsLimit"]) == (500_000_000, 32 << 20, 50)
    assert f"A={os.uname().nodename}" in seen["Config"]["Env"]


async def test_a_restart_of_the_agent_adopts_and_reports_what_ended_meanwhile(node: Node) -> None:
    stays, ends = task_of(*SLEEP), task_of(*SLEEP)
    await node.worker.apply_complete([stays, ends])
    running = await node.reaches(stays, TaskState.RUNNING)
    victim = await node.reaches(ends, TaskState.RUNNING)
    await node.stop()
    with node.engine.client() as client:
        client.kill(victim.container_id, "SIGKILL")
        client.wait(victim.container_id)
        started = client.inspect_container(running.container_id)["State"]["StartedAt"]
    node.reports.clear()
    await node.start()
    await node.reaches(stays, TaskState.RUNNING)
    status = await node.reaches(ends, TaskState.FAILED)
    assert status.exit_code == 137
    with node.engine.client() as client:
        assert client.inspect_container(running.container_id)["State"]["StartedAt"] == started
    os.kill(running.pid, signal.SIGKILL)
    await node.reaches(stays, TaskState.FAILED)


async def test_a_removed_task_takes_its_container_and_anonymous_volumes_along(node: Node) -> None:
    task = task_of(*SLEEP, mounts=(Mount(type="volume", target="/data"),))
    await node.worker.apply_complete([task])
    await node.reaches(task, TaskState.RUNNING)
    with node.engine.client() as client:
        assert len(client.volumes()["Volumes"]) == 1
        await node.worker.apply_complete([])
        await until(lambda: node.worker.counts() == (0, 0) and node.worker.explain(task.id) is None)
        assert client.containers(all=True) == []
        assert not client.volumes()["Volumes"]


async def test_a_container_removed_by_hand_fails_its_task(node: Node) -> None:
    task = task_of(*SLEEP)
    await node.worker.apply_complete([task])
    status = await node.reaches(task, TaskState.RUNNING)
    with node.engine.client() as client:
        client.remove_container(status.container_id, force=True)
    failed = await node.reaches(task, TaskState.FAILED)
    assert failed.err in (GONE, "task: non-zero exit (137)")


async def test_containers_of_others_are_left_alone(node: Node, tmp_path: pathlib.Path) -> None:
    other = Node(node.engine, tmp_path, "another")
    await other.start()
    theirs = task_of(*SLEEP)
    await other.worker.apply_complete([theirs])
    held = await other.reaches(theirs, TaskState.RUNNING)
    with node.engine.client() as client:
        plain = client.create_container_from_config({"Image": IMAGE, "Cmd": list(SLEEP)}, name="plain")["Id"]
        client.start(plain)
        stray = task_of(*SLEEP)
        await node.worker.apply_complete([stray])
        await node.reaches(stray, TaskState.RUNNING)
        await node.worker.apply_complete([])
        await until(lambda: node.worker.explain(stray.id) is None)
        alive = {container["Id"] for container in client.containers()}
        assert alive == {held.container_id, plain}
        client.remove_container(plain, force=True)
    assert await other.worker.remove_all(60) == []
    await other.stop()


async def test_a_taken_name_is_rejected_unless_it_is_our_own(node: Node) -> None:
    task = task_of(*SLEEP)
    with node.engine.client() as client:
        client.create_container_from_config({"Image": IMAGE, "Cmd": list(SLEEP)}, name=task.name)
        await node.worker.apply_complete([task])
        status = await node.reaches(task, TaskState.REJECTED)
        assert f"the container name {task.name} is taken by container" in status.err
        client.remove_container(task.name, force=True)
    again = task_of(*SLEEP, desired=TaskState.READY)
    seen = await node.executor.create(again)
    assert await node.executor.create(again) == seen


async def test_thirty_containers_start_at_the_same_time(node: Node) -> None:
    tasks = [task_of(*SLEEP) for _ in range(30)]
    await node.worker.apply_complete(tasks)
    for task in tasks:
        await node.reaches(task, TaskState.RUNNING)
    assert node.worker.counts() == (30, 30)


async def test_the_machine_is_described_as_the_engine_sees_it(node: Node) -> None:
    described = await node.executor.describe()
    assert described.hostname == os.uname().nodename
    assert (described.os, described.architecture) == ("linux", os.uname().machine)
    assert described.nano_cpus >= 10**9 and described.memory_bytes > 1 << 28
    assert described.engine_version.startswith("20.10") or described.engine_version
    assert "Network/bridge" in described.plugins and "Log/json-file" in described.plugins


async def test_closing_ends_the_thread_that_reads_events(node: Node) -> None:
    def readers() -> int:
        return sum(thread.name == "docker-events" for thread in threading.enumerate())

    other = Node(node.engine, node.path.parent, "other")
    await other.start()
    await until(lambda: other.executor.error == "")
    before = readers()
    await other.stop()
    await until(lambda: readers() == before - 1)


async def test_an_engine_that_goes_and_comes_back_loses_no_task(tmp_path: pathlib.Path) -> None:
    engine = DockerEngine("--live-restore")
    node = Node(engine, tmp_path)
    try:
        engine.start()
        engine.make_image()
        await node.start()
        before, ends = task_of(*SLEEP), task_of(*SLEEP)
        await node.worker.apply_complete([before, ends])
        await node.reaches(before, TaskState.RUNNING)
        victim = await node.reaches(ends, TaskState.RUNNING)
        await asyncio.to_thread(engine.stop)
        await until(lambda: node.executor.error != "")
        later = task_of(*SLEEP)
        await node.worker.apply_incremental([later], [])
        os.kill(victim.pid, signal.SIGKILL)
        await asyncio.to_thread(engine.start)
        await node.reaches(later, TaskState.RUNNING)
        await node.reaches(ends, TaskState.FAILED)
        assert node.reported(before.id).state == TaskState.RUNNING
        assert node.executor.error == ""
        assert await node.worker.remove_all(60) == []
        await node.stop()
    finally:
        engine.close()
