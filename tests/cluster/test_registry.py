# SPDX-License-Identifier: Apache-2.0
"""Private images from a registry whose passwords expire: on three real hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lablib import tokens
from lablib.tokens import TOKEN_REGISTRY, USER, TokenRegistry
from swarmlib import SLOW, Swarm, containers

FIRST, SECOND = "first-of-this-morning", "second-of-this-evening"
DAEMON = "/etc/docker/daemon.json"


@pytest.fixture
def registry(swarm: Swarm) -> Iterator[TokenRegistry]:
    """One that all hosts may speak plain HTTP with, and of whose images none has any."""
    held = {}
    for host in swarm.hosts:
        held[host.name] = host.out(f"cat {DAEMON}")
        settings = json.loads(held[host.name])
        settings["insecure-registries"] = [*settings["insecure-registries"], TOKEN_REGISTRY]
        host.write(DAEMON, json.dumps(settings))
        host.run("systemctl reload docker")
        host.run(f"docker images -q {TOKEN_REGISTRY}/web | xargs -r docker rmi --force")
        told = lambda host=host: TOKEN_REGISTRY in host.out("docker info -f '{{json .RegistryConfig}}'")  # noqa: E731
        swarm.lab.poll(told, 30 * SLOW, f"the engine of {host.name} to know the registry")
    with tokens.serving(swarm.lab.place) as served:
        yield served
    swarm.lab.restore()
    for host in swarm.hosts:
        host.write(DAEMON, held[host.name] + "\n")
        host.run("systemctl reload docker")


def give(swarm: Swarm, password: str) -> None:
    """Store the swarm's credentials for the registry, as a playbook does."""
    swarm.project.task("swarm_registry", server=TOKEN_REGISTRY, username=USER, password=password)


def errors(swarm: Swarm, name: str) -> list[str]:
    return [task["Status"].get("Err", "") for task in swarm.get("/tasks", service=[name])]


def test_a_task_placed_anew_after_its_token_expired_is_pulled_with_the_one_that_took_its_place(
    swarm: Swarm, registry: TokenRegistry
) -> None:
    registry.accept(FIRST)
    give(swarm, FIRST)
    image = registry.image("web:v1")
    here, there = swarm.hosts[1], swarm.hosts[2]
    for host, place in ((swarm.hosts[0], "elsewhere"), (here, "here"), (there, "here")):
        swarm.docker("node", "update", "--label-add", f"place={place}", swarm.node(host)["ID"])
    swarm.docker("node", "update", "--availability", "pause", swarm.node(there)["ID"])
    done = swarm.project.task(
        "swarm_service",
        name="private",
        image=image,
        placement={"constraints": ["node.labels.place == here"]},
        restart_policy={"delay": "200ms"},
    )
    assert swarm.lab.recap(done)["host1"]["changed"] == 1
    swarm.await_running("private", 1, lambda task: task["NodeID"] == swarm.node(here)["ID"])
    assert "@sha256:" in swarm.get("/services/private")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    before = containers(here)

    registry.accept(SECOND)
    give(swarm, SECOND)
    assert containers(here) == before, "other credentials restart nothing"
    assert not there.out(f"docker images -q {TOKEN_REGISTRY}/web")

    swarm.docker("node", "update", "--availability", "active", swarm.node(there)["ID"])
    here.kill()
    swarm.await_running("private", 1, lambda task: task["NodeID"] == swarm.node(there)["ID"])
    assert there.out(f"docker images -q {TOKEN_REGISTRY}/web")
    assert not any("expired" in text or "unauthorized" in text for text in errors(swarm, "private"))


def test_a_token_that_expired_is_said_so_and_the_next_one_counts_without_a_word_to_the_service(
    swarm: Swarm, registry: TokenRegistry
) -> None:
    registry.accept(SECOND)
    give(swarm, FIRST)
    image = registry.image("web:v2")
    swarm.docker("service", "create", "--detach", "--name", "late", "--restart-delay", "1s", image)
    swarm.lab.poll(
        lambda: any("No such image" in text and "expired" in text for text in errors(swarm, "late")),
        60 * SLOW,
        "a task that says why it has no image",
    )
    assert not any(FIRST in text for text in errors(swarm, "late")), "no error tells a password"
    version = swarm.get("/services/late")["Version"]["Index"]
    give(swarm, SECOND)
    swarm.await_running("late", 1)
    assert swarm.get("/services/late")["Version"]["Index"] == version
    for host in swarm.hosts:
        assert not host.out(f"journalctl -u queenright | grep -c -e {FIRST} -e {SECOND} || true").strip("0")
