# SPDX-License-Identifier: Apache-2.0
"""``/queenright/v1``: status, tickets, apply, wait, why."""

from __future__ import annotations

import asyncio

import pytest
from runtime.api.kit import Api, Host
from runtime.manager.kit import START, World, key_digest

from queenright.edge.http.upstream import Reply
from queenright.manager.ports import LocalState
from queenright.model.states import TaskState

V1 = "/queenright/v1"


async def test_the_status_answers_everywhere() -> None:
    outside = await Api.outside().get(f"{V1}/status")
    assert outside == {
        "version": "0.1.0",
        "state": "inactive",
        "role": "",
        "node_id": "",
        "node_addr": "",
        "cluster_id": "",
        "managers": [],
        "leader": None,
        "has_quorum": True,
        "stale": False,
        "raft": None,
        "root_digest": "",
        "error": "",
        "engine": {"reachable": True, "version": "20.10.24", "error": ""},
        "ready": True,
        "started_at": "0001-01-01T00:00:00Z",
        "tasks": {"running": 0, "total": 0},
        "clock_skew": 0.0,
    }
    world = World.make()
    manager = await Api.manager(world).get(f"{V1}/status")
    assert (manager["state"], manager["role"], manager["node_id"]) == ("active", "manager", world.manager_id)
    assert manager["managers"] == [{"node_id": world.manager_id, "addr": "192.0.2.1:2377"}]
    state = LocalState(state="error", role="worker", error="e", started_at=START, tasks_running=1, tasks_total=2)
    assert (await Api(Host(LocalState(clock_skew=-61_234_567_890))).get(f"{V1}/status"))["clock_skew"] == -61.235
    broken = await Api(Host(state)).get(f"{V1}/status")
    assert (broken["error"], broken["tasks"]) == ("e", {"running": 1, "total": 2})
    assert broken["started_at"] == "2023-11-14T22:13:20.000000000Z"


async def test_the_status_says_that_the_engine_is_away() -> None:
    api = Api.outside()
    api.engine.down = "Cannot connect to the Docker daemon"
    engine = (await api.get(f"{V1}/status"))["engine"]
    assert engine == {"reachable": False, "version": "", "error": "Cannot connect to the Docker daemon"}


async def test_the_status_answers_though_the_engine_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api.outside()

    async def hang(method: str, target: str) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr(api.engine, "request", hang)
    monkeypatch.setattr("queenright.edge.http.api.queenright.ENGINE_TIMEOUT", 0.05)
    engine = (await api.get(f"{V1}/status"))["engine"]
    assert engine["reachable"] is False
    assert "no answer within" in engine["error"]


async def test_the_key_of_a_host_that_will_join_is_named() -> None:
    assert await Api.outside().call("POST", f"{V1}/join/key", {}) == (200, {"key_digest": "sha256:" + "a" * 64})
    assert (await Api.outside().call("POST", f"{V1}/join/key"))[0] == 200


async def test_a_ticket_is_given_for_a_key() -> None:
    world = World.make()
    body = {"role": "worker", "key_digest": key_digest("one"), "availability": "drain", "labels": {"a": "b"}}
    status, answer = await Api.manager(world).call("POST", f"{V1}/tickets", body)
    assert status == 201
    assert answer["ticket"].startswith("QRTICKET-1-")
    assert answer["managers"] == ["192.0.2.1:2377"]
    assert answer["root_digest"]
    assert answer["expires_at"] == "2023-11-14T22:23:20.000000000Z"
    stored = next(iter(world.store.tickets))
    assert (stored.availability, stored.labels) == ("drain", {"a": "b"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "neither worker nor manager"),
        ({"role": "worker"}, "key_digest"),
        ({"role": "worker", "key_digest": key_digest("one"), "labels": {"a": 5}}, "labels"),
        ({"role": 5}, "role"),
    ],
)
async def test_a_ticket_that_cannot_be_is_refused(body: dict[str, object], words: str) -> None:
    status, message = await Api.manager(World.make()).error("POST", f"{V1}/tickets", body)
    assert status == 400
    assert words in message


async def test_apply_plans_and_applies() -> None:
    world = World.make()
    api = Api.manager(world)
    body = {"kind": "service", "name": "web", "state": "present", "options": {"image": "busybox:1"}}
    status, planned = await api.call("POST", f"{V1}/apply?dry_run=1", body)
    assert (status, planned["changed"], planned["actions"]) == (200, True, ["create service web"])
    assert len(world.store.services) == 0
    status, done = await api.call("POST", f"{V1}/apply?dry_run=0", body)
    assert done["id"] == world.get_service("web").id
    assert {key: value for key, value in planned.items() if key not in ("id", "version", "forecast")} == {
        key: value for key, value in done.items() if key not in ("id", "version")
    }
    assert (await api.call("POST", f"{V1}/apply", body))[1]["changed"] is False


async def test_apply_compares_the_addresses_of_the_manager_that_is_asked() -> None:
    api = Api.manager(World.make())
    body = {"kind": "swarm", "options": {"advertise_addr": "192.0.2.1", "context": None}}
    assert (await api.error("POST", f"{V1}/apply", body))[0] == 400
    body = {"kind": "swarm", "options": {"advertise_addr": "192.0.2.1"}}
    assert (await api.call("POST", f"{V1}/apply", body))[1]["changed"] is False
    body = {"kind": "swarm", "options": {"task_history_retention_limit": 3}, "context": {"advertise_addr": "192.0.2.2"}}
    status, message = await api.error("POST", f"{V1}/apply", body)
    assert status == 400
    assert message == ("cannot be changed on a live swarm: advertise_addr: it is 192.0.2.1:2377, asked 192.0.2.2")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "kind '' is none of"),
        ({"kind": "service"}, "a service needs a name"),
        ({"kind": "service", "name": "web", "options": {"nosuch": 1}}, "nosuch: there is no such option"),
        ({"kind": "service", "name": "web", "options": []}, "options: expected an object"),
        ({"kind": "service", "name": "web", "options": {"image": "a", "replicas": "x"}}, "replicas"),
        ({"kind": "service", "name": 5}, "name: expected a string"),
        ({"kind": "node", "name": "nosuch"}, "node nosuch not found"),
    ],
)
async def test_apply_names_what_is_wrong(body: dict[str, object], words: str) -> None:
    status, message = await Api.manager(World.make()).error("POST", f"{V1}/apply", body)
    assert status in (400, 404)
    assert words in message


async def test_wait_answers_with_what_is_seen() -> None:
    world = World.make()
    api = Api.manager(world)
    web = await world.service()
    assert (await api.get(f"{V1}/wait?kind=service&id=web&timeout=0"))["state"] == "timeout"
    world.task(web, 1, world.worker("one"))
    assert (await api.get(f"{V1}/wait?kind=service&id=web&timeout=9.5"))["converged"] is True
    assert (await api.get(f"{V1}/wait?kind=node&id=one"))["converged"] is True
    assert (await api.get(f"{V1}/wait?kind=node&id=one&drained=1&timeout=0"))["state"] == "timeout"
    for timeout in ("x", "-1", "nan", "inf", "1e9"):
        status, message = await api.error("GET", f"{V1}/wait?kind=node&id=one&timeout={timeout}")
        assert status == 400
        assert "invalid timeout" in message
    assert (await api.error("GET", f"{V1}/wait?kind=moon&id=one"))[0] == 400


async def test_why_is_answered_by_managers_and_by_the_task_s_own_node() -> None:
    world = World.make()
    task = world.task(await world.service())
    found = await Api.manager(world).get(f"{V1}/why/{task.id}")
    assert found["state"] == "pending"
    assert found["chain"]["text"].startswith("made ")
    first = found["chain"]["steps"][0]
    assert (first["at"], first["task"], first["text"]) == (task.created_at, task.id, found["chain"]["text"])
    assert (await Api.manager(world).error("GET", f"{V1}/why/nosuch"))[0] == 404
    worker = Api.worker()
    assert (await worker.error("GET", f"{V1}/why/{task.id}"))[0] == 404
    assert isinstance(worker.host, Host)
    worker.host.local = {"state": TaskState.RUNNING.text}
    local = await worker.get(f"{V1}/why/{task.id}")
    assert set(local) == {*found, "agent"}
    assert (local["state"], local["node"]["id"]) == ("running", "w" * 25)
    assert (await Api.outside().error("GET", f"{V1}/why/{task.id}"))[0] == 503
