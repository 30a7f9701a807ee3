# SPDX-License-Identifier: Apache-2.0
"""Stacks out of Compose files and bundles: read, planned and written like any other."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from runtime.manager.kit import World
from runtime.manager.test_apply_stack import apply, both, stack_of, with_registries

from queenright.model.errors import InvalidArgument

TWO_TIERS: dict[str, Any] = {
    "version": "3.8",
    "services": {
        "web": {
            "image": "web:${TAG}",
            "ports": ["8080:80"],
            "networks": ["front", "back"],
            "depends_on": ["db"],
            "deploy": {"replicas": 2, "update_config": {"order": "start-first"}},
        },
        "db": {"image": "db:1", "networks": ["back"], "secrets": ["password"], "volumes": ["data:/var/lib/db"]},
    },
    "networks": {"front": {}, "back": {"driver_opts": {"com.docker.network.driver.mtu": "1400"}}},
    "volumes": {"data": {}},
    "secrets": {"password": {"file": "./password.txt"}},
}
CONTEXT: dict[str, Any] = {
    "variables": {"TAG": "1"},
    "files": {"./password.txt": base64.b64encode(b"geheim").decode()},
}


async def test_a_compose_file_becomes_a_stack_and_then_nothing_changes() -> None:
    world = World.make()
    done = await both(world, {"compose": [TWO_TIERS]}, context=CONTEXT)
    assert done["plan"]["order"] == [["shop_db"], ["shop_web"]]
    web, stack = world.get_service("shop_web"), stack_of(world)
    assert (web.spec.task.container.image, web.spec.mode.replicas, web.awaits) == ("web:1", 2, ("shop_db",))
    assert stack.revision.source == "compose"
    assert sorted(one.name for one in world.store.networks) == ["ingress", "shop_back", "shop_front"]
    assert world.store.secret("shop_password").data == b"geheim"
    assert "geheim" not in str(done)


async def test_later_documents_are_laid_over_earlier_ones() -> None:
    world = World.make()
    await apply(world, {"compose": [TWO_TIERS]}, context=CONTEXT)
    over = {"version": "3.8", "services": {"web": {"image": "web:2"}}}
    done = await both(world, {"compose": [TWO_TIERS, over]}, context=CONTEXT)
    assert [row["name"] for row in done["plan"]["update"]] == ["shop_web"]
    assert world.get_service("shop_web").spec.task.container.image == "web:2"
    assert world.get_service("shop_web").spec.mode.replicas == 2


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"services": {"web": {"image": "i", "deploy": {"replicas": "many"}}}}, "services.web.deploy.replicas"),
        ({"services": {"web": {"image": "i", "unheard": 1}}}, "services.web"),
        ({"services": {"web": {"image": "i", "depends_on": ["db"]}}}, "services.web.depends_on"),
        ({"services": {"web": {"image": "${NONE:?say which}"}}}, "say which"),
    ],
)
async def test_what_is_wrong_in_a_compose_file_is_told_by_its_path(document: dict[str, Any], text: str) -> None:
    world = World.make()
    index = world.store.index
    with pytest.raises(InvalidArgument) as caught:
        await apply(world, {"compose": [{"version": "3.8", **document}]})
    assert text in str(caught.value)
    assert world.store.index == index


@pytest.mark.parametrize(
    ("options", "context", "text"),
    [
        ({"compose": "compose.yml"}, {}, "compose: expected a list of documents"),
        ({"compose": []}, {}, "compose: expected a list of documents"),
        ({"compose": [TWO_TIERS]}, {"variables": {"A": 1}}, "variables: expected an object of texts"),
        ({"compose": [TWO_TIERS]}, {"files": {"a": "%"}}, "files: expected an object of base64 texts"),
        ({"compose": [TWO_TIERS]}, {"variables": {"TAG": "1"}}, "password.txt"),
    ],
)
async def test_what_comes_with_a_compose_file_is_checked(
    options: dict[str, Any], context: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidArgument, match=text):
        await apply(World.make(), options, context=context)


# -- bundles

DIGEST = "sha256:" + "d" * 64
BUNDLE: dict[str, Any] = {
    "version": "0.1",
    "services": {
        "web": {"image": f"web@{DIGEST}", "networks": ["front", "back"], "ports": [{"protocol": "tcp", "port": 80}]},
        "db": {"image": f"db@{DIGEST}", "networks": ["back"], "env": ["A=1"]},
    },
}


def bundle(**more: Any) -> dict[str, Any]:
    """Options that have the bundle, with other values for its service db."""
    services = {**BUNDLE["services"], "db": {**BUNDLE["services"]["db"], **more}}
    return {"bundle": json.dumps({**BUNDLE, "services": services})}


async def test_a_bundle_becomes_a_stack_and_then_nothing_changes() -> None:
    world = World.make()
    done = await both(world, bundle())
    assert done["plan"]["order"] == [["shop_web", "shop_db"]], "a bundle says nothing of an order"
    assert stack_of(world).revision.source == "bundle"
    web = world.get_service("shop_web")
    assert web.spec.task.container.image == f"web@{DIGEST}"
    names = {world.store.network(one.target or "").name: one.aliases for one in web.spec.task.networks}
    assert names == {"shop_front": ("web",), "shop_back": ("web",)}


async def test_replicas_and_chosen_ports_survive_the_next_bundle() -> None:
    world = World.make()
    await apply(world, bundle())
    web = world.get_service("shop_web")
    mode = dataclasses.replace(web.spec.mode, replicas=5)
    ports = tuple(dataclasses.replace(port, published_port=30_007) for port in web.spec.endpoint.ports)
    world.put(dataclasses.replace(web, spec=dataclasses.replace(web.spec, mode=mode), ports=ports))
    done = await both(world, bundle(env=["A=2"]))
    assert [row["name"] for row in done["plan"]["update"]] == ["shop_db"]
    web = world.get_service("shop_web")
    assert (web.spec.mode.replicas, [port.published_port for port in web.ports]) == (5, [30_007])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bundle": "{"}, "line 1"),
        ({"bundle": 7}, "bundle: expected a text"),
        (bundle(image="db:1"), "services.db.image"),
        (bundle(ports=[{"port": "many"}]), r"services.db.ports\[0\]"),
    ],
)
async def test_what_is_wrong_in_a_bundle_is_told_by_its_place(options: dict[str, Any], text: str) -> None:
    world = World.make()
    index = world.store.index
    with pytest.raises(InvalidArgument, match=f"(?i){text}"):
        await apply(world, options)
    assert world.store.index == index


async def test_tags_are_taken_where_that_is_said_and_are_pinned_as_ever() -> None:
    world = World.make()
    registries = with_registries(world)
    await apply(world, bundle(image="db:1"), context={"tags": True})
    assert world.get_service("shop_db").spec.task.container.image == f"db:1@{registries.says}"
    assert [one for one, _ in registries.asked] == ["db:1"]
