# SPDX-License-Identifier: Apache-2.0
"""Roots and certificates over the socket: in the words of the docker command line, and in our own."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.model.objects import Cluster

ROOT = "-----ROOT-----\n"
MINE = "-----ROOT mine-----\n"
KEY = "-----KEY hush-hush-----\n"


def make() -> tuple[World, Api]:
    world = World.make()
    return world, Api.manager(world)


def cluster(world: World) -> Cluster:
    return world.context.cluster


async def update(api: Api, **ca: Any) -> tuple[int, str]:
    """As ``docker swarm ca``: read all, change a part, write all back."""
    document = await api.get("/swarm")
    spec = {**document["Spec"], "CAConfig": {**document["Spec"]["CAConfig"], **ca}}
    status, body = await api.raw("POST", f"/swarm/update?version={document['Version']['Index']}", spec)
    return status, json.loads(body)["message"] if body else ""


async def post(api: Api, path: str, body: object) -> Any:
    """The answer to a call that works."""
    status, answer = await api.call("POST", f"/queenright/v1/ca{path}", body)
    assert status == 200, answer
    return answer


async def test_docker_swarm_ca_rotate_begins_a_change_and_everybody_sees_it() -> None:
    world, api = make()
    assert (await api.get("/swarm"))["RootRotationInProgress"] is False
    assert await update(api, ForceRotate=1) == (200, "")
    document = await api.get("/swarm")
    assert document["RootRotationInProgress"] is True
    assert document["TLSInfo"]["TrustRoot"] == ROOT
    rotation = cluster(world).root_rotation
    assert rotation is not None
    assert document["TLSInfo"]["CertIssuerPublicKey"] == rotation.issuer_public_key
    assert (await api.routes.swarm_info())["Cluster"]["RootRotationInProgress"] is True


async def test_a_client_that_does_not_know_of_the_counter_changes_nothing() -> None:
    world, api = make()
    await update(api, ForceRotate=3)
    rotation = cluster(world).root_rotation
    document = await api.get("/swarm")
    del document["Spec"]["CAConfig"]["ForceRotate"]
    target = f"/swarm/update?version={document['Version']['Index']}"
    assert await api.raw("POST", target, document["Spec"]) == (200, b"")
    assert (cluster(world).root_rotation, cluster(world).spec.ca.force_rotate) == (rotation, 3)


async def test_the_key_that_comes_along_is_taken_and_shown_to_nobody() -> None:
    world, api = make()
    assert await update(api, SigningCACert=MINE, SigningCAKey=KEY) == (200, "")
    rotation = cluster(world).root_rotation
    assert rotation is not None and (rotation.certificate, rotation.key) == (MINE, KEY)
    for shown in (await api.get("/swarm"), await api.get("/queenright/v1/ca"), await api.routes.swarm_info()):
        assert "hush-hush" not in json.dumps(shown) and "mine" in json.dumps(shown)


@pytest.mark.parametrize(
    ("ca", "words"),
    [
        ({"SigningCAKey": KEY}, "the signing CA cert must also be provided"),
        ({"SigningCACert": "junk"}, "cannot be read"),
        ({"SigningCACert": MINE}, "there must be at least one valid, reachable external CA"),
        ({"ExternalCAs": [{"Protocol": "cfssl", "URL": "http://x"}]}, "must begin with https://"),
        ({"ExternalCAs": [{"Protocol": "scep", "URL": "https://x"}]}, "none of cfssl"),
    ],
)
async def test_what_cannot_be_is_refused(ca: dict[str, Any], words: str) -> None:
    world, api = make()
    before = cluster(world)
    status, message = await update(api, **ca)
    assert status == 400 and words in message
    assert "hush-hush" not in message
    assert cluster(world) == before


async def test_our_own_words_plan_do_and_show_it() -> None:
    world, api = make()
    world.worker("one")
    plan = await post(api, "?dry_run=1", {"rotate": True})
    assert (plan["changed"], plan["actions"]) == (True, ["rotate the root certificate"])
    assert cluster(world).root_rotation is None
    done = await post(api, "", {"rotate": True})
    assert done["diff"] == {"ForceRotate": {"before": None, "after": 1}}
    again = await post(api, "", {"rotate": True})
    assert (again["changed"], again["actions"]) == (False, [])
    shown = await api.get("/queenright/v1/ca")
    assert (shown["rotation"]["total"], shown["rotation"]["turned"]) == (2, 0)
    assert sorted(node["hostname"] for node in shown["rotation"]["waiting"]) == ["one", "queen"]
    assert shown["root_certificate"] == ROOT and shown["has_key"] is True


async def test_what_is_said_of_the_root_in_the_wrong_form_is_refused() -> None:
    _, api = make()
    for body, words in (
        ({"rotte": True}, "'rotte' is none of"),
        ({"ca_cert": 5}, "ca_cert: expected a string"),
        ({"external_cas": {"url": "x"}}, "external_cas: expected a list"),
        ({"external_cas": [{}]}, "is required"),
    ):
        status, message = await api.error("POST", "/queenright/v1/ca", body)
        assert status == 400 and words in message


async def test_every_certificate_is_shown_and_one_can_be_revoked() -> None:
    world, api = make()
    world.worker("one")
    node_id = world.store.node("one").id
    for _ in range(3):
        await world.control.authority.renew(node_id, b"key:new")
    rows = (await api.get("/queenright/v1/ca"))["certificates"]
    mine = [row for row in rows if row["node_id"] == node_id]
    assert [row["in_use"] for row in mine] == ["", "previous", "current"]
    assert all(row["hostname"] == "one" and row["role"] == "worker" and row["not_after"] for row in mine)
    former, last = mine[0]["serial"], mine[-1]["serial"]
    for asked in (former.upper(), ":".join(former)):
        answer = await post(api, "/revoke?dry_run=1", {"serial": asked})
        assert answer == {"changed": True, "node_id": node_id, "shut_out": False}
    assert (await post(api, "/revoke", {"serial": former}))["changed"] is True
    assert (await post(api, "/revoke", {"serial": former}))["changed"] is False
    assert (await post(api, "/revoke", {"serial": last}))["shut_out"] is True
    rows = (await api.get("/queenright/v1/ca"))["certificates"]
    assert {row["serial"] for row in rows if row["revoked_at"]} == {former, last}
    status, message = await api.error("POST", "/queenright/v1/ca/revoke", {"serial": "ffff"})
    assert status == 404 and "no certificate with the serial" in message


async def test_the_leading_manager_does_not_shut_itself_out() -> None:
    world, api = make()
    await world.control.authority.renew(world.manager_id, b"key:new")
    serial = world.store.node(world.manager_id).serial
    status, message = await api.error("POST", "/queenright/v1/ca/revoke", {"serial": serial})
    assert status == 400 and "leading manager" in message


async def test_a_node_that_missed_the_change_is_named() -> None:
    world, api = make()
    node = world.worker("one")
    issuer = {"issuer_subject": f"subject of {ROOT}", "issuer_public_key": f"key of {ROOT}"}
    for one in world.store.nodes:
        world.put(dataclasses.replace(one, description=dataclasses.replace(one.description, **issuer)))
    assert (await api.get("/queenright/v1/ca"))["left_behind"] == []
    held = world.store.node("one")
    other = dataclasses.replace(held.description, issuer_public_key="key of another")
    world.put(dataclasses.replace(held, description=other))
    (left,) = (await api.get("/queenright/v1/ca"))["left_behind"]
    assert (left["id"], left["hostname"]) == (node.id, "one")
