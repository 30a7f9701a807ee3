# SPDX-License-Identifier: Apache-2.0
"""``kill -9`` of each daemon in turn while the API is written to: nothing acknowledged is lost, no container notices
it.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator

import pytest
from compat.daemon.kit import ApiError, Daemon, Swarm, container_of, service_spec, until

STEADY = 6
SHORT, LONG = 1, 20


@pytest.fixture(autouse=True, scope="module")
def patient(swarm: Swarm) -> None:
    swarm.wait_for_silent_nodes(60)


class Writer:
    """Creates services and counts in the label of one of them, as fast as it is answered; keeps what was
    acknowledged.
    """

    def __init__(self, manager: Daemon, name: str) -> None:
        self.created: dict[str, str] = {}
        self.counted = 0
        self.unanswered = 0
        self.errors: list[str] = []
        self._manager = manager
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self) -> Writer:
        self._counter = self._manager.post("/services/create", service_spec(self._name, 0))["ID"]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def writes(self) -> int:
        return len(self.created) + self.counted

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                self._create(f"{self._name}-{number}")
                self._count(number)
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
                time.sleep(0.02)
            except ApiError as error:
                if error.status != 503:  # starting
                    self.errors.append(str(error))
                time.sleep(0.02)

    def _create(self, name: str) -> None:
        self.created[name] = self._manager.post("/services/create", service_spec(name, 0))["ID"]

    def _count(self, number: int) -> None:
        service = self._manager.get(f"/services/{self._counter}")
        spec = service["Spec"] | {"Labels": {"count": str(number)}}
        self._manager.post(f"/services/{self._counter}/update?version={service['Version']['Index']}", spec)
        self.counted = number

    def check(self) -> None:
        """Everything that was acknowledged is there; nothing went wrong but what a killed manager explains."""
        assert self.errors == []
        there = {service["Spec"]["Name"]: service for service in self._manager.get("/services")}
        lost = {name: key for name, key in self.created.items() if there.get(name, {}).get("ID") != key}
        assert not lost, f"{len(lost)} of {len(self.created)} acknowledged services are lost: {sorted(lost)[:5]}"
        assert int(there[self._name]["Spec"]["Labels"]["count"]) >= self.counted


@contextlib.contextmanager
def steady(swarm: Swarm) -> Iterator[None]:
    """Tasks that run all the time: afterwards they are the same, in the same containers, started at the same time."""
    swarm.manager.service("steady", STEADY)
    tasks = {task["ID"]: container_of(task) for task in swarm.manager.running("steady", STEADY)}
    before = swarm.started()
    assert set(before) == set(tasks.values())
    assert len({task["NodeID"] for task in swarm.manager.tasks("steady")}) == len(swarm.machines)
    yield
    after = {task["ID"]: container_of(task) for task in swarm.manager.running("steady", STEADY)}
    assert after == tasks
    assert swarm.started().items() >= before.items()


@pytest.mark.parametrize("rounds", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_each_daemon_is_killed_in_turn_under_load(swarm: Swarm, rounds: int) -> None:
    with steady(swarm):
        for number in range(rounds):
            with Writer(swarm.manager, f"w{rounds}x{number}") as writer:
                for machine in swarm.machines:
                    until(lambda had=writer.writes: writer.writes > had + 10, lambda: writer.errors)
                    machine.daemon.kill()
                    time.sleep(0.05 * number)
                    machine.daemon.start()
                    machine.daemon.becomes(state="active", ready=True)
            assert writer.unanswered > 0
            writer.check()
            print(f"round {number}: {writer.writes} acknowledged writes, {writer.unanswered} unanswered")
            for key in writer.created.values():
                swarm.manager.api("DELETE", f"/services/{key}")
    for daemon in swarm.daemons:
        assert not [line for line in daemon.logged() if line["level"] == "critical"]
    swarm.manager.api("DELETE", "/services/steady")


def test_a_scale_that_was_acknowledged_goes_on_after_the_manager_s_death(swarm: Swarm) -> None:
    swarm.manager.service("web", 1)
    swarm.manager.running("web", 1)
    before = swarm.started()
    swarm.manager.scale("web", 7)
    swarm.manager.kill()
    swarm.manager.start()
    tasks = swarm.manager.running("web", 7)
    until(lambda: set(swarm.started()) == {container_of(task) for task in tasks}, swarm.started)
    assert swarm.started().items() >= before.items()
    swarm.manager.scale("web", 2)
    swarm.manager.kill()
    swarm.manager.start()
    kept = swarm.manager.running("web", 2)
    until(lambda: set(swarm.started()) == {container_of(task) for task in kept}, swarm.started)
    swarm.manager.api("DELETE", "/services/web")
    until(lambda: not swarm.started(), swarm.started)


def test_services_larger_than_an_entry_of_the_log_all_get_their_tasks(swarm: Swarm) -> None:
    """A task carries its service's spec: ten of them are more than one entry may hold."""
    environment = [f"V{number}={'x' * 70_000}" for number in range(3)]
    swarm.manager.service("large", 20, Env=environment)
    swarm.manager.running("large", 20)
    swarm.manager.api("DELETE", "/services/large")
    status, _, text = swarm.manager.exchange(
        "POST", "/services/create", service_spec("huge", 2, Env=[f"V={'x' * 2_000_000}"])
    )
    assert (status, b"larger than 256 KiB" in text) == (400, True), text[:500]
    swarm.manager.becomes(state="active", ready=True)
    until(lambda: not swarm.started(), swarm.started)
