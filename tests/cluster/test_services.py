# SPDX-License-Identifier: Apache-2.0
"""Services on three real hosts: spread, ports, rolling updates, failed updates, drain."""

from __future__ import annotations

import re
import threading

from swarmlib import SLOW, Swarm, containers


def image_of(swarm: Swarm, reference: str):
    """Whether a task is one of that image."""
    return lambda task: task["Spec"]["ContainerSpec"]["Image"].startswith(swarm.lab.image(reference))


def test_five_replicas_are_spread_over_three_hosts(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 5)
    assert sorted(swarm.spread("web").values()) == [1, 2, 2]
    assert {host.name: len(containers(host)) for host in swarm.hosts} == swarm.spread("web")


def test_a_host_port_answers_on_every_host_that_runs_the_task(swarm: Swarm) -> None:
    swarm.docker(
        "service",
        "create",
        "--detach",
        "--name",
        "web",
        "--mode",
        "global",
        "--publish",
        "mode=host,target=80,published=8088",
        swarm.lab.image("web:v2"),
    )
    swarm.await_running("web", len(swarm.hosts))
    for host in swarm.hosts:
        url = f"http://{host.address}:8088/"
        swarm.lab.poll(lambda url=url: swarm.lab.http(url)[0] == 200, 10 * SLOW, f"{url} to answer")
        assert swarm.lab.http(url)[1].startswith("v2 ")


def test_a_second_task_that_wants_a_taken_host_port_says_why_it_waits(swarm: Swarm) -> None:
    swarm.docker(
        "service",
        "create",
        "--detach",
        "--name",
        "web",
        "--replicas",
        "4",
        "--publish",
        "mode=host,target=80,published=8088",
        swarm.lab.image("web:v1"),
    )
    swarm.await_running("web", 3)
    (waiting,) = swarm.tasks("web", "pending")
    assert "host-mode port already in use on 3 nodes" in waiting["Status"]["Err"]
    assert "8088" in swarm.manager.run(f"queenright why {waiting['ID']}").stdout


def test_a_rolling_update_of_ten_by_two_never_has_more_than_two_away(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 10, "--update-parallelism", "2", "--update-delay", "1s")
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(len(swarm.tasks("web")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        swarm.docker("service", "update", "--detach", "--image", swarm.lab.image("web:v2"), "web")
        swarm.lab.poll(
            lambda: swarm.get("/services/web").get("UpdateStatus", {}).get("State") == "completed",
            120 * SLOW,
            "the update to complete",
            pause=1,
        )
    finally:
        over.set()
        watcher.join()
    swarm.await_running("web", 10, image_of(swarm, "web:v2"))
    assert min(seen) >= 8, seen
    ended = [task for task in swarm.get("/tasks", service=["web"]) if task["DesiredState"] == "shutdown"]
    assert len(ended) == 10
    assert {task["Status"]["State"] for task in ended} == {"shutdown"}


def test_an_update_that_fails_pauses_and_the_playbook_fails_with_the_reason(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 4, "--update-failure-action", "pause")
    failed = swarm.project.task("swarm_service", check=False, name="web", image=swarm.lab.image("web:broken"))
    assert failed.returncode == 2
    words = " ".join(failed.stdout.split())
    assert re.search(
        r"service web: the update is paused: update paused due to failure or early termination of task \w+", words
    ), words
    assert "non-zero exit (1)" in words
    assert swarm.get("/services/web")["UpdateStatus"]["State"] == "paused"
    assert len(swarm.tasks("web")) == 3, "the others are left as they were"
    mended = swarm.project.task("swarm_service", name="web", image=swarm.lab.image("web:v2"))
    assert swarm.lab.recap(mended)["host1"]["changed"] == 1
    swarm.await_running("web", 4, image_of(swarm, "web:v2"))
    again = swarm.project.task("swarm_service", name="web", image=swarm.lab.image("web:v2"))
    assert swarm.lab.recap(again)["host1"]["changed"] == 0


def test_a_drained_node_gives_its_tasks_away_and_gets_none_until_it_is_active(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 6)
    drained = swarm.hosts[-1]
    node = swarm.node(drained)["ID"]
    swarm.project.task("swarm_node", name=node, availability="drain")
    assert not [state for state in containers(drained).values() if state.endswith("/true")]
    swarm.await_running("web", 6, lambda task: task["NodeID"] != node)
    swarm.project.task("swarm_node", name=node, availability="active")
    swarm.docker("service", "scale", "--detach", "web=9")
    swarm.await_running("web", 9)
    assert swarm.spread("web")[drained.name] == 3
