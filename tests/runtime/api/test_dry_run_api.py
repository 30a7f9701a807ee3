# SPDX-License-Identifier: Apache-2.0
"""``dry_run`` on writes: the answer says what would change, down to tasks, and nothing does."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World, service_spec

from queenright.edge.http.router import Router
from queenright.model.states import NodeState, TaskState
from queenright.spec.network import NetworkSpec


async def scene(replicas: int = 4, nodes: int = 2, **more: Any) -> tuple[World, Api]:
    """A service that runs as it should, on some workers; nothing may be written from here on."""
    world = World.make()
    members = [world.worker(f"n{number}") for number in range(1, nodes + 1)]
    for member in members:
        held = world.store.node(member.id)
        assert held.status.state == NodeState.READY
    web = await world.service("web", Mode={"Replicated": {"Replicas": replicas}}, **more)
    for slot in range(1, replicas + 1):
        world.task(web, slot, members[slot % nodes], state=TaskState.RUNNING, desired_state=TaskState.RUNNING)
    return world, Api.manager(world)


async def tried(world: World, api: Api, method: str, target: str, body: object = None) -> Any:
    """The answer of a dry run, which must not have written."""
    index = world.store.index
    mark = "&" if "?" in target else "?"
    status, answer = await api.call(method, f"{target}{mark}dry_run=1", body)
    assert status == 200, answer
    assert world.store.index == index
    return answer


async def test_an_update_is_foreseen_in_batches_with_the_fewest_that_serve() -> None:
    world, api = await scene()
    web = world.get_service("web")
    config = {"Parallelism": 2, "Monitor": 10**9}
    spec = service_spec(
        "web", container={"Image": "busybox:2"}, Mode={"Replicated": {"Replicas": 4}}, UpdateConfig=config
    )
    answer = await tried(world, api, "POST", f"/services/web/update?version={web.version}", spec_json(spec))
    assert answer["changed"]
    [row] = answer["changes"]
    assert (row["action"], row["kind"], row["name"]) == ("update", "service", "web")
    assert row["diff"]["TaskTemplate.ContainerSpec.Image"]["after"] == "busybox:2"
    [found] = answer["forecast"]["services"]
    assert (found["created"], found["stopped"]) == (4, 4)
    assert [len(batch["slots"]) for batch in found["batches"]] == [2, 2]
    assert found["serving"] == {"before": 4, "fewest": 2, "after": 4}
    assert found["unplaced"] == []
    assert found["update"] == "completed"
    assert sum(found["nodes"].values()) == 4
    assert answer["forecast"]["complete"]


def spec_json(spec: Any) -> Any:
    from queenright.spec.fields import encode

    return spec if isinstance(spec, dict) else encode(spec)


async def test_a_start_first_update_loses_nobody() -> None:
    world, api = await scene()
    web = world.get_service("web")
    config = {"Parallelism": 1, "Order": "start-first"}
    spec = service_spec(
        "web", container={"Image": "busybox:2"}, Mode={"Replicated": {"Replicas": 4}}, UpdateConfig=config
    )
    answer = await tried(world, api, "POST", f"/services/web/update?version={web.version}", spec_json(spec))
    [found] = answer["forecast"]["services"]
    assert found["serving"] == {"before": 4, "fewest": 4, "after": 4}
    assert len(found["batches"]) == 4


async def test_scaling_says_which_slots_come_and_how_many_go() -> None:
    world, api = await scene()
    web = world.get_service("web")
    for replicas, created, stopped in ((6, 2, 0), (1, 0, 3), (4, 0, 0)):
        spec = service_spec("web", Mode={"Replicated": {"Replicas": replicas}})
        answer = await tried(world, api, "POST", f"/services/web/update?version={web.version}", spec_json(spec))
        found = answer["forecast"]["services"]
        assert [(one["created"], one["stopped"]) for one in found] == (
            [(created, stopped)] if created or stopped else []
        )
        if created:
            assert found[0]["batches"] == [{"after": 0.0, "slots": ["5", "6"]}]
            assert found[0]["serving"] == {"before": 4, "fewest": 4, "after": 6}


async def test_what_can_run_nowhere_is_said_with_the_reason() -> None:
    world, api = await scene()
    spec = spec_json(service_spec("new", Mode={"Replicated": {"Replicas": 2}}))
    spec["TaskTemplate"]["Placement"] = {"Constraints": ["node.labels.disk==ssd"]}
    answer = await tried(world, api, "POST", "/services/create", spec)
    assert answer["changes"][0]["action"] == "create"
    assert answer["changes"][0]["id"] == ""
    [found] = answer["forecast"]["services"]
    assert found["id"] == ""
    [unplaced] = found["unplaced"]
    assert unplaced["slots"] == ["1", "2"]
    assert unplaced["reason"].startswith("no suitable node (")


async def test_draining_a_node_tells_what_moves() -> None:
    world, api = await scene()
    node = world.store.node("n1")
    spec = {"Role": "worker", "Availability": "drain"}
    answer = await tried(world, api, "POST", f"/nodes/{node.id}/update?version={node.version}", spec)
    assert answer["changes"][0]["name"] == "n1"
    [found] = answer["forecast"]["services"]
    assert (found["created"], found["stopped"]) == (2, 2)
    assert found["serving"] == {"before": 4, "fewest": 2, "after": 4}
    assert "n1" not in found["nodes"]


async def test_a_removal_stops_all_and_serves_nobody() -> None:
    world, api = await scene()
    answer = await tried(world, api, "DELETE", "/services/web")
    assert [row["action"] for row in answer["changes"]] == ["remove"]
    [found] = answer["forecast"]["services"]
    assert (found["created"], found["stopped"]) == (0, 4)
    assert found["serving"] == {"before": 4, "fewest": 0, "after": 0}


async def test_a_secret_is_made_in_a_dry_run_without_its_data_being_told() -> None:
    world, api = await scene()
    body = {"Name": "key", "Data": base64.b64encode(b"hunter2").decode()}
    index = world.store.index
    status, text = await api.raw("POST", "/secrets/create?dry_run=1", body)
    assert (status, world.store.index) == (200, index)
    assert b"hunter2" not in text
    assert base64.b64encode(b"hunter2") not in text
    assert len(world.store.secrets) == 0
    assert (await tried(world, api, "POST", "/secrets/create", body))["changes"][0]["kind"] == "secret"


async def test_what_would_be_refused_is_refused_in_the_same_words() -> None:
    world, api = await scene()
    spec = spec_json(service_spec("web"))
    for method, target, body in (
        ("POST", "/services/create", spec),
        ("DELETE", "/services/nosuch", None),
        ("POST", "/services/web/update?version=1", spec),
        ("DELETE", f"/nodes/{world.store.node('n1').id}", None),
    ):
        mark = "&" if "?" in target else "?"
        assert await api.error(method, f"{target}{mark}dry_run=1", body) == await api.error(method, target, body)


async def test_nothing_to_do_is_no_change() -> None:
    world, api = await scene()
    node = world.store.node("n1")
    answer = await tried(
        world,
        api,
        "POST",
        f"/nodes/{node.id}/update?version={node.version}",
        {"Role": "worker", "Availability": "active"},
    )
    assert answer["changed"] is False
    assert answer["changes"] == []
    assert answer["forecast"] == {"complete": True, "services": []}


async def test_the_plan_of_a_playbook_holds_the_forecast() -> None:
    world, api = await scene()
    body = {"kind": "service", "name": "web", "options": {"replicas": 5}}
    answer = await tried(world, api, "POST", "/queenright/v1/apply", body)
    assert answer["changed"]
    [found] = answer["forecast"]["services"]
    assert (found["name"], found["created"]) == ("web", 1)
    status, done = await api.call("POST", "/queenright/v1/apply", body)
    assert status == 200
    assert "forecast" not in done


async def test_no_write_forgets_that_it_is_only_tried() -> None:
    """Whatever a route is asked, with ``dry_run`` nothing is written and nothing is begun."""
    world, api = await scene()
    await world.control.networks.create(NetworkSpec(name="web"))
    routes: Router = api.routes._table
    index, tried_routes = world.store.index, 0
    for route in routes:
        if route.reads:
            continue
        target = route.pattern.replace("{id}", "web")
        status, _ = await api.raw(route.method, f"{target}?dry_run=1&version=1", {"Driver": "overlay"})
        assert world.store.index == index, target
        assert api.host.calls == api.engine.asked == [], target
        assert status in (200, 400, 404, 409, 503), (target, status)
        tried_routes += 1
    assert tried_routes > 15


@pytest.mark.parametrize("path", ["/swarm/init", "/swarm/join", "/swarm/leave"])
async def test_what_cannot_be_tried_without_doing_it_is_refused(path: str) -> None:
    api = Api.outside()
    status, text = await api.error("POST", f"{path}?dry_run=1", {})
    assert (status, text) == (400, f"POST {path} has no dry run: nothing was done")
    assert api.host.calls == []


async def test_the_leave_of_a_manager_is_tried_without_waiting_for_its_seat() -> None:
    world, api = await scene()
    others = [world.manager(f"m{number}") for number in range(2)]
    answer = await tried(world, api, "POST", f"/queenright/v1/managers/{others[0].id}/leave")
    assert [(row["action"], row["kind"], row["name"]) for row in answer["changes"]] == [("update", "node", "m0")]
    assert others[0].id in {seat.id for seat in world.group.members()}
    assert world.group.calls == []
