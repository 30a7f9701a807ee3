# SPDX-License-Identifier: Apache-2.0
"""The majority of the managers is lost for good: one survivor founds the group anew and keeps everything."""

from __future__ import annotations

import json

from lablib.handle import Host
from managerlib import NO_LEADER, Group
from swarmlib import SLOW, containers


def test_a_survivor_goes_on_alone_with_all_data_and_refuses_the_old_majority(group: Group) -> None:
    group.create("web", "web:v1", 3, "--constraint", "node.role == worker")
    worker = group.workers[0]
    leader = group.await_leader()
    survivor = group.followers()[0]
    lost = [host for host in group.managers if host is not survivor]
    assert group.write(leader, "before").status == 201
    held = group.agree()
    running = containers(worker)
    cluster = group.standing(survivor)["cluster_id"]  # type: ignore[index]
    for host in lost:
        host.kill()

    def alone() -> bool:
        answer = group.write(survivor, "refused")
        return answer.status == 503 and NO_LEADER in answer.text

    group.lab.poll(alone, 30 * SLOW, "the survivor to refuse writes")
    assert group.ask(survivor, "GET", "/services").stale
    survivor.run(
        ["docker", "--context", "swarm", "swarm", "init", "--force-new-cluster", "--advertise-addr", survivor.address]
    )
    assert group.await_leader([survivor]) is survivor
    group.manager = survivor
    assert group.standing(survivor)["cluster_id"] == cluster  # type: ignore[index]
    assert "refused" not in group.names(survivor)
    assert set(held["names"]) - {name for name in held["names"] if name.startswith("marker-")} <= group.names(survivor)
    assert group.write(survivor, "after").status == 201
    nodes = {node["ID"]: node for node in group.get("/nodes", survivor)}
    assert [one["ID"] for one in nodes.values() if one["Spec"]["Role"] == "manager"] == [group.node_id(survivor)]
    group.lab.poll(lambda: len(group.tasks("web")) == 3, 60 * SLOW, "the worker to be heard again")
    assert containers(worker) == running, "its tasks have not noticed"

    # The others come back, at the same time: they do not go on beside the one that did, but work for it.
    for host in lost:
        host.start()
    for number, host in enumerate(lost):
        assert group.write(survivor, f"later{number}").status == 201
        group.lab.poll(lambda host=host: works(group, host), 60 * SLOW, f"{host} to be a worker of the new group")
    members = group.standing(survivor)["raft"]["members"]  # type: ignore[index]
    assert [one["node_id"] for one in members] == [group.node_id(survivor)]
    assert {"before", "after", "later1"} <= group.names(survivor)
    assert "refused" in survivor.out("journalctl -u queenright -b -o cat"), "who came as a manager was refused"

    # Promoted, they are managers again, with what the survivor holds.
    for host in lost:
        group.docker("node", "promote", group.node_id(host))
    group.await_whole()
    assert {"before", "after", "later1"} <= set(group.agree()["names"])
    assert json.loads(survivor.out("docker --context swarm info --format '{{json .Swarm}}'"))["Managers"] == 3


def works(group: Group, host: Host) -> bool:
    """Whether a host is a worker, and has heard of the present manager."""
    status = group.standing(host)
    return status is not None and status["role"] == "worker" and status["ready"]
