# SPDX-License-Identifier: Apache-2.0
"""Logs over real mutual TLS: from an agent to the leader, and from it to another manager."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import grpc
import pytest
from runtime.grpc.kit import CLUSTER, MANAGER, OTHER, WORKER, Identity, Port
from runtime.grpc.members import until

from queenright.agent.link import LinkError
from queenright.agent.log_ports import LogPlace
from queenright.agent.logs import LogPublisher
from queenright.app.certificates import PeerReader
from queenright.edge.grpc import gate
from queenright.edge.grpc.authorize import Authorizer
from queenright.edge.grpc.client import GrpcConnector, GrpcLink
from queenright.edge.grpc.leader_logs import LeaderLogs
from queenright.edge.grpc.server import ControlServer
from queenright.manager.log_reader import LogReader, LogStream
from queenright.manager.logs import LogBroker
from queenright.model.changes import Create
from queenright.model.errors import NotLeading, OutcomeUnknown, Refusal, Unavailable, Unimplemented
from queenright.model.logs import LogLine, LogOptions, LogPublication, LogReadRequest
from queenright.model.objects import Node, NodeDescription, NodeStatus, Service, Task, TaskStatus
from queenright.model.states import NodeState, TaskState
from queenright.spec.container import ContainerSpec
from queenright.spec.service import ServiceSpec, TaskSpec
from queenright.wire.logs import unpack_lines

FOLLOW = LogReadRequest(service_ids=("web",), options=LogOptions(follow=True))


class Engine:
    """One container that says what ``say`` gives it, and ends; ``flood``: as much as is taken."""

    def __init__(self) -> None:
        self.said: list[LogLine] = []
        self.ended = False
        self.flood = False
        self.sent = 0
        self.open = 0
        self._at = itertools.count(1)
        self._news = asyncio.Event()

    def say(self, text: str) -> None:
        self.said.append(LogLine(next(self._at), 1, "", text.encode()))
        self._news.set()

    def log_place(self, task_id: str) -> LogPlace | None:
        return LogPlace("c", tty=False, ended=False)

    async def read(self, container_id: str, tty: bool, options: LogOptions) -> AsyncGenerator[Sequence[LogLine], None]:
        self.open += 1
        try:
            while self.flood:
                yield [LogLine(next(self._at), 1, "", b"x" * 30_000 + b"\n")]
                self.sent += 30_000
                await asyncio.sleep(0)
            given = 0
            while True:
                fresh, given = [line for line in self.said[given:] if line.at >= options.since], len(self.said)
                if fresh:
                    yield fresh
                if self.ended:
                    return
                self._news.clear()
                await self._news.wait()
        finally:
            self.open -= 1


class Site(Port):
    """A leader with a broker, and an agent that gives the log of task ``t1``."""

    def __init__(self) -> None:
        super().__init__()
        counter = itertools.count()
        self.broker = LogBroker(self.store, self.clock, lambda: f"sub{next(counter)}")
        self.server = ControlServer(
            self.dispatcher,
            Authorizer(self.store, CLUSTER, self.clock, PeerReader()),
            self.manager.for_grpc,
            logs=self.broker,
        )
        self.engine = Engine()
        self.other = Identity(self.root, OTHER, "manager")
        self.write(
            Create(Node(id=OTHER, role="manager", serial=self.other.issued.serial)),
            Create(Service(id="web", spec=ServiceSpec(name="web"))),
        )
        self.tasks: list[asyncio.Task[None]] = []
        self.session_id = ""

    def add_task(self, task_id: str, node_id: str) -> None:
        spec = TaskSpec(container=ContainerSpec(image="app"))
        status = TaskStatus(state=TaskState.RUNNING, container_id="c")
        self.write(Create(Task(id=task_id, service_id="web", node_id=node_id, spec=spec, status=status)))

    async def start(self) -> None:
        await super().start()
        self.broker.start()
        self.tasks.append(asyncio.create_task(self._be_agent()))
        await until(lambda: self.broker.counts()[0] == 1)
        self.add_task("t1", WORKER)

    async def _be_agent(self) -> None:
        connector = GrpcConnector(self.worker.for_grpc)
        manager = (MANAGER, f"127.0.0.1:{self.port}")
        link = connector.connect(*manager)
        try:
            async for news in link.session(NodeDescription(hostname="h"), ""):
                if not self.session_id:
                    self.session_id = news.session_id
                    publisher = LogPublisher(self.engine, self.engine, connector, self.clock)
                    self.tasks.append(asyncio.create_task(publisher.run(link, news.session_id, manager)))
        finally:
            await link.close()

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.broker.stop()
        await super().stop()

    def reader(self, *, remote: bool = True) -> LogReader:
        far = LeaderLogs(self.other.for_grpc, (MANAGER, f"127.0.0.1:{self.port}"))
        return LogReader(lambda: far if remote else self.broker, unpack_lines, self.clock, lambda: 0.1)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.start()
    yield made
    await made.stop()


async def texts(stream: LogStream, count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found += [line.text.decode() for line in (await anext(stream)).lines]
    return found


@pytest.mark.parametrize("remote", [True, False])
async def test_a_manager_follows_a_log_of_a_node(site: Site, remote: bool) -> None:
    stream = await site.reader(remote=remote).open(FOLLOW)
    for text in ("a", "b"):
        site.engine.say(text)
        assert await texts(stream, 1) == [text]
    await stream.aclose()
    await until(lambda: site.engine.open == 0 and site.broker.counts() == (1, 0))


async def test_a_log_that_is_not_followed_ends(site: Site) -> None:
    for text in ("a", "b"):
        site.engine.say(text)
    site.engine.ended = True
    stream = await site.reader().open(LogReadRequest(task_ids=("t1",)))
    chunks = [chunk async for chunk in stream]
    assert [line.text for chunk in chunks for line in chunk.lines] == [b"a", b"b"]
    assert {(chunk.task_id, chunk.node_id, chunk.service_id) for chunk in chunks} == {("t1", WORKER, "web")}


async def test_a_client_that_takes_nothing_makes_all_wait_down_to_the_engine(site: Site) -> None:
    site.engine.flood = True
    stream = await site.reader().open(FOLLOW)
    await anext(stream)
    before = -1
    while before != site.engine.sent:
        before = site.engine.sent
        await asyncio.sleep(0.3)
    assert 0 < site.engine.sent < 40_000_000
    link = site.link()
    assert await link.heartbeat(site.session_id) > 0  # which nothing of it holds up
    await link.close()
    await anext(stream)
    await stream.aclose()
    await until(lambda: site.engine.open == 0)


async def test_what_follows_outlives_the_end_of_a_leadership(site: Site) -> None:
    stream = await site.reader().open(FOLLOW)
    site.engine.say("a")
    assert await texts(stream, 1) == ["a"]
    await site.broker.stop("this manager leads the swarm no more")
    site.broker.start()
    site.engine.say("b")
    assert await texts(stream, 1) == ["b"]
    await stream.aclose()


async def test_a_leader_that_does_not_lead_says_so(site: Site) -> None:
    await site.broker.stop()
    far = LeaderLogs(site.other.for_grpc, (MANAGER, f"127.0.0.1:{site.port}"))
    with pytest.raises(NotLeading):
        await anext(far.read(FOLLOW))


async def test_a_leader_that_is_not_there_is_unavailable(site: Site) -> None:
    far = LeaderLogs(site.other.for_grpc, (MANAGER, "127.0.0.1:1"))
    with pytest.raises(Unavailable, match="is not reached"):
        await anext(far.read(FOLLOW))


async def test_a_leader_of_an_older_version_is_said_to_be_one(site: Site) -> None:
    older = ControlServer(
        site.dispatcher, Authorizer(site.store, CLUSTER, site.clock, PeerReader()), site.manager.for_grpc
    )
    port = await older.start("127.0.0.1", 0)
    try:
        with pytest.raises(Unimplemented, match="runs an older version"):
            await anext(LeaderLogs(site.other.for_grpc, (MANAGER, f"127.0.0.1:{port}")).read(FOLLOW))
    finally:
        await older.stop(0)


async def test_a_connection_that_breaks_is_told_from_an_end(site: Site) -> None:
    parts = LeaderLogs(site.other.for_grpc, (MANAGER, f"127.0.0.1:{site.port}")).read(FOLLOW)
    await anext(parts)
    await site.server.stop(0)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        async with asyncio.timeout(60):
            while True:
                await anext(parts)


async def test_a_worker_reads_no_logs(site: Site) -> None:
    far = LeaderLogs(site.worker.for_grpc, (MANAGER, f"127.0.0.1:{site.port}"))
    with pytest.raises(Refusal, match="unauthorized peer role: worker"):
        await anext(far.read(FOLLOW))


@contextlib.asynccontextmanager
async def linked(site: Site, identity: Identity) -> AsyncIterator[GrpcLink]:
    link = site.link(identity)
    try:
        yield link
    finally:
        await link.close()


async def refused(link: GrpcLink, session_id: str, subscription_id: str, task_id: str) -> LinkError:
    """The end of an attempt to give lines."""
    pipe = link.publish_logs(session_id, subscription_id)
    with pytest.raises(LinkError) as error:
        await pipe.open()
        while True:
            await pipe.write(LogPublication(task_id=task_id, lines=b""))
            await asyncio.sleep(0.01)
    return error.value


async def test_a_node_gives_no_lines_of_another_node_s_task(site: Site) -> None:
    site.write(Create(Node(id="n3", role="worker", status=NodeStatus(state=NodeState.READY))))
    site.add_task("t2", "n3")
    stream = await site.reader().open(FOLLOW)
    await until(lambda: site.engine.open == 1)
    async with linked(site, site.worker) as link:
        error = await refused(link, site.session_id, "sub0", "t2")
    assert (error.code, "task t2 is not on this node" in str(error)) == ("PermissionDenied", True)
    await stream.aclose()


async def test_a_session_of_another_node_is_of_no_use(site: Site) -> None:
    async with linked(site, site.other) as link:
        error = await refused(link, site.session_id, "sub0", "t1")
        assert (error.code, str(error)) == ("InvalidArgument", "session invalid")
        with pytest.raises(LinkError, match="session invalid"):
            await anext(aiter(link.log_subscriptions(site.session_id)))


async def test_a_message_that_cannot_be_read_is_refused(site: Site) -> None:
    key, chain, roots = site.worker.for_grpc()
    credentials = grpc.ssl_channel_credentials(root_certificates=roots, private_key=key, certificate_chain=chain)
    options = (("grpc.ssl_target_name_override", MANAGER),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{site.port}", credentials, options=options) as channel:
        for messages in ([b"\xff\xff"], []):
            call = channel.stream_unary("/queenright.v1.Logs/Publish")(iter(messages))
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_node_that_opens_a_stream_of_lines_and_says_nothing_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_MESSAGE", 0.2)
    key, chain, roots = site.worker.for_grpc()
    credentials = grpc.ssl_channel_credentials(root_certificates=roots, private_key=key, certificate_chain=chain)
    options = (("grpc.ssl_target_name_override", MANAGER),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{site.port}", credentials, options=options) as channel:
        call = channel.stream_unary("/queenright.v1.Logs/Publish")(timeout=60)
        async with asyncio.timeout(60):
            assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "no message of Publish came within 0.2 s" in (await call.details() or "")
