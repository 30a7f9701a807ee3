# SPDX-License-Identifier: Apache-2.0
"""A node gives the logs that are wanted, and no others, and stops when nobody wants them."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest
from runtime.agent.kit import FakeEngine, TickingClock, make_task, until
from runtime.agent.kit import Node as AgentNode

from queenright.agent import logs as logs_room
from queenright.agent.link import LinkError
from queenright.agent.log_ports import LogGoneError, LogPlace
from queenright.agent.logs import BURST, MOST_BYTES, RATE, Bucket, LogPublisher
from queenright.agent.ports import EngineLostError, TaskError
from queenright.model.logs import LogLine, LogOptions, LogPublication, LogSubscription, WantedLog
from queenright.model.states import TaskState
from queenright.wire.logs import unpack_lines

MANAGER = ("m1", "m1:2377")
FOLLOW = LogOptions(follow=True)


def line(text: str) -> LogLine:
    return LogLine(1, 1, "", text.encode())


class Source:
    """Containers' logs: lists of lines to give; an error is raised, ``...`` waits for ever."""

    def __init__(self) -> None:
        self.logs: dict[str, list[object]] = {}
        self.asked: list[tuple[str, bool, LogOptions]] = []
        self.open = 0

    async def read(self, container_id: str, tty: bool, options: LogOptions) -> AsyncGenerator[Sequence[LogLine], None]:
        self.asked.append((container_id, tty, options))
        self.open += 1
        try:
            for item in self.logs.get(container_id, []):
                if isinstance(item, Exception):
                    raise item
                if item is ...:
                    await asyncio.Event().wait()
                assert isinstance(item, list)
                yield item
        finally:
            self.open -= 1


class Tasks:
    def __init__(self) -> None:
        self.places: dict[str, LogPlace] = {}

    def log_place(self, task_id: str) -> LogPlace | None:
        return self.places.get(task_id)


class Pipe:
    """``gate``: closed, nothing is taken."""

    def __init__(self, session_id: str, subscription_id: str) -> None:
        self.session_id, self.subscription_id = session_id, subscription_id
        self.given: list[LogPublication] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.opened = False
        self.closed = False
        self.error: LinkError | None = None

    async def open(self) -> None:
        self._check()
        self.opened = True

    async def write(self, given: LogPublication) -> None:
        assert self.opened
        await self.gate.wait()
        self._check()
        self.given.append(given)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True

    @property
    def texts(self) -> list[str]:
        return [line.text.decode() for given in self.given for line in unpack_lines(given.lines)]

    @property
    def done(self) -> dict[str, str]:
        return {given.task_id: given.error for given in self.given if given.done}


class Manager:
    """Says what it wants; ``None`` ends the stream, an error breaks it."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[LogSubscription | Exception | None] = asyncio.Queue()
        self.sessions: list[str] = []
        self.pipes: dict[str, Pipe] = {}
        self.refuses: LinkError | None = None
        self.shut = False
        self.connections = 0

    def want(self, subscription_id: str, *task_ids: str, options: LogOptions = FOLLOW, tail: int = -1) -> None:
        wanted = tuple(WantedLog(task_id, 0, tail) for task_id in task_ids)
        self.told.put_nowait(LogSubscription(id=subscription_id, options=options, wanted=wanted))

    def over(self, subscription_id: str) -> None:
        self.told.put_nowait(LogSubscription(id=subscription_id, over=True))

    async def log_subscriptions(self, session_id: str) -> AsyncIterator[LogSubscription]:
        self.sessions.append(session_id)
        while (item := await self.told.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def publish_logs(self, session_id: str, subscription_id: str) -> Pipe:
        pipe = self.pipes[subscription_id] = Pipe(session_id, subscription_id)
        pipe.error = self.refuses
        if self.shut:
            pipe.gate.clear()
        return pipe

    async def close(self) -> None:
        self.connections -= 1

    def connect(self, node_id: str, addr: str) -> Manager:
        assert (node_id, addr) == MANAGER
        self.connections += 1
        return self


class Node:
    def __init__(self) -> None:
        self.source, self.tasks, self.manager = Source(), Tasks(), Manager()
        self.publisher = LogPublisher(self.source, self.tasks, self.manager, TickingClock())
        self.running = asyncio.create_task(self.publisher.run(self.manager, "session", MANAGER))

    def has(self, task_id: str, *log: object, ended: bool = False, tty: bool = False) -> None:
        self.tasks.places[task_id] = LogPlace(f"c-{task_id}", tty, ended)
        self.source.logs[f"c-{task_id}"] = list(log)

    async def pipe(self, subscription_id: str) -> Pipe:
        await until(lambda: subscription_id in self.manager.pipes)
        return self.manager.pipes[subscription_id]

    async def stop(self) -> None:
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(logs_room, "AGAIN", 0.01)
    made = Node()
    yield made
    await made.stop()
    assert made.source.open == 0
    assert made.manager.connections == 0


async def test_what_is_wanted_is_given_and_its_end_is_said(node: Node) -> None:
    node.has("t1", [line("a"), line("b")], [line("c")])
    node.manager.want("s", "t1", tail=7)
    pipe = await node.pipe("s")
    await until(lambda: pipe.done == {"t1": ""})
    assert pipe.texts == ["a", "b", "c"]
    assert (pipe.session_id, pipe.subscription_id) == ("session", "s")
    assert node.source.asked == [("c-t1", False, LogOptions(follow=True, tail=7))]


async def test_each_task_is_read_on_its_own_and_more_may_come(node: Node) -> None:
    node.has("t1", [line("a")], ...)
    node.has("t2", [line("b")], tty=True)
    node.manager.want("s", "t1")
    pipe = await node.pipe("s")
    await until(lambda: pipe.texts == ["a"])
    node.manager.want("s", "t2")
    await until(lambda: pipe.done == {"t2": ""})
    assert node.source.asked[1][1]
    assert list(node.manager.pipes) == ["s"]


async def test_when_it_is_over_reading_stops_and_the_connection_goes(node: Node) -> None:
    node.has("t1", [line("a")], ...)
    node.manager.want("s", "t1")
    node.manager.want("r", "t1")
    await until(lambda: node.source.open == 2)
    assert node.manager.connections == 1
    node.manager.over("s")
    await until(lambda: node.source.open == 1)
    assert node.manager.pipes["s"].closed
    assert node.manager.connections == 1
    node.manager.over("r")
    node.manager.over("never begun")
    await until(lambda: node.manager.connections == 0)
    assert node.source.open == 0


async def test_when_the_session_ends_all_of_it_ends(node: Node) -> None:
    node.has("t1", [line("a")], ...)
    node.manager.want("s", "t1")
    await until(lambda: node.source.open == 1)
    await node.stop()
    assert (node.source.open, node.manager.connections) == (0, 0)


@pytest.mark.parametrize("end", [None, LinkError("Unavailable", "it broke"), RuntimeError("a defect")])
async def test_a_stream_that_breaks_is_opened_again_and_ends_no_session(node: Node, end: Exception | None) -> None:
    node.has("t1", [line("a")], ...)
    node.manager.want("s", "t1")
    await until(lambda: node.source.open == 1)
    node.manager.told.put_nowait(end)
    await until(lambda: len(node.manager.sessions) == 2)
    assert node.source.open == 0
    node.manager.want("s2", "t1")
    pipe = await node.pipe("s2")
    await until(lambda: pipe.texts == ["a"])
    assert not node.running.done()


async def test_a_manager_that_takes_nothing_makes_the_engine_wait(node: Node) -> None:
    node.has("t1", *[[line("x")] for _ in range(50)])
    node.manager.shut = True
    node.manager.want("s", "t1")
    pipe = await node.pipe("s")
    await until(lambda: node.source.open == 1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert (node.source.open, pipe.given) == (1, [])
    pipe.gate.set()
    await until(lambda: len(pipe.texts) == 50)


async def test_a_pipe_that_breaks_ends_its_readers_and_no_others(node: Node) -> None:
    node.has("t1", [line("a")], ...)
    node.manager.want("good", "t1")
    await until(lambda: node.source.open == 1)
    node.manager.refuses = LinkError("PermissionDenied", "no")
    node.manager.want("bad", "t1")
    await node.pipe("bad")
    for _ in range(20):
        await asyncio.sleep(0)
    assert node.source.open == 1
    assert node.manager.pipes["bad"].given == []


async def test_a_leader_that_did_not_take_a_log_is_offered_it_again_as_long_as_it_wants_it(node: Node) -> None:
    node.has("t1", [line("a")], ...)
    node.manager.refuses = LinkError("Unavailable", "it did not answer in time")
    node.manager.want("s", "t1")
    first = await node.pipe("s")
    await until(lambda: node.manager.pipes["s"] is not first)
    assert first.closed and first.given == []
    node.manager.refuses = None
    await until(lambda: node.manager.pipes["s"].texts == ["a"])
    node.manager.over("s")
    await until(lambda: node.source.open == 0 and node.manager.pipes["s"].closed)


async def test_a_log_that_is_wanted_no_more_is_not_offered_again(node: Node) -> None:
    node.has("t1", [line("a")], ...)
    node.manager.refuses = LinkError("PermissionDenied", "no")
    node.manager.want("s", "t1")
    await node.pipe("s")
    node.manager.over("s")
    await until(lambda: node.manager.connections == 0)
    last = node.manager.pipes["s"]
    await asyncio.sleep(0.05)
    assert node.manager.pipes["s"] is last and last.closed


@pytest.mark.parametrize(
    ("failure", "ended", "told"),
    [
        (TaskError("configured logging driver does not support reading"), True, "task t1: configured logging driver"),
        (EngineLostError("the engine is away"), False, "task t1: the engine is away"),
        (RuntimeError("a defect"), False, "task t1: its log cannot be given"),
        (LogGoneError("No such container"), False, "task t1: No such container"),
        (LogGoneError("No such container"), True, ""),
    ],
)
async def test_what_cannot_be_read_is_said_unless_it_is_gone_for_good(
    node: Node, failure: Exception, ended: bool, told: str
) -> None:
    node.has("t1", [line("a")], failure, ended=ended)
    node.manager.want("s", "t1")
    pipe = await node.pipe("s")
    await until(lambda: "t1" in pipe.done)
    assert pipe.done["t1"].startswith(told)
    assert bool(pipe.done["t1"]) == bool(told)
    assert pipe.texts == ["a"]


async def test_a_task_that_is_not_there_any_more_has_nothing_to_give(node: Node) -> None:
    node.manager.want("s", "gone")
    pipe = await node.pipe("s")
    await until(lambda: pipe.done == {"gone": ""})


async def test_who_follows_to_a_time_gets_the_end_then(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_room, "AFTER_UNTIL", 0.02)
    node.has("t1", [line("a")], ...)
    node.manager.want("s", "t1", options=LogOptions(follow=True, until=5))
    pipe = await node.pipe("s")
    await until(lambda: pipe.done == {"t1": ""})
    assert pipe.texts == ["a"]


async def test_of_many_logs_only_some_are_read_at_a_time_unless_they_are_followed(node: Node) -> None:
    names = [f"t{number}" for number in range(100)]
    for name in names:
        node.has(name, ...)
    node.manager.want("s", *names, options=LogOptions())
    await until(lambda: node.source.open == logs_room.AT_ONCE)
    for _ in range(20):
        await asyncio.sleep(0)
    assert node.source.open == logs_room.AT_ONCE
    node.manager.over("s")
    node.manager.want("f", *names)
    await until(lambda: node.source.open == 100)


async def test_messages_stay_short(node: Node) -> None:
    node.has("t1", [line("x" * 1000)] * 500 + [line("y" * 3 * MOST_BYTES)] + [line("z")])
    node.manager.want("s", "t1")
    pipe = await node.pipe("s")
    await until(lambda: "t1" in pipe.done)
    assert len(pipe.texts) == 502
    sizes = [sum(len(line.text) for line in unpack_lines(given.lines)) for given in pipe.given]
    assert sorted(sizes)[-2] <= MOST_BYTES
    assert max(sizes) == 3 * MOST_BYTES


def test_a_log_that_comes_too_fast_is_held_back() -> None:
    bucket = Bucket()
    assert bucket.wait(BURST, now=10.0) == 0
    assert bucket.wait(RATE, now=10.0) == pytest.approx(1.0, abs=0.01)
    assert bucket.wait(RATE, now=11.0) == pytest.approx(1.0, abs=0.01)
    assert bucket.wait(1000, now=60.0) == 0


def test_over_time_a_log_has_its_rate_and_no_more() -> None:
    bucket, now, sent = Bucket(rate=1000, burst=100), 0.0, 0
    while now < 100:
        now += bucket.wait(50, now)
        sent += 50
    assert sent == pytest.approx(100_000, rel=0.01)


async def test_a_manager_that_does_not_know_of_logs_is_asked_seldom(node: Node) -> None:
    node.manager.told.put_nowait(LinkError("Unimplemented", "it is older"))
    await until(node.manager.told.empty)
    await asyncio.sleep(0.05)
    assert len(node.manager.sessions) == 1


async def test_a_worker_knows_where_the_logs_of_its_tasks_are(tmp_path: pathlib.Path) -> None:
    engine = FakeEngine()
    agent = AgentNode(engine, tmp_path)
    await agent.start()
    try:
        assert agent.worker.log_place("t1") is None
        await agent.worker.apply_complete([make_task(tty=True)])
        await agent.reaches(TaskState.RUNNING)
        assert agent.worker.log_place("t1") == LogPlace("c-t1", tty=True, ended=False)
        engine.exit("c-t1", 0)
        await agent.reaches(TaskState.COMPLETE)
        assert agent.worker.log_place("t1") == LogPlace("c-t1", tty=True, ended=True)
        await agent.restart()  # its containers are remembered
        await until(lambda: agent.worker.log_place("t1") == LogPlace("c-t1", tty=True, ended=True))
        await agent.worker.apply_complete([])
        await until(lambda: agent.worker.log_place("t1") is None)
    finally:
        await agent.stop()
