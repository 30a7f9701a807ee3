# SPDX-License-Identifier: Apache-2.0
"""Logs of services and tasks, read with the plain docker command line and the SDK on real engines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import IO, Any

import pytest
from compat.daemon.kit import DOCKER, PATIENCE, Daemon, Machine, Swarm, container_of, until
from docker import DockerClient

COUNT = 'i=0; while true; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); sleep 0.1; done'
LINE = re.compile(r"(?P<task>\S+?)\.(?P<slot>\d+)\.(?P<id>\w+)@\S+\s*\| (?P<text>.*)")


class Follower:
    """``docker service logs --follow`` as a process; what it printed grows."""

    def __init__(self, daemon: Daemon, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [DOCKER, "-H", f"unix://{daemon.socket}", "service", "logs", "--follow", "--no-trunc", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._read = dict.fromkeys((self.process.stdout, self.process.stderr), b"")
        for stream in self._read:
            assert stream is not None
            fcntl.fcntl(stream, fcntl.F_SETFL, os.O_NONBLOCK)

    def _text(self, stream: IO[bytes] | None) -> str:
        assert stream is not None
        while data := stream.read():
            self._read[stream] += data
        return self._read[stream].decode()

    @property
    def out(self) -> str:
        return self._text(self.process.stdout)

    @property
    def err(self) -> str:
        return self._text(self.process.stderr)

    def numbers(self) -> dict[str, list[int]]:
        """What each task has counted on its standard output, by task id."""
        return numbers(self.out)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)


def numbers(text: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for line in text.splitlines()[: None if text.endswith("\n") else -1]:
        match = LINE.match(line)
        assert match is not None, line
        if match["text"].startswith("out "):
            found.setdefault(match["id"], []).append(int(match["text"][4:]))
    return found


def docker(daemon: Daemon, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [DOCKER, "-H", f"unix://{daemon.socket}", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@contextlib.contextmanager
def following(daemon: Daemon, *arguments: str) -> Iterator[Follower]:
    follower = Follower(daemon, *arguments)
    try:
        yield follower
    finally:
        follower.close()


@pytest.fixture(scope="module")
def swarm(machines: list[Machine]) -> Iterator[Swarm]:
    """Three managers; what a test killed is started again."""
    made = Swarm(machines)
    try:
        yield made.form(managers=3)
    finally:
        made.close()


@pytest.fixture
def daemon(swarm: Swarm) -> Iterator[Daemon]:
    """A manager that does not lead; services of a test are gone after it."""
    yield next(each for each in swarm.daemons if each is not leader_of(swarm))
    for each in swarm.daemons:
        if each.process is None:
            each.start()
    for each in swarm.daemons:
        each.becomes(state="active", ready=True, has_quorum=True)
    leader = leader_of(swarm)
    until(lambda: {node["Status"]["State"] for node in leader.get("/nodes")} == {"ready"})
    for service in leader.get("/services"):
        leader.api("DELETE", f"/services/{service['ID']}")
    until(lambda: leader.get("/tasks") == [])


def leader_of(swarm: Swarm) -> Daemon:
    def found() -> Daemon | None:
        for each in swarm.daemons:
            if each.process is not None:
                status = each.status()
                leader = status["leader"]
                if leader and status["has_quorum"] and leader["node_id"] == status["node_id"]:
                    return each
        return None

    leader = until(found)
    assert leader is not None
    return leader


def counting(daemon: Daemon, replicas: int, **container: Any) -> list[dict[str, Any]]:
    """A service whose tasks count, running; gives its tasks."""
    daemon.service("count", replicas, "sh", "-c", COUNT, **container)
    return daemon.running("count", replicas)


def test_every_manager_gives_the_lines_of_all_tasks(swarm: Swarm, daemon: Daemon) -> None:
    tasks = {task["ID"] for task in counting(daemon, 3)}

    def complete(each: Daemon) -> bool:
        done = docker(each, "service", "logs", "--no-trunc", "count")
        found = numbers(done.stdout)
        assert all(counted == list(range(len(counted))) for counted in found.values()), found
        return set(found) == tasks and "| err 0" in done.stderr and "err" not in done.stdout

    for each in swarm.daemons:
        until(lambda each=each: complete(each), each.tail)


def test_tail_since_and_timestamps_choose_lines(daemon: Daemon) -> None:
    (task,) = counting(daemon, 1)
    until(lambda: len(numbers(docker(daemon, "service", "logs", "--no-trunc", "count").stdout).get(task["ID"], [])) > 5)
    tail = docker(daemon, "service", "logs", "--raw", "--tail", "3", "count")
    assert len(tail.stdout.splitlines()) + len(tail.stderr.splitlines()) == 3
    stamped = docker(daemon, "service", "logs", "--raw", "--timestamps", "count").stdout.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z out \d+$", line) for line in stamped)
    since = docker(daemon, "service", "logs", "--raw", "--since", stamped[3].split()[0], "count").stdout.splitlines()
    assert since[0] == "out 3"
    nothing = docker(daemon, "service", "logs", "--raw", "--tail", "0", "count")
    assert (nothing.stdout, nothing.stderr) == ("", "")


def test_a_task_s_log_is_its_own(daemon: Daemon) -> None:
    one, other = counting(daemon, 2)
    for task in (one, other):
        until(
            lambda task=task: task["ID"] in numbers(docker(daemon, "service", "logs", "--no-trunc", task["ID"]).stdout)
        )
        assert set(numbers(docker(daemon, "service", "logs", "--no-trunc", task["ID"]).stdout)) == {task["ID"]}


def test_what_a_task_said_before_it_ended_is_there(daemon: Daemon) -> None:
    daemon.service("brief", 1, "sh", "-c", "echo hello; echo trouble >&2; exit 3")
    until(lambda: len(docker(daemon, "service", "logs", "--raw", "brief").stdout.splitlines()) >= 2)
    done = docker(daemon, "service", "logs", "--raw", "brief")
    assert set(done.stdout.splitlines()) == {"hello"}
    assert set(done.stderr.splitlines()) <= {"trouble"}


def test_new_tasks_join_a_follow_with_their_first_line(daemon: Daemon) -> None:
    counting(daemon, 1)
    with following(daemon, "--tail", "0", "count") as follower:
        until(lambda: len(follower.numbers()) == 1, lambda: follower.err)
        daemon.scale("count", 3)
        tasks = {task["ID"] for task in daemon.running("count", 3)}
        until(lambda: set(follower.numbers()) == tasks, lambda: (follower.numbers(), follower.err))
        firsts = sorted(counted[0] for counted in follower.numbers().values())
        assert firsts[:2] == [0, 0]
        assert follower.process.poll() is None


def test_a_follow_that_ends_frees_the_engines(swarm: Swarm, daemon: Daemon) -> None:
    (task,) = counting(daemon, 1)
    machine = swarm.machine_of(task["NodeID"])
    before = listeners(machine)
    with following(daemon, "count") as follower:
        until(lambda: bool(follower.numbers()), lambda: follower.err)
        until(lambda: listeners(machine) > before, lambda: listeners(machine))
        follower.process.send_signal(signal.SIGINT)
        until(lambda: listeners(machine) == before, lambda: listeners(machine))


def listeners(machine: Machine) -> int:
    """Connections to the machine's engine."""
    path = machine.engine.socket
    table = machine.run("cat", "/proc/net/unix")
    return sum(line.rstrip().endswith(path) for line in table.splitlines())


def test_a_follow_outlives_the_leader(swarm: Swarm, daemon: Daemon) -> None:
    tasks = {task["ID"]: task["NodeID"] for task in counting(daemon, 3)}
    leader = leader_of(swarm)
    lost = leader.status()["node_id"]
    with following(daemon, "count") as follower:
        until(lambda: set(follower.numbers()) == set(tasks), lambda: follower.err)
        leader.kill()
        reached = {key: counted[-1] for key, counted in follower.numbers().items()}
        staying = [key for key, node_id in tasks.items() if node_id != lost]

        def goes_on() -> bool:
            assert follower.process.poll() is None, follower.err
            found = follower.numbers()
            return all(found[key][-1] > reached[key] + 50 for key in staying)

        until(goes_on, lambda: (follower.numbers(), follower.err, daemon.tail()))
        for key in staying:
            counted = follower.numbers()[key]
            assert counted == list(range(len(counted)))  # nothing twice, nothing left out
        if lost in tasks.values():
            words = f"some logs could not be retrieved for the following reasons: node {lost}"
            until(lambda: words in follower.err, lambda: follower.err)


def test_a_follow_outlives_a_restart_of_a_node_s_daemon(swarm: Swarm, daemon: Daemon) -> None:
    tasks = {task["ID"]: task["NodeID"] for task in counting(daemon, 3)}
    restarted = next(each for each in swarm.daemons if each is not daemon and each is not leader_of(swarm))
    with following(daemon, "count") as follower:
        until(lambda: set(follower.numbers()) == set(tasks), lambda: follower.err)
        restarted.stop()
        reached = {key: counted[-1] for key, counted in follower.numbers().items()}
        restarted.start()
        until(
            lambda: all(counted[-1] > reached[key] + 50 for key, counted in follower.numbers().items()),
            lambda: (reached, follower.numbers(), follower.err),
        )
        assert {key: counted == list(range(len(counted))) for key, counted in follower.numbers().items()} == (
            dict.fromkeys(tasks, True)
        )


def test_a_node_that_is_missing_is_said_at_the_end(swarm: Swarm, daemon: Daemon) -> None:
    tasks = counting(daemon, 3)
    victim = next(each for each in swarm.daemons if each is not daemon and each is not leader_of(swarm))
    node_id = victim.status()["node_id"]
    victim.kill()
    daemon.node_is(node_id, "down")
    done = docker(daemon, "service", "logs", "--no-trunc", "count", check=False)
    here = {task["ID"] for task in tasks if task["NodeID"] != node_id}
    assert here <= set(numbers(done.stdout))
    assert done.returncode != 0
    assert f"some logs could not be retrieved for the following reasons: node {node_id} is not available" in done.stderr


def test_a_terminal_s_log_comes_as_it_is(daemon: Daemon) -> None:
    daemon.service("screen", 1, "sh", "-c", "echo one; echo two; sleep 1000", TTY=True)
    daemon.running("screen", 1)
    until(lambda: docker(daemon, "service", "logs", "--raw", "screen").stdout.split() == ["one", "two"])


def test_long_lines_and_many_lines_come_whole(daemon: Daemon) -> None:
    script = "yes $(seq -s- 9000) | head -n 5; seq 1 20000; sleep 1000"
    daemon.service("much", 1, "sh", "-c", script)
    daemon.running("much", 1)
    expected = "-".join(map(str, range(1, 9001)))

    def whole() -> bool:
        lines = docker(daemon, "service", "logs", "--raw", "much").stdout.splitlines()
        return lines == [expected] * 5 + [str(number) for number in range(1, 20001)]

    until(whole)


def test_a_driver_that_cannot_be_read_is_said(daemon: Daemon) -> None:
    spec = {
        "Name": "mute",
        "TaskTemplate": {"ContainerSpec": {"Image": "qr-test/busybox:1", "Command": ["sleep", "900"]}},
    }
    spec["TaskTemplate"]["LogDriver"] = {"Name": "none"}  # type: ignore[index]
    daemon.post("/services/create", spec)
    (task,) = daemon.running("mute", 1)
    done = docker(daemon, "service", "logs", "mute", check=False)
    assert done.returncode != 0
    assert f"task {task['ID']}: " in done.stderr
    assert "does not support reading" in done.stderr


def test_the_sdk_reads_logs_too(daemon: Daemon) -> None:
    (task,) = counting(daemon, 1)
    client = DockerClient(base_url=f"unix://{daemon.socket}", timeout=int(PATIENCE))
    with contextlib.closing(client):
        service = client.services.get("count")
        until(lambda: b"out 3" in b"".join(service.logs(stdout=True)))
        assert b"err" not in b"".join(service.logs(stdout=True))
        assert b"err 0" in b"".join(service.logs(stderr=True))
        lines = service.logs(stdout=True, follow=True, details=True)
        first = next(iter(lines))
        assert f"com.docker.swarm.task.id={task['ID']}".encode() in first
        assert container_of(task)


def test_a_client_that_reads_nothing_costs_little(swarm: Swarm, daemon: Daemon) -> None:
    daemon.service("flood", 1, "sh", "-c", "yes 0123456789012345678901234567890123456789")
    daemon.running("flood", 1)
    daemons = [each for each in swarm.daemons if each.process is not None]
    follower = subprocess.Popen(
        [DOCKER, "-H", f"unix://{daemon.socket}", "service", "logs", "--follow", "--raw", "flood"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert follower.stdout is not None
        follower.stdout.read(100_000)
        time.sleep(1.0)  # it holds what it may hold by now
        before = [memory(each) for each in daemons]
        time.sleep(5.0)
        after = [memory(each) for each in daemons]
    finally:
        follower.kill()
        follower.wait(PATIENCE)
    assert all(late < early + 16_384 for early, late in zip(before, after, strict=True)), (before, after)


def memory(daemon: Daemon) -> int:
    """KiB in memory."""
    with open(f"/proc/{daemon.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
