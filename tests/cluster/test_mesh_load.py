# SPDX-License-Identifier: Apache-2.0
"""What clients of the routing mesh lose while services are scaled and updated, and while nodes are drained and die:
every request and every kept connection is counted.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from meshlib import await_update, exit_codes, figures, published, running, under_load
from swarmlib import SLOW, Swarm

KEPT = 500


@pytest.mark.parametrize("most", [9, pytest.param(30, marks=pytest.mark.long)])
def test_scaling_up_and_down_loses_nothing(mesh: Swarm, most: int, record_property: Any) -> None:
    published(mesh, "web", 3, image="web:kept")

    def scale() -> None:
        for count in (most, 3):
            mesh.docker("service", "scale", "--detach", f"web={count}")
            mesh.await_running("web", count)
        mesh.lab.poll(lambda: sum(len(running(host)) for host in mesh.hosts) == 3, 90 * SLOW, "3 to be left", pause=1)

    found = under_load(mesh, scale, mesh.hosts, kept=KEPT)
    figures(record_property, f"scale_{most}", found)
    assert (found["failed"], found["cut"]) == ([], [])
    assert found["ended"] > 0, "connections to tasks that went away were ended by them, inside the grace"


@pytest.mark.releases
def test_a_rolling_update_loses_no_request(mesh: Swarm, record_property: Any) -> None:
    published(mesh, "web", 10, "--update-parallelism", "2", image="web:kept")

    def update() -> None:
        mesh.docker("service", "update", "--detach", "--env-add", "VERSION=new", "web")
        await_update(mesh, "web")

    found = under_load(mesh, update, mesh.hosts, kept=100)
    figures(record_property, "update", found)
    assert (found["failed"], found["cut"]) == ([], [])
    assert {body.split()[0] for body in found["answers"]} == {"kept", "new"}
    assert found["ended"] >= 50, "each connection that stays was ended by the task that it was made to"
    assert exit_codes(mesh, "web") == {0}, "and that inside the grace: no task was killed"


def test_draining_a_node_loses_nothing(mesh: Swarm, record_property: Any) -> None:
    published(mesh, "web", 6, image="web:kept")
    drained = mesh.hosts[-1]
    node = mesh.node(drained)["ID"]

    def drain() -> None:
        mesh.docker("node", "update", "--availability", "drain", node)
        mesh.await_running("web", 6, lambda task: task["NodeID"] != node)
        mesh.lab.poll(lambda: not running(drained), 90 * SLOW, "the drained host to be empty")

    found = under_load(mesh, drain, mesh.hosts, kept=100)
    figures(record_property, "drain", found)
    assert (found["failed"], found["cut"]) == ([], [])
    assert found["ended"] > 0


def test_a_node_without_power_loses_requests_only_until_it_is_declared_down(mesh: Swarm, record_property: Any) -> None:
    published(mesh, "web", 6, image="web:kept")
    dead = mesh.hosts[-1]
    moments: dict[str, float] = {}

    def power_off() -> None:
        moments["off"] = time.time()
        dead.kill()
        mesh.lab.poll(lambda: mesh.node(dead)["Status"]["State"] == "down", 60 * SLOW, "the node to be down")
        moments["down"] = time.time()
        mesh.await_running("web", 6)
        time.sleep(max(0.0, moments["down"] + 10 - time.time()))  # requests after it, for the comparison

    found = under_load(mesh, power_off, mesh.hosts[:-1], kept=100)
    figures(record_property, "power_off", found)
    lost = sorted(moment for moment, *_ in found["failed"])
    record_property("power_off_down_after_s", round(moments["down"] - moments["off"], 1))
    record_property("power_off_last_failed_after_s", round(lost[-1] - moments["off"], 1) if lost else None)
    print(
        f"down after {moments['down'] - moments['off']:.1f} s; failed at {[round(m - moments['off'], 1) for m in lost]}"
    )
    print(f"cut at {[round(moment - moments['off'], 1) for moment, *_ in found['cut']]}")
    # What is asked after the others have heard of it must be answered: the moment above is later than that.
    assert [loss for loss in found["failed"] if loss[0] > moments["down"] + 1] == []
