# SPDX-License-Identifier: Apache-2.0
"""Several managers on real hosts: formed by site.yml, asked anywhere, promoted, demoted, left, re-imaged."""

from __future__ import annotations

import time

import pytest
from managerlib import SITE, Group
from swarmlib import SLOW, containers


def roles(group: Group) -> dict[str, str]:
    """Host name to what Docker's command line shows of it as a manager."""
    lines = group.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}").stdout.splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines}


def await_role(group: Group, host: object, role: str) -> None:
    """Until a host counts as that, by its own word."""
    group.lab.poll(lambda: (group.standing(host) or {}).get("role") == role, 60 * SLOW, f"{host} to be a {role}")  # type: ignore[arg-type]


def test_site_makes_one_group_of_three_managers(group: Group) -> None:
    leader = group.await_leader()
    expected = {host.name: "Ready Reachable" for host in group.managers} | {"host4": "Ready"}
    assert roles(group) == expected | {leader.name: "Ready Leader"}
    assert len({group.standing(host)["cluster_id"] for host in group.hosts}) == 1  # type: ignore[index]
    addresses = {f"{host.address}:2377" for host in group.managers}
    for host in group.hosts:
        assert {each["addr"] for each in group.standing(host)["managers"]} == addresses  # type: ignore[index]


def test_site_changes_nothing_the_second_time(group: Group) -> None:
    done = group.project.play(SITE)
    assert {host: one["changed"] for host, one in group.lab.recap(done).items()} == dict.fromkeys(
        (host.name for host in group.hosts), 0
    )


def test_every_manager_takes_any_call_and_shows_its_effect_at_once(group: Group) -> None:
    for number, host in enumerate(group.managers):
        name = f"web{number}"
        create = ["docker", "--context", "swarm", "service", "create", "--detach", "--name", name, "--replicas", "1"]
        host.run([*create, group.lab.image("web:v1")])
        assert name in host.out("docker --context swarm service ls --format '{{.Name}}'").splitlines()
        host.run(["docker", "--context", "swarm", "service", "scale", "--detach", f"{name}=2"])
        assert group.get(f"/services/{name}", host)["Spec"]["Mode"] == {"Replicated": {"Replicas": 2}}
        group.await_running(name, 2)
    follower = group.followers()[0]
    follower.run("docker --context swarm service rm web0")
    assert "web0" not in group.names(follower)
    held = group.agree()
    assert {"web1", "web2"} <= set(held["names"])


def test_a_refusal_through_a_follower_reads_as_the_leaders_own(group: Group) -> None:
    body = {"Name": "no good name!", "TaskTemplate": {"ContainerSpec": {"Image": "x"}}}
    leader, follower = group.await_leader(), group.followers()[0]
    own = group.ask(leader, "POST", "/services/create", body)
    passed_on = group.ask(follower, "POST", "/services/create", body)
    assert own.status == passed_on.status == 400
    assert own.json == passed_on.json
    assert group.ask(follower, "DELETE", "/services/nothing").status == 404


def test_a_worker_promoted_by_the_module_manages_and_demoted_by_docker_works_again(group: Group) -> None:
    host = group.workers[0]
    group.create("web", "web:v1", 4)
    before = containers(host)
    node = group.node_id(host)
    done = group.project.task("swarm_node", name=node, role="manager")
    assert group.lab.recap(done)["host1"]["changed"] == 1
    await_role(group, host, "manager")
    group.managers.append(host)
    group.await_whole()
    assert roles(group)[host.name] == "Ready Reachable"
    assert group.write(host, "written-by-the-new-one").status == 201
    group.agree()
    again = group.project.task("swarm_node", name=node, role="manager")
    assert group.lab.recap(again)["host1"]["changed"] == 0
    other = group.followers()[0]
    other.run(["docker", "--context", "swarm", "node", "demote", node])
    group.managers.remove(host)
    await_role(group, host, "worker")
    group.await_whole()
    assert roles(group)[host.name] == "Ready"
    assert group.ask(host, "GET", "/services").status == 503
    assert containers(host) == before, "its tasks have not noticed"


def test_the_leader_can_be_demoted_and_promoted_by_docker(group: Group, record_property: pytest.Function) -> None:
    leader = group.await_leader()
    node = group.node_id(leader)
    others = [host for host in group.managers if host is not leader]
    began = time.monotonic()
    others[0].run(["docker", "--context", "swarm", "node", "demote", node])
    await_role(group, leader, "worker")
    record_property("leader_demoted_seconds", f"{time.monotonic() - began:.1f}")
    assert group.await_leader(others) in others
    group.agree(others)
    others[0].run(["docker", "--context", "swarm", "node", "promote", node])
    await_role(group, leader, "manager")
    group.await_whole()
    group.agree()


def test_the_last_manager_but_one_cannot_take_the_quorum_away(group: Group) -> None:
    followers = group.followers()
    followers[0].kill()
    leader = group.manager = group.await_leader()

    def missed() -> bool:
        members = group.standing(leader)["raft"]["members"]  # type: ignore[index]
        return sum(each["reachable"] for each in members) == 2

    group.lab.poll(missed, 30 * SLOW, "the leader to miss the one without power")
    refused = group.docker("node", "demote", group.node_id(followers[1]), check=False)
    assert refused.returncode and "quorum" in refused.stderr
    assert roles(group)[followers[1].name] == "Ready Reachable"
    assert group.write(leader, "still-served").status == 201


def test_a_manager_leaves_with_force_and_joins_again(group: Group) -> None:
    leaver = group.followers()[0]
    stays = [host for host in group.managers if host is not leaver]
    node = group.node_id(leaver)
    refused = leaver.run("docker --context swarm swarm leave", check=False)
    assert refused.returncode and "--force" in refused.stderr
    assert group.standing(leaver)["state"] == "active"  # type: ignore[index]
    leaver.run("docker --context swarm swarm leave --force")
    assert group.standing(leaver)["state"] == "inactive"  # type: ignore[index]
    leader = group.await_leader(stays)
    group.manager = leader

    def gone() -> bool:
        (found,) = [one for one in group.get("/nodes", leader) if one["ID"] == node]
        members = group.standing(leader)["raft"]["members"]  # type: ignore[index]
        return found["Status"]["State"] == "down" and node not in {one["node_id"] for one in members}

    group.lab.poll(gone, 60 * SLOW, "the one that left to be no member")
    group.agree(stays)
    group.docker("node", "rm", node)
    done = group.project.play(SITE)
    assert group.lab.recap(done)[leaver.name]["failed"] == 0
    group.await_whole()
    assert group.node_id(leaver) != node
    group.agree()


def test_a_re_imaged_first_manager_joins_its_old_swarm_and_founds_no_second(group: Group) -> None:
    first = group.managers[0]
    cluster, node = group.standing(first)["cluster_id"], group.node_id(first)  # type: ignore[index]
    group.create("web", "web:v1", 4)
    first.reimage()
    done = group.project.play(SITE)
    assert {one["failed"] for one in group.lab.recap(done).values()} == {0}
    group.lab.poll(lambda: (group.standing(first) or {}).get("role") == "manager", 60 * SLOW, "it to manage")
    assert group.standing(first)["cluster_id"] == cluster  # type: ignore[index]
    fresh = group.node_id(first)
    assert fresh != node
    leader = group.await_leader()
    group.manager = leader
    group.lab.poll(
        lambda: {one["ID"]: one["Status"]["State"] for one in group.get("/nodes", leader)}.get(node) == "down",
        60 * SLOW,
        "its former self to be down",
    )
    group.docker("node", "demote", node)
    group.project.task("swarm_node", hosts=leader.name, name=node, state="absent")
    group.await_whole()
    assert "web" in group.agree()["names"]
    group.await_running("web", 4)


def test_five_managers_are_made_of_three_by_site(group: Group) -> None:
    hosts = group.lab.hosts
    workers = list(group.workers)
    group.form([*group.managers, *hosts[4:6]], workers)
    try:
        assert sum(one.startswith("Ready ") for one in roles(group).values()) == 5
        assert group.write(hosts[5], "by-the-sixth-host").status == 201
        group.agree()
    finally:
        for host in hosts[4:6]:
            group.retire(host)


def test_an_idle_group_needs_little(group: Group, record_property: pytest.Function) -> None:
    group.agree()

    def seconds(host: object) -> tuple[float, int]:
        """CPU seconds so far and resident KiB of the host's daemon."""
        pid = host.exec(["systemctl", "show", "-P", "MainPID", "queenright"]).stdout.strip()  # type: ignore[attr-defined]
        stat = host.exec(["cat", f"/proc/{pid}/stat"]).stdout.rpartition(")")[2].split()  # type: ignore[attr-defined]
        status = host.exec(["cat", f"/proc/{pid}/status"]).stdout  # type: ignore[attr-defined]
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return (int(stat[11]) + int(stat[12])) / 100, int(resident.split()[1])

    before = {host: seconds(host) for host in group.managers}
    began = time.monotonic()
    time.sleep(20)
    lasted = time.monotonic() - began
    leader = group.await_leader()
    for host in group.managers:
        spent, resident = seconds(host)
        share = (spent - before[host][0]) / lasted * 100
        role = "leader" if host is leader else f"follower_{host.name}"
        record_property(f"idle_{role}_rss_mib", resident >> 10)
        record_property(f"idle_{role}_cpu_percent", f"{share:.2f}")
        print(f"idle {role}: {resident >> 10} MiB resident, {share:.2f} % of a core")
        assert resident < 300 << 10
