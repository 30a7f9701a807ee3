# SPDX-License-Identifier: Apache-2.0
"""What managers hand on to the leader, renewals, and agents that ask a manager which does not lead."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import socket
from collections.abc import AsyncIterator

import pytest

from queenright.agent.link import LinkError, NoLeaderError, RedirectError
from queenright.agent.remotes import Remotes
from queenright.agent.session import SessionLoop
from queenright.edge.grpc import dispatcher_service, leader
from queenright.edge.grpc.client import GrpcConnector, GrpcLink
from queenright.edge.grpc.leader import LeaderCalls
from queenright.edge.pki.authority import create_root
from queenright.model.changes import Delete, Update
from queenright.model.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotLeading,
    OutcomeUnknown,
    PermissionDenied,
    Refusal,
    Unavailable,
)
from queenright.model.objects import NodeDescription
from queenright.wire.messages import AssignmentSet, ForwardAnswer, ForwardCall

from .kit import WORKER, Identity
from .members import PATIENCE, A, B, C, Member, until

CALL = ForwardCall("POST", "/services/create", "a=b", "1.41", {"X-Registry-Auth": "x"}, b"{}!", "r1")


@pytest.fixture
async def two() -> AsyncIterator[tuple[Member, Member]]:
    """A follower and the leader; both know both, and a worker."""
    root = create_root(datetime.datetime.now(datetime.UTC))
    follower, leads = Member(root, A), Member(root, B)
    leads.worker = Identity(root, WORKER, "worker")  # type: ignore[attr-defined]
    for member in (follower, leads):
        member.know(
            *((other.node_id, "manager", other.identity.issued.serial) for other in (follower, leads)),
            (WORKER, "worker", leads.worker.issued.serial),  # type: ignore[attr-defined]
        )
        await member.listen()
    leads.dispatcher.start()
    follower.confirm_error = NotLeading("this manager does not lead")
    follower.leader = (B, leads.addr)
    yield follower, leads
    await leads.dispatcher.stop()
    await follower.stop()
    await leads.stop()


@pytest.fixture
async def calls(two: tuple[Member, Member]) -> AsyncIterator[LeaderCalls]:
    made = LeaderCalls(two[0]._certificates)
    yield made
    await made.close()


def link(member: Member, identity: Identity) -> GrpcLink:
    return GrpcConnector(identity.for_grpc).connect(member.node_id, member.addr)


def worker(two: tuple[Member, Member]) -> Identity:
    found: Identity = two[1].worker  # type: ignore[attr-defined]
    return found


async def test_a_request_reaches_the_leader_and_its_answer_comes_back(
    two: tuple[Member, Member], calls: LeaderCalls
) -> None:
    answer = await calls.forward((B, two[1].addr), CALL, PATIENCE)
    assert two[1].behind.calls == [CALL]
    assert answer == ForwardAnswer(201, {"Api-Version": "1.41"}, b"!}{", 77)


async def test_a_long_body_passes(two: tuple[Member, Member], calls: LeaderCalls) -> None:
    body = bytes(range(256)) * (7 << 12)  # 7 MiB
    answer = await calls.forward((B, two[1].addr), dataclasses.replace(CALL, body=body), PATIENCE)
    assert answer.body == body[::-1]


async def test_a_join_is_handed_on_with_its_source(two: tuple[Member, Member], calls: LeaderCalls) -> None:
    assert await calls.admit((B, two[1].addr), b'{"csr": 1}', "10.1.2.3", PATIENCE) == b'{"csr": 1}10.1.2.3'


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument("name conflicts"),
        FailedPrecondition("the node is still a manager"),
        Unavailable("The swarm does not have a leader."),
        OutcomeUnknown("the log ended before it answered"),
    ],
)
async def test_a_refusal_of_the_leader_comes_back_as_it_is(
    two: tuple[Member, Member], calls: LeaderCalls, error: Refusal
) -> None:
    two[1].behind.error = error
    with pytest.raises(Refusal) as refused:
        await calls.forward((B, two[1].addr), CALL, PATIENCE)
    assert (type(refused.value), str(refused.value)) == (type(error), str(error))


async def test_who_is_no_manager_forwards_nothing(two: tuple[Member, Member]) -> None:
    made = LeaderCalls(worker(two).for_grpc)
    with pytest.raises(PermissionDenied, match="unauthorized peer role: worker"):
        await made.forward((B, two[1].addr), CALL, PATIENCE)
    await made.close()
    assert two[1].behind.calls == []


async def test_a_leader_that_is_not_reached_has_done_nothing(
    two: tuple[Member, Member], calls: LeaderCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "CONNECT_TIMEOUT", 3600.0)  # a refused connection is not waited for
    await two[1].deaf()
    with pytest.raises(Unavailable, match="is not reached") as refused:
        await calls.forward((B, two[1].addr), CALL, PATIENCE)
    assert type(refused.value) is Unavailable
    await two[1].listen()
    assert (await calls.forward((B, two[1].addr), CALL, PATIENCE)).status == 201


async def test_another_at_the_leader_s_address_gets_nothing(two: tuple[Member, Member], calls: LeaderCalls) -> None:
    with pytest.raises(Unavailable):
        await calls.forward((C, two[1].addr), CALL, PATIENCE)
    assert two[1].behind.calls == []


@pytest.mark.parametrize("how", ["dies", "is slow"])
async def test_when_the_leader_goes_silent_nobody_knows(
    two: tuple[Member, Member], calls: LeaderCalls, how: str
) -> None:
    two[1].behind.hold = asyncio.Event()
    asking = asyncio.create_task(calls.forward((B, two[1].addr), CALL, 1.0 if how == "is slow" else PATIENCE))
    await until(lambda: two[1].behind.calls == [CALL])
    if how == "dies":
        await two[1].deaf()
    with pytest.raises(OutcomeUnknown, match="whether it did what was asked is not known"):
        await asking


async def test_calls_go_on_when_the_leader_or_the_certificate_changes(
    two: tuple[Member, Member], calls: LeaderCalls
) -> None:
    follower, leads = two
    leads.behind.hold = asyncio.Event()
    running = asyncio.create_task(calls.forward((B, leads.addr), CALL, PATIENCE))
    await until(lambda: leads.behind.calls == [CALL])
    follower.identity = Identity(follower.root, A, "manager")
    serial = follower.identity.issued.serial
    leads.change_node(A, serial=serial)
    follower.change_node(A, serial=serial)
    assert (await calls.forward((A, follower.addr), CALL, PATIENCE)).status == 201
    second = asyncio.create_task(calls.forward((B, leads.addr), CALL, PATIENCE))
    await until(lambda: len(leads.behind.calls) == 2)
    leads.behind.hold.set()
    assert [(await task).status for task in (running, second)] == [201, 201]


async def test_a_leader_that_does_not_even_refuse_is_given_up(
    two: tuple[Member, Member], calls: LeaderCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(Unavailable, match="is not reached"):
            await calls.forward((B, f"127.0.0.1:{silent.getsockname()[1]}"), CALL, PATIENCE)


async def test_closing_ends_even_calls_on_connections_that_are_out_of_use(
    two: tuple[Member, Member], calls: LeaderCalls
) -> None:
    two[1].behind.hold = asyncio.Event()
    running = asyncio.create_task(calls.forward((B, two[1].addr), CALL, PATIENCE))
    await until(lambda: two[1].behind.calls == [CALL])
    await calls.forward((A, two[0].addr), CALL, PATIENCE)
    async with asyncio.timeout(10):
        await calls.close()
    with pytest.raises((OutcomeUnknown, asyncio.CancelledError)):
        await running
    assert not [task for task in asyncio.all_tasks() if "retired" in task.get_name()]


async def test_a_member_renews_its_certificate(two: tuple[Member, Member]) -> None:
    opened = link(two[1], worker(two))
    assert await opened.renew(b"CSR", "10.0.0.5:2377") == (b"CHAIN", "manager")
    await opened.close()
    assert two[1].behind.renewals == [(WORKER, b"CSR", "10.0.0.5:2377", worker(two).issued.serial)]


async def test_a_renewal_that_is_refused_says_why(two: tuple[Member, Member]) -> None:
    two[1].behind.error = InvalidArgument("the request's key is too weak")
    opened = link(two[1], worker(two))
    with pytest.raises(LinkError, match="too weak") as refused:
        await opened.renew(b"CSR", "")
    await opened.close()
    assert refused.value.code == "InvalidArgument"


# -- agents


async def first(member: Member, identity: Identity) -> str:
    opened = link(member, identity)
    try:
        async with asyncio.timeout(PATIENCE):
            return (await anext(opened.session(NodeDescription(hostname="h"), ""))).node.id
    finally:
        await opened.close()


async def test_a_follower_sends_an_agent_to_the_leader(two: tuple[Member, Member]) -> None:
    with pytest.raises(RedirectError) as redirected:
        await first(two[0], worker(two))
    assert (redirected.value.node_id, redirected.value.addr) == (B, two[1].addr)
    assert await first(two[1], worker(two)) == WORKER


async def test_a_follower_that_lags_sends_even_a_node_that_it_does_not_know(two: tuple[Member, Member]) -> None:
    """It must never say that a node was removed: a node that hears that goes for good."""
    two[0].write(Delete("node", WORKER))
    with pytest.raises(RedirectError):
        await first(two[0], worker(two))


async def test_without_a_leader_an_agent_waits_until_there_is_one(two: tuple[Member, Member]) -> None:
    follower, leads = two
    follower.leader = None
    follower.write(Delete("node", WORKER))
    asking = [asyncio.create_task(first(follower, worker(two))) for _ in range(5)]
    await until(lambda: any(task.get_name() == "leader-watch" for task in asyncio.all_tasks()))
    follower.leader = (B, leads.addr)
    for task in asking:
        with pytest.raises(RedirectError):
            await task


async def test_without_a_leader_for_long_an_agent_is_told(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_service, "LEADER_WAIT", 0.2)
    follower, _ = two
    follower.leader = None
    for _ in range(2):
        with pytest.raises(NoLeaderError, match="the swarm has no leader") as refused:
            await first(follower, worker(two))
        assert refused.value.code == "Unavailable"
        follower.write(Delete("node", WORKER)) if follower.store.nodes.get(WORKER) else None


async def test_a_dispatcher_that_says_who_leads_is_believed(two: tuple[Member, Member]) -> None:
    follower, leads = two
    follower.leader = None

    async def elsewhere(*_: object, **__: object) -> None:
        raise NotLeading("this manager does not lead", (B, leads.addr))

    follower.dispatcher.open = elsewhere  # type: ignore[assignment,method-assign]
    with pytest.raises(RedirectError, match="the manager that leads"):
        await first(follower, worker(two))


async def test_a_leader_says_no_only_when_it_is_sure_to_lead(two: tuple[Member, Member]) -> None:
    leads = two[1]
    leads.write(Delete("node", WORKER))
    leads.confirm_error = Unavailable("no quorum")
    opened = link(leads, worker(two))
    with pytest.raises(NoLeaderError, match="only the leader can tell"):
        await opened.heartbeat("s")
    leads.confirm_error = None
    with pytest.raises(LinkError, match="was removed from swarm") as refused:
        await opened.heartbeat("s")
    assert refused.value.code == "PermissionDenied"
    await opened.close()


async def test_what_arrives_while_the_leader_makes_sure_counts(two: tuple[Member, Member]) -> None:
    leads = two[1]
    node = leads.store.nodes.get(WORKER)
    assert node is not None
    leads.write(Update(dataclasses.replace(node, serial="77")))

    async def catch_up() -> int:
        current = leads.store.nodes.get(WORKER)
        assert current is not None
        leads.write(Update(dataclasses.replace(current, serial=node.serial)))
        return leads.store.index

    leads.confirm = catch_up  # type: ignore[method-assign]
    await leads.deaf()
    await leads.listen()
    assert await first(leads, worker(two)) == WORKER


class Idle:
    """An agent's worker with nothing to do."""

    def take_data(self, assigned: AssignmentSet) -> None: ...

    async def apply_complete(self, tasks: object) -> None: ...

    async def apply_incremental(self, updates: object, removes: object) -> None: ...

    def connected(self, send: object) -> None: ...

    def disconnected(self) -> None: ...


async def test_an_agent_finds_the_leader_and_the_next_one_when_that_dies(two: tuple[Member, Member]) -> None:
    follower, leads = two
    for member in two:
        for other in two:
            member.change_node(other.node_id, manager_addr=other.addr)

    async def describe() -> NodeDescription:
        return NodeDescription(hostname="h")

    loop = SessionLoop(
        Remotes([(A, follower.addr)], lambda: 0.5),
        GrpcConnector(worker(two).for_grpc),
        Idle(),
        describe,
        addr="10.0.0.9",
        dice=lambda: 0.5,
        wall=follower.clock.wall,
    )
    agent = asyncio.create_task(loop.run())
    await until(lambda: loop.state.manager == leads.addr, lambda: loop.state)
    await leads.deaf()
    await until(lambda: loop.state.session_id == "", lambda: loop.state)
    follower.leader = None  # an election goes on
    await asyncio.sleep(0.1)
    follower.confirm_error = None
    follower.dispatcher.start()
    await until(lambda: loop.state.manager == follower.addr and loop.state.session_id != "", lambda: loop.state)
    agent.cancel()
    await asyncio.gather(agent, return_exceptions=True)
    await follower.dispatcher.stop()
