# SPDX-License-Identifier: Apache-2.0
"""Stacks that are exported: those of the swarm, those of Docker's clients, and bundles."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from compat import wide
from runtime.api.kit import Api
from runtime.app.export_kit import (
    applied,
    as_sent,
    bare,
    declare,
    evaluated,
    labelled,
    made,
    picture_of,
    service,
    shop,
    without_ids,
)
from runtime.manager.kit import World

from queenright.app import exported_bundle, exported_text
from queenright.app.exported import Picture
from queenright.app.exported_stacks import exported
from queenright.model.stack import IMAGE_LABEL
from queenright.sources import options as options_source
from queenright.spec.fields import decode, encode
from queenright.spec.service import ServiceSpec


def as_living(options: dict[str, Any]) -> dict[str, Any]:
    """What a stack's options come to: the services' specs by name."""
    sections = {key: value for key, value in as_sent(options).items() if key in options_source.SECTIONS}
    draft = options_source.read("shop", sections)
    return {one.spec.name or "": encode(one.spec) for one in draft.services}


def living(picture: Picture) -> dict[str, Any]:
    """The same of what runs."""
    names = {raw["Id"]: raw["Name"] for raw in picture.networks}
    found = {}
    for raw in picture.services:
        spec = json.loads(json.dumps(raw["Spec"]))
        for one in spec["TaskTemplate"].get("Networks") or ():
            one["Target"] = names[one["Target"]]
        for kind in ("Secret", "Config"):
            for one in spec["TaskTemplate"]["ContainerSpec"].get(f"{kind}s") or ():
                del one[f"{kind}ID"]
        found[spec["Name"]] = encode(decode(ServiceSpec, spec))
    return found


def test_what_docker_stack_deploy_made_stays_as_it_is() -> None:
    found = exported(shop())
    tasks = [(item.kind, item.name) for item in found.items]
    assert tasks == [
        ("network", "outer"),
        ("network", "shop_default"),
        ("secret", "shop_key"),
        ("config", "all"),
        ("service", "alone"),
        ("service", "shop_store"),
        ("service", "shop_web"),
    ]
    assert found.items[-1].options["labels"] == labelled("shop", **{IMAGE_LABEL: "web:4", "own": "x"})


def test_it_can_be_adopted_as_a_stack_of_the_swarm() -> None:
    picture = shop()
    found = exported(picture, adopt=True)
    assert [(item.kind, item.name) for item in found.items] == [
        ("network", "outer"),
        ("config", "all"),
        ("service", "alone"),
        ("stack", "shop"),
    ]
    options = evaluated(json.loads(json.dumps(found.items[-1].options)), {})
    assert options["networks"] == {
        "default": {"ipam_config": [{"subnet": "10.0.9.0/24", "gateway": "10.0.9.1"}]},
        "outer": {"external": True, "name": "outer"},
    }
    assert options["secrets"] == {"key": {}}
    assert options["configs"] == {"all": {"external": True, "name": "all"}}
    assert options["services"]["web"]["networks"] == [{"name": "default"}, {"name": "outer", "aliases": ["www"]}]
    specs, now = as_living(options), living(picture)
    assert specs["shop_web"] == now["shop_web"]
    assert specs["shop_store"]["TaskTemplate"] == now["shop_store"]["TaskTemplate"], "pinned as it runs"


STACK = {
    "labels": {"team": "blue"},
    "keep": 3,
    "timeout": "5m",
    "on_failure": "pause",
    "networks": {
        "back": {"internal": True, "labels": {"tier": "back"}},
        "outer": {"external": True},
        "mine": {"name": "n"},
    },
    "secrets": {"key": {"data": base64.b64encode(b"open").decode(), "labels": {"a": "b"}}, "all": {"external": True}},
    "configs": {"page": {"data": "eA==", "template_driver": "golang"}},
    "services": {
        "store": {
            "image": "redis:7",
            "mode": "global",
            "networks": [{"name": "back", "aliases": ["db"]}],
            "env": ["A={{.Node.Hostname}}"],
        },
        "web": {
            "image": "web:4",
            "labels": {"own": "x"},
            "networks": [{"name": "back"}, {"name": "outer"}, {"name": "mine"}],
            "secrets": [{"secret_name": "key", "filename": "tls"}, {"secret_name": "all"}],
            "configs": [{"config_name": "page"}],
            "depends_on": {"store": {"condition": "healthy"}},
            "publish": [{"target_port": 80, "published_port": 8080}],
        },
    },
}


async def shop_api() -> Api:
    """A manager of a swarm with a stack of its own, and what that uses."""
    api = Api.manager(World.make())
    await made(api, "/networks/create", {"Name": "outer", "Driver": "overlay"})
    await made(api, "/secrets/create", wide.data_body("all", b"x", {}))
    assert await applied(api, "stack", "shop", STACK, {"resolve_image": "never"})
    return api


async def with_stacks(api: Api) -> Picture:
    rows = await api.get("/queenright/v1/stacks")
    stacks = [await api.get(f"/queenright/v1/stacks/{row['Name']}") for row in rows if row["Managed"]]
    return dataclasses.replace(await picture_of(api), stacks=tuple(stacks))


async def revision(api: Api) -> int:
    return int((await api.get("/queenright/v1/stacks/shop"))["Revision"])


async def test_a_stack_of_the_swarm_declared_again_is_no_new_revision() -> None:
    api = await shop_api()
    found = exported(await with_stacks(api))
    assert found.notes == ()
    assert [(item.kind, item.name) for item in found.items] == [
        ("network", "ingress"),
        ("network", "outer"),
        ("secret", "all"),
        ("stack", "shop"),
    ]
    text = exported_text.playbook(found)
    assert "replicas" not in text
    for variables in ({}, {"secret_shop_key": "open"}):
        assert await declare(api, text, **variables) == []
        assert await revision(api) == 1
    assert await declare(api, text, secret_shop_key="other") == ["swarm_stack"]
    assert exported_text.playbook(exported(await with_stacks(api))) == text


async def test_a_stack_of_the_swarm_declared_elsewhere_is_the_same() -> None:
    here, there = await shop_api(), Api.manager(World.make())
    text = exported_text.playbook(exported(await with_stacks(here)))
    await declare(there, text, secret_shop_key="open", secret_all="x")
    before, after = await with_stacks(here), await with_stacks(there)
    assert without_ids(after)[0] == without_ids(before)[0]
    for key in ("Declared", "OnFailure", "Keep", "Timeout", "Labels"):
        assert after.stacks[0][key] == before.stacks[0][key]
    assert exported_text.playbook(exported(after)) == text


async def test_what_was_changed_by_hand_in_a_stack_is_told_and_exported_as_it_is() -> None:
    api = await shop_api()
    (service,) = [one for one in await api.get("/services") if one["Spec"]["Name"] == "shop_web"]
    spec = service["Spec"] | {"Mode": {"Replicated": {"Replicas": 7}}}
    spec["TaskTemplate"]["ContainerSpec"] |= {"Hostname": "by-hand", "Image": "web:5"}
    path = f"/services/{service['ID']}/update?version={service['Version']['Index']}"
    assert (await api.call("POST", path, spec))[0] == 200
    found = exported(await with_stacks(api))
    assert found.notes[0] == "service shop_web: its stack does not say replicas, which is 7 now, and stays what it is"
    assert any(
        note.startswith("stack shop: service shop_web: TaskTemplate.ContainerSpec.Hostname") for note in found.notes
    )
    web = found.items[-1].options["services"]["web"]
    assert (web["hostname"], web["image"], "replicas" in web) == ("by-hand", "web:5", False)


def test_one_stack_alone() -> None:
    found = exported(shop(), only="shop")
    assert {item.name for item in found.items} == {"shop_default", "shop_key", "shop_store", "shop_web"}
    with pytest.raises(LookupError):
        exported(shop(), only="other")


# -- bundles


def test_a_stack_as_a_bundle_with_notes_on_what_a_bundle_cannot_say() -> None:
    found = exported_bundle.bundle(shop(), "shop")
    assert json.loads(exported_bundle.text(found)) == {
        "Version": "0.1",
        "Services": {
            "store": {"Image": "redis:7@sha256:" + "1" * 64, "Networks": ["default"]},
            "web": {"Image": "web:4", "Labels": {"own": "x"}, "Networks": ["default", "outer"]},
        },
    }
    assert found.notes == (
        "service store: a bundle cannot say mode",
        "service web: its image web:4 has no digest, which a bundle must have",
        "service web: a bundle cannot say aliases of its network outer",
        "service web: a bundle cannot say configs, mode, secrets",
        "network default: a bundle says nothing of it but its name",
        "network outer: a bundle says nothing of it but its name",
    )


def test_services_of_no_stack_as_a_bundle_have_all_that_a_bundle_says() -> None:
    container = {
        "Image": "a@sha256:" + "2" * 64,
        "Command": ["x"],
        "Args": ["y"],
        "Env": ["A=1"],
        "Dir": "/d",
        "User": "u",
    }
    ports = [{"Protocol": "udp", "TargetPort": 53, "PublishMode": "ingress"}, {"TargetPort": 80, "PublishedPort": 8080}]
    one = {"Replicated": {"Replicas": 1}}
    raw = service(TaskTemplate={"ContainerSpec": container}, EndpointSpec={"Ports": ports}, Mode=one)
    found = exported_bundle.bundle(bare(services=(raw,)), None)
    assert found.items[0].options["Services"] == {
        "web": {
            "Image": "a@sha256:" + "2" * 64,
            "Command": ["x"],
            "Args": ["y"],
            "Env": ["A=1"],
            "WorkingDir": "/d",
            "User": "u",
            "Ports": [{"Protocol": "udp", "Port": 53}, {"Protocol": "tcp", "Port": 80}],
        }
    }
    assert found.notes == ("service web: a bundle cannot say where port 80 is published; one is chosen",)


def test_a_bundle_of_nothing_is_refused() -> None:
    for picture, stack in ((bare(), None), (shop(), "other")):
        with pytest.raises(LookupError):
            exported_bundle.bundle(picture, stack)
