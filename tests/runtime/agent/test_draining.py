# SPDX-License-Identifier: Apache-2.0
"""A task with addresses starts once its networks are there, and stops once nobody sends it connections any more."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from queenright.agent.ports import EngineLostError, TemporaryError
from queenright.decide.task_step import Action, Health, Phase, Seen, next_step
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState
from tests.runtime.agent.kit import FakeEngine, TickingClock, make_task, until
from tests.runtime.agent.mesh_kit import attached


class FakeMesh:
    """A ``Mesh``: networks that are there when ``made`` is set, and let go when ``free`` is."""

    def __init__(self) -> None:
        self.made = asyncio.Event()
        self.free = asyncio.Event()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.backs = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def ready(self, task: Task) -> None:
        self.asked.append("ready")
        if self.faults:
            raise TemporaryError(self.faults.pop(0))
        await self.made.wait()

    async def let_go(self, task: Task) -> None:
        self.asked.append("let go")
        await self.free.wait()

    def engine_back(self) -> None:
        self.backs += 1


class Lead:
    """One task with its runner."""

    def __init__(self, task: Task) -> None:
        from queenright.agent.task import TaskRunner

        self.engine, self.mesh = FakeEngine(), FakeMesh()
        self.reports: list[TaskStatus] = []
        self.removed: list[str] = []
        self.runner = TaskRunner(
            task,
            task.status,
            Seen(phase=Phase.ABSENT),
            self.engine,
            TickingClock(),
            lambda _, status: self.reports.append(status),
            self.removed.append,
            lambda: True,
            self.mesh,
        )
        self.run = asyncio.create_task(self.runner.run())

    @property
    def state(self) -> TaskState:
        return self.runner.status.state

    def wants(self, desired: TaskState) -> None:
        self.runner.update(dataclasses.replace(self.runner.task, desired_state=desired))

    async def runs(self) -> Lead:
        self.mesh.made.set()
        await until(lambda: self.state == TaskState.RUNNING)
        return self

    async def ends(self) -> None:
        self.run.cancel()
        await asyncio.gather(self.run, return_exceptions=True)


@pytest.fixture
async def lead():
    made: list[Lead] = []

    def make(*networks: str) -> Lead:
        made.append(Lead(dataclasses.replace(make_task(), attachments=attached(*networks))))
        return made[-1]

    yield make
    for one in made:
        await one.ends()


async def test_a_container_is_made_once_its_networks_are_there(lead) -> None:
    one = lead("n")
    await until(lambda: one.mesh.asked == ["ready"])
    assert "create" not in one.engine.calls
    one.mesh.made.set()
    await until(lambda: one.state == TaskState.RUNNING)


async def test_what_a_network_lacks_is_the_task_s_error_until_it_is_there(lead, monkeypatch) -> None:
    monkeypatch.setattr("queenright.agent.task.RETRY_AFTER", 0.01)
    one = lead("n")
    one.mesh.faults = ["network n: the kernel lacks vxlan"]
    await until(lambda: any("lacks vxlan" in status.err for status in one.reports))
    await one.runs()
    assert one.runner.status.err == ""


async def test_a_task_that_shall_end_does_not_wait_for_a_network(lead) -> None:
    one = lead("n")
    await until(lambda: one.mesh.asked == ["ready"])
    one.wants(TaskState.SHUTDOWN)
    await until(lambda: one.state == TaskState.SHUTDOWN)
    assert "create" not in one.engine.calls


async def test_a_task_is_stopped_once_it_is_let_go(lead) -> None:
    one = await lead("n").runs()
    one.wants(TaskState.SHUTDOWN)
    await until(lambda: "let go" in one.mesh.asked)
    assert "stop" not in one.engine.calls
    one.mesh.free.set()
    await until(lambda: one.state == TaskState.SHUTDOWN)
    assert one.mesh.asked == ["ready", "let go"]


async def test_a_task_in_no_network_is_stopped_at_once(lead) -> None:
    one = await lead().runs()
    one.wants(TaskState.SHUTDOWN)
    await until(lambda: one.state == TaskState.SHUTDOWN)
    assert one.mesh.asked == []


async def test_a_task_that_never_served_is_stopped_at_once(lead) -> None:
    one = lead("n")
    one.engine.probed = True
    one.mesh.made.set()
    await until(lambda: one.runner.seen.phase == Phase.RUNNING)
    one.wants(TaskState.SHUTDOWN)
    await until(lambda: one.state == TaskState.SHUTDOWN)
    assert "let go" not in one.mesh.asked


async def test_a_task_that_ends_by_itself_meanwhile_is_not_waited_for(lead) -> None:
    one = await lead("n").runs()
    one.wants(TaskState.SHUTDOWN)
    await until(lambda: "let go" in one.mesh.asked)
    one.engine.exit("c-t1", 0)
    await until(lambda: one.state == TaskState.SHUTDOWN)
    assert "stop" not in one.engine.calls


async def test_a_change_of_its_health_does_not_begin_the_wait_anew(lead) -> None:
    one = await lead("n").runs()
    one.wants(TaskState.SHUTDOWN)
    await until(lambda: "let go" in one.mesh.asked)
    one.engine.set("c-t1", health=Health.UNHEALTHY)
    await until(lambda: one.runner.seen.health == Health.UNHEALTHY)
    assert one.mesh.asked.count("let go") == 1
    one.mesh.free.set()
    await until(lambda: one.state == TaskState.SHUTDOWN)


async def test_a_task_that_is_taken_away_is_not_waited_for(lead) -> None:
    one = await lead("n").runs()
    one.runner.remove()
    await until(lambda: one.removed == ["t1"])
    assert "let go" not in one.mesh.asked


async def test_a_task_that_is_taken_away_while_it_waits_goes_at_once(lead) -> None:
    one = await lead("n").runs()
    one.wants(TaskState.SHUTDOWN)
    await until(lambda: "let go" in one.mesh.asked)
    one.runner.remove()
    await until(lambda: one.removed == ["t1"])


async def test_an_engine_that_was_away_is_said_to_be_back(lead) -> None:
    one = lead("n")
    one.engine.faults["create"] = [EngineLostError("gone")]
    await one.runs()
    assert one.mesh.backs == 1


def test_a_stop_comes_after_a_drain_and_nothing_else_waits_for_it() -> None:
    running = Seen(phase=Phase.RUNNING, container_id="c")
    status = TaskStatus(state=TaskState.RUNNING)
    assert next_step(TaskState.SHUTDOWN, status, running, None, 1, drained=False).action == Action.DRAIN
    assert next_step(TaskState.SHUTDOWN, status, running, None, 1).action == Action.STOP
    for phase in Phase:
        seen = Seen(phase=phase, container_id="c")
        for desired in (TaskState.RUNNING, TaskState.SHUTDOWN):
            found = next_step(desired, status, seen, None, 1, drained=False)
            if found.action != Action.DRAIN:
                assert found == next_step(desired, status, seen, None, 1)
