# SPDX-License-Identifier: Apache-2.0
"""Stacks over the socket: declared, shown, drifted, removed; and all of a swarm in one call."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from runtime.api.kit import Api
from runtime.manager.kit import World, service_json

from queenright.manager.audit import Actor, acting
from queenright.model.stack import StackState, StackStatus

SHOP: dict[str, Any] = {
    "services": {
        "web": {"image": "web:1", "networks": [{"name": "back"}], "depends_on": ["db"], "replicas": 2},
        "db": {"image": "db:1", "networks": [{"name": "back"}], "secrets": [{"secret_name": "key"}]},
    },
    "networks": {"back": {}},
    "secrets": {"key": {"data": "Z2VoZWlt"}},
    "labels": {"team": "a"},
}


async def apply(api: Api, options: dict[str, Any] | None = None, query: str = "", **more: Any) -> dict[str, Any]:
    body = {"kind": "stack", "name": "shop", "options": SHOP if options is None else options, **more}
    status, answer = await api.call("POST", "/queenright/v1/apply" + query, body)
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


async def test_a_stack_is_declared_listed_and_shown() -> None:
    world = World.make()
    api = Api.manager(world)
    done = await apply(api, context={"user": "ada", "git_revision": "abc"})
    assert (done["changed"], done["revision"], done["plan"]["order"]) == (True, 1, [["shop_db"], ["shop_web"]])
    [row] = await api.get("/queenright/v1/stacks")
    assert (row["Name"], row["Managed"], row["Revision"], row["State"], row["Services"]) == (
        "shop",
        True,
        1,
        "updating",
        2,
    )
    assert row["Labels"] == {"team": "a"} and row["CompletedAt"] == "0001-01-01T00:00:00Z"
    shown = await api.get("/queenright/v1/stacks/shop")
    web, db = shown["Services"]
    assert (web["Key"], web["Name"], web["Waits"], web["Desired"]) == ("web", "shop_web", ["shop_db"], 2)
    assert web["After"] == [{"Key": "db", "Condition": "started"}]
    assert (db["Image"], db["Waits"], db["State"]) == ("db:1", [], "progressing")
    assert [(one["Key"], one["Name"], one["External"]) for one in shown["Networks"]] == [("back", "shop_back", False)]
    assert [(one["Key"], one["Version"]) for one in shown["Secrets"]] == [("key", "shop_key")]
    assert (shown["Configs"], shown["Drift"], shown["Leftovers"]) == ([], [], [])
    [revision] = shown["Revisions"]
    assert (revision["Number"], revision["User"], revision["GitRevision"], revision["Source"]) == (
        1,
        "ada",
        "abc",
        "options",
    )
    assert revision["At"].startswith("2023-11-14T")
    assert "geheim" not in str(shown) and "Z2VoZWlt" not in str(shown)


async def test_a_dry_run_tells_what_restarts() -> None:
    world = World.make()
    api = Api.manager(world)
    planned = await apply(api, query="?dry_run=1")
    assert (planned["changed"], planned["id"], planned["plan"]["restarts"]) == (True, "", [])
    assert await api.get("/queenright/v1/stacks") == []
    await apply(api)
    web = world.get_service("shop_web")
    for slot in (1, 2):
        world.task(web, slot, world.store.nodes.get(world.manager_id))
    world.task(world.get_service("shop_db"), 1, world.store.nodes.get(world.manager_id))
    world.put(dataclasses.replace(web, awaits=()))
    options = {**SHOP, "services": {**SHOP["services"], "web": {**SHOP["services"]["web"], "env": {"A": "1"}}}}
    planned = await apply(api, options, "?dry_run=1")
    assert [row["name"] for row in planned["plan"]["update"]] == ["shop_web"]
    assert [one["name"] for one in planned["forecast"]["services"]] == ["shop_web"]
    [restart] = planned["plan"]["restarts"]
    assert (restart["service"], restart["tasks"], restart["batches"]) == ("shop_web", 2, 2)


async def test_a_revision_is_shown_as_it_was_declared() -> None:
    world = World.make()
    api = Api.manager(world)
    await apply(api)
    await apply(api, {"services": {"db": {"image": "db:2"}}})
    first = await api.get("/queenright/v1/stacks/shop?revision=1")
    assert sorted(first["Declared"]["Services"]) == ["db", "web"]
    assert first["Declared"]["Services"]["web"]["TaskTemplate"]["Networks"][0]["Target"] == "shop_back"
    assert (await api.error("GET", "/queenright/v1/stacks/shop?revision=7")) == (404, "stack shop has no revision 7")
    assert (await api.error("GET", "/queenright/v1/stacks/none"))[0] == 404


async def test_what_was_changed_by_hand_is_told_with_its_field_and_by_whom() -> None:
    world = World.make()
    api = Api.manager(world)
    await apply(api)
    web = world.get_service("shop_web")
    spec = service_json("shop_web", Labels=dict(web.spec.labels), Mode={"Replicated": {"Replicas": 5}})
    spec["TaskTemplate"] = {
        "ContainerSpec": {"Image": "web:2", "Labels": {"com.docker.stack.namespace": "shop"}},
        "Networks": [{"Target": web.spec.task.networks[0].target, "Aliases": ["web"]}],
    }
    with acting(Actor("socket", uid=1000, gid=1, pid=2, agent="Docker-Client/28.0 (linux)\n")):
        status, _ = await api.call("POST", f"/services/{web.id}/update?version={web.version}", spec)
    assert status == 200
    drift = (await api.get("/queenright/v1/stacks/shop"))["Drift"]
    assert [(one["Name"], one["Field"], one["Declared"], one["Found"]) for one in drift] == [
        ("shop_web", "Mode.Replicated.Replicas", 2, 5),
        ("shop_web", "TaskTemplate.ContainerSpec.Image", "web:1", "web:2"),
    ]
    assert {one["By"] for one in drift} == {"Docker-Client/28.0 (linux), user 1000 at node queen"}
    await world.control.services.remove("shop_db")
    drift = (await api.get("/queenright/v1/stacks/shop"))["Drift"]
    assert ("service", "shop_db", "", "absent") in [(d["Kind"], d["Name"], d["Field"], d["Found"]) for d in drift]


async def test_replicas_that_the_source_leaves_open_are_no_drift() -> None:
    world = World.make()
    api = Api.manager(world)
    await apply(api)
    db = world.get_service("shop_db")
    world.put(
        dataclasses.replace(db, spec=dataclasses.replace(db.spec, mode=dataclasses.replace(db.spec.mode, replicas=4)))
    )
    assert (await api.get("/queenright/v1/stacks/shop"))["Drift"] == []


async def test_what_clients_deployed_is_shown_too() -> None:
    world = World.make()
    api = Api.manager(world)
    label = {"com.docker.stack.namespace": "cli"}
    await api.call("POST", "/networks/create", {"Name": "cli_default", "Driver": "overlay", "Labels": label})
    await api.call("POST", "/services/create", service_json("cli_web", Labels=label))
    await apply(api)
    rows = await api.get("/queenright/v1/stacks")
    assert rows[0] == {"Name": "cli", "Managed": False, "Services": 1}
    assert [row["Name"] for row in rows] == ["cli", "shop"]
    shown = await api.get("/queenright/v1/stacks/cli")
    assert [(one["Key"], one["Name"]) for one in shown["Services"]] == [("web", "cli_web")]
    assert [one["Name"] for one in shown["Networks"]] == ["cli_default"]
    assert "Revisions" not in shown


async def test_a_failed_roll_out_is_shown_with_its_reason() -> None:
    world = World.make()
    api = Api.manager(world)
    await apply(api)
    failed = StackStatus(
        state=StackState.ROLLBACK_COMPLETED, completed_at=5, message="no such image", failed="shop_web"
    )
    world.put(dataclasses.replace(world.store.stack("shop"), status=failed))
    shown = await api.get("/queenright/v1/stacks/shop")
    assert (shown["State"], shown["Message"], shown["Failed"]) == ("rollback_completed", "no such image", "shop_web")


async def test_a_removed_stack_is_shown_until_all_of_it_is_gone() -> None:
    world = World.make()
    api = Api.manager(world)
    await apply(api)
    await apply(api, {}, state="absent")
    shown = await api.get("/queenright/v1/stacks/shop")
    assert (shown["State"], shown["Services"], shown["Networks"]) == ("removing", [], [])
    assert sorted(one["Name"] for one in shown["Leftovers"]) == ["shop_back", "shop_key"]


# -- all in one call


def wishes() -> list[dict[str, Any]]:
    return [
        {"kind": "network", "name": "net"},
        {"kind": "secret", "name": "key", "context": {"data": "b25l"}},
        {"kind": "service", "name": "web", "options": {"image": "web:1", "networks": [{"name": "net"}]}},
        {"kind": "service", "name": "api", "options": {"image": "api:1", "secrets": [{"secret_name": "key"}]}},
        {"kind": "stack", "name": "shop", "options": {**SHOP, "networks": {"back": {"external": True, "name": "net"}}}},
        {"kind": "node", "name": "queen", "options": {"labels": {"zone": "a"}}},
        {"kind": "service", "name": "gone", "state": "absent"},
    ]


async def whole(api: Api, rows: list[dict[str, Any]], query: str = "") -> dict[str, Any]:
    status, answer = await api.call("POST", "/queenright/v1/apply_all" + query, {"wishes": rows})
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


async def test_all_wishes_are_one_entry_and_each_sees_those_before_it() -> None:
    world = World.make()
    api = Api.manager(world)
    index = world.store.index
    planned = await whole(api, wishes(), "?dry_run=1")
    assert planned["changed"] and world.store.index == index
    assert {one["name"] for one in planned["forecast"]["services"]} >= {"web", "api", "shop_db"}
    done = await whole(api, wishes())
    assert world.store.index == index + 1
    assert [row["changed"] for row in done["results"]] == [True, True, True, True, True, True, False]
    assert done["actions"] == planned["actions"]
    assert done["results"][2]["id"] == world.get_service("web").id
    again = await whole(api, wishes())
    assert (again["changed"], again["actions"], world.store.index) == (False, [], index + 1)


async def test_one_object_may_be_changed_by_several_wishes() -> None:
    world = World.make()
    api = Api.manager(world)
    await whole(api, wishes())
    index, service = world.store.index, world.get_service("api")
    rows = wishes()
    rows[1]["context"] = {"data": "dHdv"}  # rolls the service api
    rows[3]["options"]["replicas"] = 3
    done = await whole(api, rows)
    assert world.store.index == index + 1
    found = world.get_service("api")
    assert found.spec.mode.replicas == 3
    assert found.spec.task.container.secrets[0].secret_id == world.store.secret("key.v2").id
    assert found.version > service.version and done["changed"]
    assert (await whole(api, rows))["changed"] is False


async def test_all_wishes_are_refused_together_and_the_wrong_one_is_named() -> None:
    world = World.make()
    api = Api.manager(world)
    index = world.store.index
    rows = wishes()
    rows[3]["options"]["replicas"] = "many"
    status, text = await api.error("POST", "/queenright/v1/apply_all", {"wishes": rows})
    assert status == 400 and text.startswith("service api: replicas: ")
    assert world.store.index == index
    rows = wishes()[2:3]
    status, text = await api.error("POST", "/queenright/v1/apply_all", {"wishes": rows})
    assert (status, text) == (404, "service web: network net not found")
    assert (await api.error("POST", "/queenright/v1/apply_all", {"wishes": ["x"]}))[0] == 400


async def test_many_wishes_that_change_nothing_are_cheap() -> None:
    world = World.make()
    api = Api.manager(world)
    options = {"image": "web:1", "env": {"A": "1"}, "networks": [{"name": "net"}], "limits": {"memory": "64M"}}
    rows = [{"kind": "network", "name": "net"}]
    rows += [{"kind": "service", "name": f"s{number}", "options": options} for number in range(50)]
    await whole(api, rows)
    best = 1.0
    for _ in range(5):
        begun = time.perf_counter()
        assert (await whole(api, rows))["changed"] is False
        best = min(best, time.perf_counter() - begun)
    print(f"50 services, no change: {best * 1000:.1f} ms")
    assert best < 0.1


async def test_the_watch_tells_of_stacks() -> None:
    world = World.make()
    api = Api.manager(world)
    await apply(api)
    response = await api.respond("GET", f"/queenright/v1/watch?kind=stack&from={world.store.index - 1}")
    assert response.status == 200
    seen = b""
    async for part in response.body:  # type: ignore[union-attr]
        seen += part
        if b'"shop"' in seen:
            break
    assert b'"kind":"stack"' in seen and b'"Revision":1' in seen
    await response.body.aclose()  # type: ignore[union-attr]
