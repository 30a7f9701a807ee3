# SPDX-License-Identifier: Apache-2.0
"""The host socket's calls on real managers: logs, gRPC and join listeners on loopback, only the engine is none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from runtime.api.kit import Api
from runtime.app.kit import Dockerd, Place, until
from runtime.manager.kit import service_json

from queenright.app import world
from queenright.edge.http.api import handing
from queenright.model.errors import OutcomeUnknown, Refusal
from queenright.wire.messages import ForwardAnswer, ForwardCall

pytestmark = pytest.mark.group

STALE = "X-Queenright-Stale"
V1 = "/queenright/v1"


class Member:
    """A host and its calls."""

    def __init__(self, dockerd: Dockerd) -> None:
        self.place = Place(dockerd.path)
        host = self.place.host
        self.api = Api(host, forwarder=host, ids=world.ids)  # type: ignore[arg-type]
        host.gateway = self.api.routes.gateway

    async def join(self, through: Member, role: str) -> None:
        swarm = await through.api.get("/swarm")
        body = {
            "RemoteAddrs": [through.place.addr],
            "JoinToken": swarm["JoinTokens"][role.capitalize()],
            "ListenAddr": self.place.addr,
        }
        assert await self.api.raw("POST", "/swarm/join", body) == (200, b"")

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.api.get(f"{V1}/status")
        return found

    async def write(self, name: str, **more: Any) -> tuple[int, Any]:
        body = service_json(name, Mode={"Replicated": {"Replicas": 0}})
        return await self.api.call("POST", "/services/create", body, **more)

    async def names(self) -> set[str]:
        return {service["Spec"]["Name"] for service in await self.api.get("/services")}

    async def roles(self) -> dict[str, str]:
        """Node id -> what ``docker node ls`` shows in the column of the managers."""
        shown = {}
        for node in await self.api.get("/nodes"):
            status = node.get("ManagerStatus")
            shown[node["ID"]] = "" if status is None else "Leader" if status.get("Leader") else status["Reachability"]
        return shown


@pytest.fixture
async def members() -> AsyncIterator[list[Member]]:
    """Three managers; the first one has founded the swarm. And a host outside."""
    dockerd = Dockerd()
    made = [Member(dockerd) for _ in range(4)]
    await made[0].place.host.init(made[0].place.init)
    await made[1].join(made[0], "manager")
    await made[2].join(made[1], "manager")  # at a follower
    await until(lambda: all(len(member.place.voters()) == 3 and member.place.state.ready for member in made[:3]))
    yield made
    await asyncio.gather(*(member.place.close() for member in made))
    dockerd.close()


async def test_every_manager_takes_writes_and_reads_them_at_once(members: list[Member]) -> None:
    for number in range(5):
        for member in members[:3]:
            name = f"s{number}-{member.place.port}"
            status, made = await member.write(name)
            assert status == 201
            assert (await member.api.get(f"/services/{name}"))["ID"] == made["ID"]
    names = await members[0].names()
    assert len(names) == 15
    for member in members[1:3]:
        assert await member.names() == names
        assert (await member.write(f"s0-{member.place.port}"))[0] == 409


async def test_the_group_is_shown_alike_on_every_manager(members: list[Member]) -> None:
    first, second, third, _ = members
    expected = {first.place.id: "Leader", second.place.id: "reachable", third.place.id: "reachable"}
    for member in members[:3]:
        for _ in range(500):
            if await member.roles() == expected:
                break
            await asyncio.sleep(0.02)
        assert await member.roles() == expected
        status = await member.status()
        assert status["leader"] == {"node_id": first.place.id, "addr": first.place.addr}
        assert (status["has_quorum"], status["stale"]) == (True, False)
        assert {one["node_id"]: one["leader"] for one in status["raft"]["members"]} == {
            first.place.id: True,
            second.place.id: False,
            third.place.id: False,
        }
        assert status["raft"]["applied_index"] > 0
        assert status["root_digest"] == (await first.status())["root_digest"] != ""
        info = await member.api.routes.swarm_info()
        assert (info["Managers"], info["Nodes"], info["ControlAvailable"], info["Error"]) == (3, 3, True, "")
        assert len(info["RemoteManagers"]) == 3


async def test_roles_change_by_any_manager_and_tickets_let_hosts_in(members: list[Member]) -> None:
    _, second, third, outside = members
    digest = (await outside.api.call("POST", f"{V1}/join/key", {}))[1]["key_digest"]
    status, ticket = await third.api.call("POST", f"{V1}/tickets", {"role": "worker", "key_digest": digest})
    assert status == 201
    body = {
        "RemoteAddrs": [third.place.addr],
        "JoinToken": ticket["ticket"],
        "ListenAddr": outside.place.addr,
    }
    assert await outside.api.raw("POST", "/swarm/join", body) == (200, b"")
    await until(lambda: outside.place.id in second.place.control.store.nodes)  # it follows by a moment
    for role in ("manager", "worker"):
        for _ in range(20):
            node = await second.api.get(f"/nodes/{outside.place.id}")
            spec = {**node["Spec"], "Role": role}
            target = f"/nodes/{node['ID']}/update?version={node['Version']['Index']}"
            answer = await second.api.raw("POST", target, spec)
            if b"out of sequence" not in answer[1]:
                break
        assert answer == (200, b"")
        await until(lambda role=role: outside.place.state.role == role, lambda: outside.place.state)
        wait = f"{V1}/wait?kind=node&id={node['ID']}&timeout=30"
        assert (await second.api.get(wait))["converged"] is True
        expected = "reachable" if role == "manager" else ""
        for _ in range(500):
            if (await third.roles())[outside.place.id] == expected:
                break
            await asyncio.sleep(0.02)
        assert (await third.roles())[outside.place.id] == expected


async def test_writes_go_on_when_the_leader_is_lost(members: list[Member]) -> None:
    first, second, third, _ = members
    await first.place.host.stop()
    results = await asyncio.gather(second.write("a"), third.write("b"))
    for member, name, (status, _) in ((second, "a", results[0]), (third, "b", results[1])):
        for _ in range(600):  # in the gap between two leaders a write is refused, and nothing of it is left
            if status in (201, 409):
                break
            await asyncio.sleep(0.05)
            status, _ = await member.write(name)
    for member in (second, third):
        for _ in range(500):
            if await member.names() == {"a", "b"}:
                break
            await asyncio.sleep(0.02)
        assert await member.names() == {"a", "b"}
        assert first.place.id in await member.roles()


async def test_a_manager_that_lost_the_others_reads_marked_and_refuses_at_once(members: list[Member]) -> None:
    first, second, third, _ = members
    assert (await third.write("web"))[0] == 201
    await asyncio.gather(second.place.host.stop(), third.place.host.stop())
    for _ in range(600):
        response = await first.api.respond("GET", "/services")
        if response.headers.get(STALE) == "true":
            break
        await asyncio.sleep(0.02)
    assert (response.status, response.headers.get(STALE)) == (200, "true")
    assert await first.names() == {"web"}
    await until(lambda: first.place.state.stale, lambda: first.place.state)
    async with asyncio.timeout(handing.PATIENCE - 1):
        status, answer = await first.write("more")
    assert status == 503
    assert "does not have a leader" in answer["message"]
    status = await first.status()  # type: ignore[assignment]
    assert (status["leader"], status["has_quorum"], status["stale"]) == (None, False, True)  # type: ignore[index]
    assert (await first.api.routes.swarm_info())["ControlAvailable"] is True
    body = {"ForceNewCluster": True, "ListenAddr": first.place.addr, "AdvertiseAddr": first.place.addr}
    node_id = first.place.id
    assert await first.api.call("POST", "/swarm/init", body) == (200, node_id)
    assert (await first.write("more"))[0] == 201
    assert await first.names() == {"web", "more"}
    assert (await first.roles())[node_id] == "Leader"


async def test_an_answer_lost_on_its_way_is_asked_for_again(
    members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, _, _ = members
    forward, calls = second.place.host.forward, []

    async def lose_the_first(call: ForwardCall) -> ForwardAnswer:
        answer = await forward(call)
        calls.append(call.request_id)
        if len(calls) == 1:
            raise OutcomeUnknown("cut")
        return answer

    monkeypatch.setattr(second.place.host, "forward", lose_the_first)
    assert (await second.write("web", headers={"x-queenright-request-id": "r1"}))[0] == 201
    assert calls == ["r1", "r1"]
    assert await second.names() == {"web"}


async def test_no_answer_is_wrong_while_the_leadership_moves(members: list[Member]) -> None:
    """What was acknowledged is there, what was refused is not; of the rest nobody was told anything."""
    group, ended = members[:3], asyncio.Event()
    done: set[str] = set()
    refused: set[str] = set()

    async def write(member: Member) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            name = f"s{number}-{member.place.port}"
            body = service_json(name, Mode={"Replicated": {"Replicas": 0}})
            response = await member.api.respond("POST", "/services/create", body)
            if response.status == 201:
                done.add(name)
                assert (await member.api.raw("GET", f"/services/{name}"))[0] == 200
            else:
                assert response.status == 503, response
                if "X-Queenright-Outcome" not in response.headers:
                    refused.add(name)
                await asyncio.sleep(0.02)

    async def move() -> None:
        for _ in range(6):
            await asyncio.sleep(0.3)
            leader = next((member for member in group if member.place.state.leader == member.place.id), None)
            consensus = leader.place.control.context.consensus if leader is not None else None
            if consensus is not None:
                with contextlib.suppress(Refusal):
                    await consensus.transfer_leadership()
        ended.set()

    await asyncio.gather(move(), *(write(member) for member in group))
    for member in group:
        for _ in range(500):
            if done <= await member.names():
                break
            await asyncio.sleep(0.02)
        names = await member.names()
        assert done <= names
        assert not refused & names
    assert len(done) > 10
