# SPDX-License-Identifier: Apache-2.0
"""The majority of the managers is lost for good: one survivor founds the group anew and keeps everything."""

from __future__ import annotations

import json

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

    # The old majority comes back. It is no part of this swarm any more, and takes nothing from it.
    for host in lost:
        host.start()
    group.lab.poll(lambda: all(group.standing(host) for host in lost), 60 * SLOW, "the lost ones to be back")
    for number in range(5):
        assert group.write(survivor, f"later{number}").status == 201
    members = group.standing(survivor)["raft"]["members"]  # type: ignore[index]
    assert [one["node_id"] for one in members] == [group.node_id(survivor)]
    assert {"before", "after", "later4"} <= group.names(survivor)
    refused = survivor.out("journalctl -u queenright -b -o cat") + "".join(
        host.out("journalctl -u queenright -b -o cat") for host in lost
    )
    assert "epoch" in refused or "removed" in refused, "who is refused is told why"

    # They are made part of it again as any other host is.
    for host in lost:
        host.run("docker --context swarm swarm leave --force", check=False)
        for node in group.get("/nodes", survivor):
            if node["Description"]["Hostname"] == host.name:
                group.docker("node", "rm", "--force", node["ID"])
    group.form(group.managers, group.workers)
    assert {"before", "after", "later4"} <= set(group.agree()["names"])
    assert json.loads(survivor.out("docker --context swarm info --format '{{json .Swarm}}'"))["Managers"] == 3
