# SPDX-License-Identifier: Apache-2.0
"""Who may do what on the control port, over real mutual TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import AsyncIterator, Callable

import grpc
import pytest

from queenright.agent.link import LinkError
from queenright.app.certificates import PeerReader
from queenright.edge.grpc import authorize, gate
from queenright.edge.grpc.authorize import Authorizer, DeniedError
from queenright.edge.pki.authority import create_root
from queenright.model.changes import Create, Delete, Update
from queenright.model.mesh_rows import Link, NetworksState
from queenright.model.objects import Attachment, Network, Node, NodeDescription, Subnet, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.cluster import DispatcherSpec
from queenright.spec.network import NetworkSpec
from queenright.spec.service import TaskSpec
from queenright.wire.gen import dispatcher_pb2
from queenright.wire.messages import Ping, SessionNews

from .kit import CLUSTER, MANAGER, OTHER, WORKER, Identity, Port

DESCRIPTION = NodeDescription(hostname="h1")


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    made = Port()
    await made.start()
    yield made
    await made.stop()


async def first_news(port: Port, identity: Identity | None = None, server: str = MANAGER) -> SessionNews:
    link = port.link(identity, server)
    try:
        async with asyncio.timeout(20):
            news = await anext(link.session(DESCRIPTION, ""))
            assert isinstance(news, SessionNews)
            return news
    finally:
        await link.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a deadline, as all polls here
            await asyncio.sleep(0.01)


async def test_a_worker_opens_a_session_and_is_known_by_its_certificate(port: Port) -> None:
    news = await first_news(port)
    assert (news.node.id, news.managers) == (WORKER, ((MANAGER, "m:2377"),))
    assert news.node.status.addr == "127.0.0.1"


async def test_the_other_side_must_be_the_node_that_was_meant(port: Port) -> None:
    with pytest.raises(LinkError) as refused:
        await first_news(port, server=OTHER)
    assert refused.value.code == "Unavailable"


async def test_a_caller_without_a_certificate_of_the_root_gets_nowhere(port: Port) -> None:
    stranger = Identity(create_root(datetime.datetime.now(datetime.UTC)), WORKER, "worker")
    with pytest.raises(LinkError) as refused:
        await first_news(port, stranger)
    assert "mutual TLS" in str(refused.value) or refused.value.code == "Unavailable"


async def test_an_anonymous_caller_is_refused_by_the_handshake(port: Port) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=port.root.certificate_pem)
    options = (("grpc.ssl_target_name_override", MANAGER),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port.port}", credentials, options=options) as channel:
        call = channel.unary_unary("/queenright.v1.Dispatcher/Heartbeat")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", timeout=20)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("removed", "was removed from swarm"),
        ("serial", "the certificate is no longer in use"),
        ("cluster", "the certificate is of another swarm"),
        ("expired", "the certificate has expired"),
    ],
)
async def test_a_certificate_is_not_enough(port: Port, change: str, words: str) -> None:
    identity = port.worker
    if change == "removed":
        port.write(Delete("node", WORKER))
    elif change == "serial":
        node = port.store.nodes.get(WORKER)
        assert node is not None
        port.write(Update(dataclasses.replace(node, serial="77")))
    elif change == "cluster":
        identity = Identity(port.root, WORKER, "worker", cluster_id=OTHER)
    else:
        port.clock.ahead = 7200 * 10**9
    with pytest.raises(LinkError, match=words) as refused:
        await first_news(port, identity)
    assert refused.value.code == "PermissionDenied"


async def test_the_serial_before_the_last_renewal_still_counts(port: Port) -> None:
    node = port.store.nodes.get(WORKER)
    assert node is not None
    port.write(Update(dataclasses.replace(node, serial="77", previous_serial=node.serial)))
    assert (await first_news(port)).node.id == WORKER


async def test_a_worker_s_tasks_come_over_and_its_statuses_go_back(port: Port) -> None:
    assigned = TaskStatus(state=TaskState.ASSIGNED)
    port.write(Create(Task(id="t1", service_id="s", node_id=WORKER, spec=TaskSpec(), status=assigned)))
    link = port.link()
    async with asyncio.timeout(30):
        session = link.session(DESCRIPTION, "10.0.0.7")
        session_id = (await anext(session)).session_id
        assignments = link.assignments(session_id)
        assert [task.id for task in (await anext(assignments)).updates] == ["t1"]
        await link.update_statuses(session_id, [("t1", TaskStatus(state=TaskState.RUNNING))])
        assert await link.heartbeat(session_id) == 5_000_000_000
    await link.close()
    task = port.store.tasks.get("t1")
    assert task is not None
    assert task.status.state == TaskState.RUNNING


async def test_a_worker_is_told_of_its_networks_and_says_what_came_of_it(port: Port) -> None:
    attachment = Attachment(network_id="n", addresses=("10.0.1.9/24",))
    node = port.store.nodes.get(WORKER)
    assert node is not None
    subnets = (Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"),)
    port.write(
        Create(Network(id="n", spec=NetworkSpec(name="mynet"), vni=4097, subnets=subnets)),
        Update(dataclasses.replace(node, attachments=(attachment,))),
    )
    link = port.link()
    async with asyncio.timeout(30):
        session_id = (await anext(link.session(DESCRIPTION, "10.0.0.7"))).session_id
        stream = link.networks(session_id)
        told = await anext(stream)
        assert told.complete
        assert {row.key for row in told.rows} == {"n", f"n/{WORKER}"}
        await link.networks_applied(session_id, NetworksState(told.results_in, {}, {("tcp", 80): ""}))
        held = port.store.networks.get("n")
        assert held is not None
        port.write(Update(dataclasses.replace(held, spec=NetworkSpec(name="mynet", internal=True))))
        [row] = (await anext(stream)).rows
        assert isinstance(row, Link) and row.internal
    await link.close()


async def test_another_s_task_cannot_be_reported(port: Port) -> None:
    port.write(Create(Task(id="t1", service_id="s", node_id=MANAGER, spec=TaskSpec())))
    link = port.link()
    async with asyncio.timeout(30):
        session_id = (await anext(link.session(DESCRIPTION, ""))).session_id
        with pytest.raises(LinkError) as refused:
            await link.update_statuses(session_id, [("t1", TaskStatus(state=TaskState.RUNNING))])
    assert refused.value.code == "PermissionDenied"
    await link.close()


async def test_another_s_session_cannot_be_used(port: Port) -> None:
    worker, manager = port.link(), port.link(port.manager)
    async with asyncio.timeout(30):
        session_id = (await anext(worker.session(DESCRIPTION, ""))).session_id
        with pytest.raises(LinkError, match="session invalid"):
            await manager.heartbeat(session_id)
    await worker.close()
    await manager.close()


async def test_a_removed_node_s_open_streams_end_at_once(port: Port) -> None:
    link = port.link()
    async with asyncio.timeout(30):
        session = link.session(DESCRIPTION, "")
        session_id = (await anext(session)).session_id
        assignments = link.assignments(session_id)
        await anext(assignments)
        port.write(Delete("node", WORKER))
        with pytest.raises(LinkError):
            await anext(assignments)
        with pytest.raises(LinkError, match="was removed from swarm"):
            while True:
                await anext(session)  # news from before the removal may still come
    await link.close()


async def follow(stream: AsyncIterator[SessionNews | Ping], pings: list[Ping]) -> None:
    async for told in stream:
        if isinstance(told, Ping):
            pings.append(told)


async def test_pings_are_answered_on_the_stream_of_the_session(port: Port) -> None:
    often = DispatcherSpec(ping_period=100_000_000)
    cluster = port.store.cluster
    assert cluster is not None
    port.write(Update(dataclasses.replace(cluster, spec=dataclasses.replace(cluster.spec, dispatcher=often))))
    link = port.link()
    pings: list[Ping] = []
    following = asyncio.create_task(follow(link.session(DESCRIPTION, ""), pings))
    await until(lambda: len(pings) >= 1)
    heard = port.dispatcher.beats()[WORKER].heard
    await until(lambda: port.dispatcher.beats()[WORKER].heard > heard)
    assert pings[0] == Ping(100_000_000)
    beat = port.dispatcher.beats()[WORKER]
    assert (beat.pinged, beat.broken) == (True, None)
    following.cancel()
    await link.close()


@pytest.mark.parametrize("lost", ["certificate", "validity"])
async def test_a_session_ends_with_the_right_to_it(port: Port, lost: str) -> None:
    often = DispatcherSpec(ping_period=100_000_000)
    cluster, node = port.store.cluster, port.store.nodes.get(WORKER)
    assert cluster is not None and node is not None
    port.write(Update(dataclasses.replace(cluster, spec=dataclasses.replace(cluster.spec, dispatcher=often))))
    link = port.link()
    following = asyncio.create_task(follow(link.session(DESCRIPTION, ""), []))
    await until(lambda: WORKER in port.dispatcher.beats())
    if lost == "certificate":
        node = port.store.nodes.get(WORKER)
        assert node is not None
        port.write(Update(dataclasses.replace(node, serial="77", previous_serial="")))
    else:
        port.clock.ahead = 7200 * 10**9
    with pytest.raises(LinkError, match=r"no longer in use|has expired") as refused:
        async with asyncio.timeout(20):
            await following
    assert refused.value.code == "PermissionDenied"
    await link.close()


async def test_a_call_whose_link_is_closed_meanwhile_is_told_so_and_not_cancelled(port: Port) -> None:
    link = port.link()
    call = asyncio.create_task(link.restarting("no session"))
    await asyncio.sleep(0)
    await link.close()
    with pytest.raises(LinkError):
        await call


async def test_a_stream_that_breaks_is_noticed_at_once_and_a_new_session_mends_it(port: Port) -> None:
    link = port.link()
    await anext(link.session(DESCRIPTION, ""))
    assert port.dispatcher.beats()[WORKER].broken is None
    await link.close()
    await until(lambda: port.dispatcher.beats()[WORKER].broken is not None)
    again = port.link()
    await anext(again.session(DESCRIPTION, ""))
    assert port.dispatcher.beats()[WORKER].broken is None
    await again.close()


async def test_an_agent_of_an_earlier_release_sends_one_message_and_is_not_pinged(port: Port) -> None:
    link = port.link()
    session = link._channel.unary_stream(
        "/queenright.v1.Dispatcher/Session",
        request_serializer=dispatcher_pb2.SessionRequest.SerializeToString,
        response_deserializer=dispatcher_pb2.SessionMessage.FromString,
    )(dispatcher_pb2.SessionRequest(addr="10.0.0.9"))
    async with asyncio.timeout(20):
        first = await session.read()
    assert (first.session_id != "", first.ping_ns) == (True, 0)
    await asyncio.sleep(0.05)
    beat = port.dispatcher.beats()[WORKER]
    assert (beat.pinged, beat.broken) == (False, None)
    assert await link.heartbeat(first.session_id) == 5_000_000_000
    await link.close()


async def test_a_first_message_that_cannot_be_read_is_refused(port: Port) -> None:
    link = port.link()
    call = link._channel.stream_stream("/queenright.v1.Dispatcher/Session")()
    await call.write(b"\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError, match="the message of Session cannot be read"):
        async with asyncio.timeout(20):
            await call.read()
    await link.close()


async def test_a_caller_that_says_nothing_is_not_waited_for(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "FIRST_MESSAGE", 0.2)
    link = port.link()
    call = link._channel.stream_stream("/queenright.v1.Dispatcher/Session")()
    with pytest.raises(grpc.aio.AioRpcError, match="no message of Session came within") as refused:
        async with asyncio.timeout(20):
            await call.read()
    assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert WORKER not in port.dispatcher.beats()
    assert (await first_news(port)).session_id
    await link.close()


def test_a_method_without_a_row_cannot_be_served() -> None:
    with pytest.raises(RuntimeError, match=r"no row in .* says who may call /x/Y"):
        authorize.require_rows(["/x/Y"])


def test_a_worker_may_not_call_what_is_for_managers(port_offline: Port) -> None:
    authorizer = Authorizer(port_offline.store, CLUSTER, port_offline.clock, PeerReader())
    auth = {"x509_pem_cert": [port_offline.worker.issued.chain_pem], "ssl_tls_version": [b"TLSv1.3"]}
    with pytest.raises(DeniedError, match="unauthorized peer role: worker"):
        authorizer.check("/queenright.v1.Control/Forward", auth)


def test_a_manager_s_certificate_counts_for_nothing_once_the_store_says_worker(port_offline: Port) -> None:
    node = port_offline.store.nodes.get(MANAGER)
    assert isinstance(node, Node)
    port_offline.write(Update(dataclasses.replace(node, role="worker")))
    authorizer = Authorizer(port_offline.store, CLUSTER, port_offline.clock, PeerReader())
    auth = {"x509_pem_cert": [port_offline.manager.issued.chain_pem], "ssl_tls_version": [b"TLSv1.3"]}
    with pytest.raises(DeniedError, match="unauthorized peer role"):
        authorizer.check("/queenright.v1.Control/Forward", auth)


@pytest.mark.parametrize("version", [b"TLSv1.2", b""])
def test_older_tls_is_refused(port_offline: Port, version: bytes) -> None:
    authorizer = Authorizer(port_offline.store, CLUSTER, port_offline.clock, PeerReader())
    auth = {"x509_pem_cert": [port_offline.worker.issued.chain_pem], "ssl_tls_version": [version]}
    with pytest.raises(DeniedError, match=r"TLS 1\.3"):
        authorizer.check("/queenright.v1.Dispatcher/Heartbeat", auth)


@pytest.fixture
def port_offline() -> Port:
    return Port()
