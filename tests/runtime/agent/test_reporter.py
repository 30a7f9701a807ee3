# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from runtime.agent.kit import until

from queenright.agent.reporter import BATCH, Reporter
from queenright.model.objects import TaskStatus
from queenright.model.states import TaskState


def status(state: TaskState, err: str = "") -> TaskStatus:
    return TaskStatus(state=state, err=err)


class Manager:
    def __init__(self) -> None:
        self.calls: list[list[tuple[str, TaskStatus]]] = []
        self.refuse = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, updates: Sequence[tuple[str, TaskStatus]]) -> None:
        await self.gate.wait()
        if self.refuse:
            self.refuse -= 1
            raise ConnectionError("not now")
        self.calls.append(list(updates))


@pytest.fixture
async def reporter() -> AsyncIterator[Reporter]:
    reporter = Reporter(lambda: 0.0)
    run = asyncio.create_task(reporter.run())
    yield reporter
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_statuses_of_a_moment_travel_together_and_only_the_latest_of_each(reporter: Reporter) -> None:
    manager = Manager()
    reporter.connected(manager.take, [])
    reporter.report("a", status(TaskState.ACCEPTED))
    reporter.report("b", status(TaskState.RUNNING))
    reporter.report("a", status(TaskState.PREPARING))
    await until(lambda: reporter.waiting == 0)
    assert manager.calls == [[("a", status(TaskState.PREPARING)), ("b", status(TaskState.RUNNING))]]


async def test_an_older_state_does_not_replace_a_newer_one_but_news_of_the_same_state_does(reporter: Reporter) -> None:
    manager = Manager()
    reporter.connected(manager.take, [])
    reporter.report("a", status(TaskState.RUNNING))
    reporter.report("a", status(TaskState.STARTING))
    reporter.report("a", status(TaskState.RUNNING, "again"))
    await until(lambda: reporter.waiting == 0)
    assert manager.calls == [[("a", status(TaskState.RUNNING, "again"))]]


async def test_what_is_refused_is_sent_until_it_is_taken(reporter: Reporter) -> None:
    manager = Manager()
    manager.refuse = 3
    reporter.connected(manager.take, [])
    reporter.report("a", status(TaskState.FAILED))
    await until(lambda: bool(manager.calls))
    assert manager.calls == [[("a", status(TaskState.FAILED))]]
    assert reporter.waiting == 0


async def test_without_a_session_statuses_wait_for_one(reporter: Reporter) -> None:
    reporter.report("a", status(TaskState.RUNNING))
    manager = Manager()
    await asyncio.sleep(0)
    assert reporter.waiting == 1
    reporter.connected(manager.take, [("b", status(TaskState.COMPLETE))])
    await until(lambda: reporter.waiting == 0)
    assert dict(manager.calls[0]) == {"a": status(TaskState.RUNNING), "b": status(TaskState.COMPLETE)}


async def test_what_is_said_while_a_call_is_under_way_is_not_lost(reporter: Reporter) -> None:
    manager = Manager()
    manager.gate.clear()
    reporter.connected(manager.take, [])
    reporter.report("a", status(TaskState.STARTING))
    await asyncio.sleep(0.15)
    reporter.report("a", status(TaskState.RUNNING))
    manager.gate.set()
    await until(lambda: reporter.waiting == 0)
    assert manager.calls[-1] == [("a", status(TaskState.RUNNING))]


async def test_a_session_that_ends_gets_nothing_more(reporter: Reporter) -> None:
    old, new = Manager(), Manager()
    reporter.connected(old.take, [])
    reporter.disconnected()
    reporter.report("a", status(TaskState.RUNNING))
    reporter.connected(new.take, [])
    await until(lambda: reporter.waiting == 0)
    assert old.calls == [] and len(new.calls) == 1


async def test_a_removed_task_is_not_spoken_of(reporter: Reporter) -> None:
    manager = Manager()
    reporter.report("a", status(TaskState.RUNNING))
    reporter.report("b", status(TaskState.RUNNING))
    reporter.forget("a")
    reporter.connected(manager.take, [])
    await until(lambda: reporter.waiting == 0)
    assert manager.calls == [[("b", status(TaskState.RUNNING))]]


async def test_very_many_statuses_are_sent_in_parts(reporter: Reporter) -> None:
    manager = Manager()
    reporter.connected(manager.take, [(f"t{number}", status(TaskState.RUNNING)) for number in range(BATCH + 1)])
    await until(lambda: reporter.waiting == 0)
    assert [len(call) for call in manager.calls] == [BATCH, 1]
