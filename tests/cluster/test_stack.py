# SPDX-License-Identifier: Apache-2.0
"""Bundles and stacks on three real hosts: deployed whole, changed and taken back whole, while clients knock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lablib.handle import Done
from meshlib import answers, figures, inside, running, under_load
from swarmlib import SLOW, Swarm

NAMESPACE = "com.docker.stack.namespace"
FRONTS = 4
RATE = 50
COMPOSE = """
services:
  front:
    image: {front}
    ports: ["80"]
    networks: [tier]
    environment:
      VERSION: "{version}"
  behind:
    image: {behind}
    networks: [tier]
    environment:
      VERSION: "{version}"
networks:
  tier: {{}}
"""
BESIDE = """
version: "3.8"
services:
  web:
    image: {image}
    deploy:
      replicas: 2
"""


def bundled(swarm: Swarm, version: str, *, behind: str = "web:v1") -> str:
    """Two tiers as a bundle, made on a host of the Compose file; answers its file on the controller."""
    image = swarm.lab.image
    text = COMPOSE.format(front=image("web:kept"), behind=image(behind), version=version)
    swarm.manager.write("/root/shop.yml", text)
    swarm.manager.run("queenright bundle create /root/shop.yml -o /root/shop.dab")
    path = swarm.project.folder / f"shop-{version}.dab"
    path.write_text(swarm.manager.out("cat /root/shop.dab"))
    return str(path)


def deploy(swarm: Swarm, path: str, *, check: bool = True) -> Done:
    return swarm.project.task("swarm_bundle", check=check, name="shop", src=path)


def changed(swarm: Swarm, done: Done) -> int:
    return swarm.lab.recap(done)["host1"]["changed"]


def specs(swarm: Swarm) -> dict[str, Any]:
    """What the services of the stack are declared to be."""
    found = swarm.get("/services", label=[f"{NAMESPACE}=shop"])
    return {one["Spec"]["Name"]: one["Spec"] for one in found}


def port(swarm: Swarm) -> int:
    """Where the swarm has published the front."""
    (one,) = swarm.get("/services/shop_front")["Endpoint"]["Ports"]
    return int(one["PublishedPort"])


def of_version(version: str) -> Any:
    """Whether a task is of that revision."""
    return lambda task: f"VERSION={version}" in task["Spec"]["ContainerSpec"]["Env"]


def behind_says(swarm: Swarm) -> str:
    """What the front hears of the tier behind it."""
    host = next(host for host in swarm.hosts if running(host) and "shop_front" in host.out("docker ps"))
    return inside(host, "shop_front", "wget", "-q", "-O", "-", "http://behind/")


@pytest.fixture
def shop(mesh: Swarm) -> Iterator[Swarm]:
    """The first revision, with replicas that somebody set by hand; every host answers."""
    deploy(mesh, bundled(mesh, "1"))
    mesh.docker("service", "scale", "--detach", f"shop_front={FRONTS}", "shop_behind=2")
    mesh.await_running("shop_front", FRONTS)
    mesh.await_running("shop_behind", 2)
    for host in mesh.hosts:
        answers(mesh, host, port(mesh))
    yield mesh
    mesh.project.task("swarm_stack", name="shop", state="absent")


def test_a_bundle_is_changed_and_taken_back_whole_and_no_request_is_lost(shop: Swarm, record_property: Any) -> None:
    first = f"{shop.project.folder}/shop-1.dab"
    with open(first) as file:
        bundle = json.load(file)
    assert {key: "@sha256:" in one["Image"] for key, one in bundle["Services"].items()} == {
        "front": True,
        "behind": True,
    }
    assert changed(shop, deploy(shop, first)) == 0, "what was scaled by hand stays as it is"
    shop.lab.poll(lambda: behind_says(shop).startswith("1 "), 30 * SLOW, "the tiers to reach each other")
    before, second = specs(shop), bundled(shop, "2")

    found = under_load(shop, lambda: deploy(shop, second), shop.hosts, rate=RATE, port=port(shop))
    figures(record_property, "stack_change", found)
    assert found["failed"] == []
    assert {body.split()[0] for body in found["answers"]} == {"1", "2"}
    for name, count in (("shop_front", FRONTS), ("shop_behind", 2)):
        shop.await_running(name, count, of_version("2"))
    assert behind_says(shop).startswith("2 ")

    def back() -> None:
        shop.project.task("swarm_bundle", name="shop", state="rolled_back")

    found = under_load(shop, back, shop.hosts, rate=RATE, port=port(shop))
    figures(record_property, "stack_rollback", found)
    assert found["failed"] == []
    for name, count in (("shop_front", FRONTS), ("shop_behind", 2)):
        shop.await_running(name, count, of_version("1"))
    assert specs(shop) == before


def test_a_broken_image_takes_the_whole_stack_back_and_says_why(shop: Swarm, record_property: Any) -> None:
    before, broken = specs(shop), bundled(shop, "2", behind="web:broken")
    done: list[Done] = []
    found = under_load(
        shop, lambda: done.append(deploy(shop, broken, check=False)), shop.hosts, rate=RATE, port=port(shop)
    )
    figures(record_property, "stack_broken", found)
    (failed,) = done
    words = " ".join(failed.stdout.split())
    assert failed.returncode == 2, words
    assert "rolled back" in words
    assert "shop_behind" in words
    assert "non-zero exit (1)" in words
    assert found["failed"] == []
    assert specs(shop) == before
    shown = shop.get("/queenright/v1/stacks/shop")
    assert (shown["State"], shown["Failed"]) == ("rollback_completed", "shop_behind")
    for name, count in (("shop_front", FRONTS), ("shop_behind", 2)):
        shop.await_running(name, count, of_version("1"))
    assert changed(shop, deploy(shop, bundled(shop, "1"))) == 0


def test_dockers_own_stacks_live_beside_ours(shop: Swarm) -> None:
    before = specs(shop)
    shop.manager.write("/root/beside.yml", BESIDE.format(image=shop.lab.image("web:v1")))
    shop.docker("stack", "deploy", "-c", "/root/beside.yml", "beside")
    shop.await_running("beside_web", 2)
    listed = shop.docker("stack", "ls", "--format", "{{.Name}} {{.Services}}").stdout.split("\n")
    assert sorted(filter(None, listed)) == ["beside 1", "shop 2"]
    services = shop.docker("stack", "services", "--format", "{{.Name}} {{.Replicas}}", "shop").stdout
    assert sorted(services.splitlines()) == ["shop_behind 2/2", f"shop_front {FRONTS}/{FRONTS}"]
    tasks = shop.docker("stack", "ps", "--format", "{{.Name}}", "--filter", "desired-state=running", "shop").stdout
    slots = [f"shop_behind.{slot}" for slot in (1, 2)] + [f"shop_front.{slot + 1}" for slot in range(FRONTS)]
    assert sorted(tasks.split()) == slots
    managed = {one["Name"]: one["Managed"] for one in shop.get("/queenright/v1/stacks")}
    assert managed == {"beside": False, "shop": True}
    assert "beside" in shop.manager.out("queenright stack ls")
    shop.docker("stack", "rm", "beside")
    shop.lab.poll(lambda: "beside" not in shop.docker("stack", "ls").stdout, 60 * SLOW, "the other stack to be gone")
    assert specs(shop) == before


def test_one_task_declares_all_of_it_and_the_second_time_changes_nothing(mesh: Swarm) -> None:
    web = {"image": mesh.lab.image("web:v1"), "networks": [{"name": "back"}]}
    declared: dict[str, Any] = {
        "networks": [{"name": "back"}],
        "configs": [{"name": "app", "data": "colour = blue"}],
        "services": [{"name": "web", "replicas": 3, "configs": [{"config_name": "app"}], **web}],
        "stacks": [{"name": "lone", "services": {"db": {"image": mesh.lab.image("web:v2"), "replicas": 3}}}],
    }
    done = mesh.project.task("swarm_apply", **declared)
    assert changed(mesh, done) == 1
    for name in ("web", "lone_db"):
        assert len(mesh.tasks(name)) == 3, "the task has waited for it"
        assert set(mesh.spread(name).values()) == {1}
    assert changed(mesh, mesh.project.task("swarm_apply", **declared)) == 0
    absent = {kind: [{"name": one["name"], "state": "absent"} for one in ones] for kind, ones in declared.items()}
    assert changed(mesh, mesh.project.task("swarm_apply", **absent)) == 1
    assert mesh.get("/services") == mesh.get("/queenright/v1/stacks") == mesh.get("/configs") == []
