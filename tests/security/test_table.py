# SPDX-License-Identifier: Apache-2.0
"""The table of calls, tried by everybody who has no right to a row of it; and calls under way that lose theirs."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from runtime.grpc.kit import MANAGER, WORKER
from runtime.grpc.members import until
from security import table
from security.table import DEMOTED, EXCHANGE, THIRD, Site, held, outcome, requests

from queenright.edge.grpc import authorize, live, objects
from queenright.edge.grpc.authorize import TABLE
from queenright.manager.ports import Peer
from queenright.model.changes import Delete, Update
from queenright.model.objects import Node
from queenright.wire.gen import dispatcher_pb2, logs_pb2

DISPATCHER = "/queenright.v1.Dispatcher/"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with table.site() as made:
        yield made


async def test_nobody_gets_a_row_that_is_not_theirs(site: Site) -> None:
    before = site.arrived()
    checks = [check async for check in table.refusals(site)]
    assert [check for check in checks if not check.holds] == []
    assert site.arrived() == before
    assert {check.method for check in checks} == set(TABLE)
    assert min(Counter(check.method for check in checks).values()) >= 15
    assert len(checks) >= 250


async def test_nobody_reaches_what_is_another_node_s(site: Site) -> None:
    checks = [check async for check in table.trespasses(site)]
    assert [check for check in checks if not check.holds] == []
    assert len(checks) >= 3 * 8 + 2
    assert site.store.tasks.get("theirs").status.state.name == "NEW"  # type: ignore[union-attr]


async def test_those_who_may_are_let_in(site: Site) -> None:
    """Or all of the above would hold for a port that refuses everybody."""
    assert site.own is not None and site.session is not None
    async with site.channel(site.manager) as channel:
        for method in filter(table.for_managers_only, TABLE):
            code, details = await outcome(channel, method, requests("")[method])
            assert code == "OK" or "snapshot" in details, (method, code, details)
    async with site.channel(site.worker) as channel:
        assert (await outcome(channel, DISPATCHER + "Heartbeat", requests(site.own.id)[DISPATCHER + "Heartbeat"]))[
            0
        ] == "OK"
        assert (await outcome(channel, "/queenright.v1.Certificates/Renew", b""))[0] == "OK"
    assert [renewal[0] for renewal in site.behind.renewals] == [WORKER]  # for itself, whatever it says
    assert {peer.node_id for peer in site.seen} >= {WORKER, MANAGER}


def test_each_rule_covers_what_its_request_can_name() -> None:
    status = dispatcher_pb2.DESCRIPTOR.services_by_name["Dispatcher"].methods_by_name["UpdateTaskStatus"].input_type
    with pytest.raises(RuntimeError, match=r"UpdateTaskStatus .* does not cover container_id, task_id"):
        objects.require_covered(DISPATCHER + "UpdateTaskStatus", objects.OWN_SESSION, status)
    objects.require_covered(DISPATCHER + "UpdateTaskStatus", objects.OWN_TASKS, status)


def test_a_request_that_names_what_no_rule_looks_at_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    method = "/queenright.v1.Logs/Read"
    monkeypatch.setitem(TABLE, method, dataclasses.replace(TABLE[method], rule=objects.NAMES_NOBODY))
    with pytest.raises(RuntimeError, match="service_ids, task_id, task_ids"):
        authorize.require_rules({method: logs_pb2.LogReadRequest.DESCRIPTOR})


def node(site: Site, node_id: str) -> Node:
    found = site.store.nodes.get(node_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("removed", "was removed from swarm"),
        ("demoted", "unauthorized peer role: worker"),
        ("renewed", "no longer in use"),
        ("revoked", "was revoked"),
        ("expired", "has expired"),
    ],
)
async def test_calls_under_way_end_with_the_right_to_them(
    site: Site, monkeypatch: pytest.MonkeyPatch, change: str, words: str
) -> None:
    monkeypatch.setattr(live, "SWEEP", 0.2)
    ended, channel = await held(site, site.manager, EXCHANGE, requests("")[EXCHANGE])
    other, second = await held(site, site.worker, DISPATCHER + "Session", requests("")[DISPATCHER + "Session"])
    try:
        await until(lambda: site.server.live.of(MANAGER) == 1 and site.server.live.of(WORKER) == 1)
        was = node(site, MANAGER)
        if change == "removed":
            site.write(Delete("node", MANAGER))
        elif change == "demoted":
            site.write(Update(dataclasses.replace(was, role="worker")))
        elif change == "renewed":
            site.write(Update(dataclasses.replace(was, serial="78", previous_serial="77")))
        elif change == "revoked":
            site.revocations.add(was.serial)
            site.write(Update(dataclasses.replace(was, serial=was.serial, previous_serial="1")))
        else:
            site.clock.ahead = 3 * 3600 * 10**9
        async with asyncio.timeout(table.PATIENCE):
            code, details = await ended
        assert code == "PERMISSION_DENIED" and words in details
        await until(lambda: site.server.live.of(MANAGER) == 0)
        assert change == "expired" or not other.done()
    finally:
        other.cancel()
        await channel.close()
        await second.close()


async def test_a_defect_in_judging_lets_nobody_go_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What broke once is done again for everybody, though nothing changes any more."""
    judge, broken = site.server.live._judge, [ZeroDivisionError(), ZeroDivisionError()]

    async def breaks(method: str, peer: Peer) -> authorize.DeniedError | None:
        if broken:
            raise broken.pop()
        return await judge(method, peer)

    monkeypatch.setattr(site.server.live, "_judge", breaks)
    ended, channel = await held(site, site.manager, EXCHANGE, requests("")[EXCHANGE])
    await until(lambda: site.server.live.of(MANAGER) == 1)
    site.write(Delete("node", MANAGER))
    async with asyncio.timeout(table.PATIENCE):
        assert (await ended)[0] == "PERMISSION_DENIED"
    assert broken == []
    await channel.close()


async def test_who_takes_nothing_is_ended_too(site: Site) -> None:
    """A removed node whose stream is stuffed, so that it cannot even be told why."""
    async with site.channel(site.third) as channel:
        call = channel.stream_stream(DISPATCHER + "Networks")()
        assert site.session is not None
        await call.write(requests(site.session.id)[DISPATCHER + "Networks"])
        await until(lambda: site.server.live.of(THIRD) == 1)
        site.write(Delete("task", "theirs"))
        site.write(Delete("node", THIRD))
        await until(lambda: site.server.live.of(THIRD) == 0)
        call.cancel()


async def test_removal_and_demotion_cut_calls_within_seconds() -> None:
    for change in ("removed", "demoted"):
        async with table.site() as site:
            assert await table.cut_seconds(site, change) < 5 * 8  # of a machine that is eight times slower


async def test_a_change_that_takes_no_right_ends_nothing(site: Site) -> None:
    ended, channel = await held(site, site.manager, EXCHANGE, requests("")[EXCHANGE])
    gone, second = await held(site, site.demoted, DISPATCHER + "Session", requests("")[DISPATCHER + "Session"])
    await until(lambda: site.server.live.of(MANAGER) == 1 and site.server.live.of(DEMOTED) == 1)
    was = node(site, MANAGER)
    site.write(Update(dataclasses.replace(was, serial="78", previous_serial=was.serial)))  # renewed, not seen yet
    site.write(Delete("node", DEMOTED))  # judged in the same look
    await gone
    assert not ended.done()
    await channel.close()
    await second.close()


async def test_a_manager_that_cannot_be_sure_ends_nothing(site: Site) -> None:
    site.log.has_quorum = False
    ended, channel = await held(site, site.manager, EXCHANGE, requests("")[EXCHANGE])
    await until(lambda: site.server.live.of(MANAGER) == 1)
    site.write(Delete("node", MANAGER))
    await asyncio.sleep(live.SETTLE + 0.5)
    assert not ended.done()
    await channel.close()


async def test_a_node_has_a_share_of_calls_and_of_tries(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_OF_WORKER", 3)
    heartbeat = DISPATCHER + "Heartbeat"
    monkeypatch.setitem(TABLE, heartbeat, dataclasses.replace(TABLE[heartbeat], per_minute=5))
    async with site.channel(site.worker) as channel:
        got = [(await outcome(channel, heartbeat, b""))[0] for _ in range(7)]
        assert got == ["INVALID_ARGUMENT"] * 5 + ["RESOURCE_EXHAUSTED"] * 2
        site.clock.ahead += 13 * 10**9
        assert (await outcome(channel, heartbeat, b""))[0] == "INVALID_ARGUMENT"  # one was filled up


async def test_calls_that_say_nothing_are_few_for_each_node(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_OF_WORKER", 3)
    async with site.channel(site.worker) as channel, site.channel(site.third) as another:
        silent = [channel.stream_stream("/queenright.v1.Logs/Publish")() for _ in range(3)]
        await until(lambda: site.server.live.of(WORKER) == 3)
        assert await outcome(channel, DISPATCHER + "Heartbeat", b"") == (
            "RESOURCE_EXHAUSTED",
            f"node {WORKER} has 3 calls under way, at most 3 are served; it may try again later",
        )
        assert (await outcome(another, DISPATCHER + "Heartbeat", b""))[0] == "INVALID_ARGUMENT"
        for call in silent:
            call.cancel()
        await until(lambda: site.server.live.of(WORKER) == 0)


async def test_a_message_longer_than_its_row_allows_is_refused(site: Site) -> None:
    async with site.channel(site.worker) as channel:
        code, words = await outcome(channel, DISPATCHER + "Heartbeat", b"\x0a\x80\x40" + b"x" * 8192)
        assert (code, "longer than 4096 bytes" in words) == ("INVALID_ARGUMENT", True)


async def test_a_list_that_is_too_long_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_ITEMS", 3)
    assert site.own is not None
    updates = [dispatcher_pb2.TaskStatusUpdate(task_id="x")] * 4
    request = dispatcher_pb2.UpdateTaskStatusRequest(session_id=site.own.id, updates=updates).SerializeToString()
    async with site.channel(site.worker) as channel:
        code, words = await outcome(channel, DISPATCHER + "UpdateTaskStatus", request)
        assert (code, words) == ("INVALID_ARGUMENT", "updates has 4 items, at most 3 are taken")


async def test_who_connects_and_says_nothing_is_dropped(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    started = datetime.datetime.now(datetime.UTC)
    async with asyncio.timeout(table.PATIENCE * 2):
        await reader.read()
    assert datetime.datetime.now(datetime.UTC) - started < datetime.timedelta(seconds=table.PATIENCE)
    writer.close()
