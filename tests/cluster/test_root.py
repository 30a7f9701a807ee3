# SPDX-License-Identifier: Apache-2.0
"""The root of a living swarm is replaced, on real hosts, while it is written to: with all nodes, and without some."""

from __future__ import annotations

import time
from typing import Any

from lablib.handle import Host
from managerlib import Attempt, Group
from swarmlib import SLOW, containers

CERTIFICATES = "/var/lib/queenright/certificates"


def authority(group: Group, host: Host | None = None) -> Any:
    return group.get("/queenright/v1/ca", host)


def root_of(host: Host) -> str:
    """What a host trusts, by its own disk."""
    return host.out(f"cat {CERTIFICATES}/swarm-root-ca.crt")


def tokens(group: Group) -> set[str]:
    return set(group.get("/swarm")["JoinTokens"].values())


def rotate(group: Group, *, all_there: bool) -> float:
    """``docker swarm ca --rotate``, to its end; seconds that it took.

    Docker's command line waits for every node there is, so where one is down it is not let wait.
    """
    began = time.monotonic()
    if all_there:
        group.docker("swarm", "ca", "--rotate", "--quiet")
    else:
        group.docker("swarm", "ca", "--rotate", "--detach")
        group.lab.poll(lambda: authority(group)["rotation"] is None, 60 * SLOW, "the change of the root to end")
    return time.monotonic() - began


def rotate_under_load(
    group: Group, hosts: list[Host], prefix: str, *, all_there: bool = True
) -> tuple[float, list[Attempt]]:
    loads = group.load(hosts, prefix)
    group.lab.poll(
        lambda: all(any(one.acknowledged for one in load.attempts()) for load in loads), 60 * SLOW, "the load to run"
    )
    try:
        took = rotate(group, all_there=all_there)
    finally:
        attempts = [one for load in loads for one in load.end()]
    group.sweep(prefix)
    return took, attempts


def refused(attempts: list[Attempt]) -> list[Attempt]:
    return [one for one in attempts if not one.acknowledged]


def test_the_root_is_replaced_under_load_and_nobody_notices(group: Group) -> None:
    group.create("web", "web:v1", 4)
    before, old, old_tokens = {host: containers(host) for host in group.hosts}, authority(group), tokens(group)
    took, attempts = rotate_under_load(group, group.managers, "turning")
    print(f"root replaced in {took:.2f} s, {len(attempts)} writes meanwhile, {len(refused(attempts))} refused")
    assert not refused(attempts)
    after = authority(group)
    assert after["root_digest"] != old["root_digest"]
    assert (after["rotation"], after["left_behind"]) == (None, [])
    assert not tokens(group) & old_tokens
    for host in group.hosts:
        group.lab.poll(
            lambda host=host: root_of(host).strip() == after["root_certificate"].strip(),
            60 * SLOW,
            f"{host} to trust the new root alone",
        )
    assert {host: containers(host) for host in group.hosts} == before
    group.await_whole()


def test_a_worker_that_is_down_is_left_behind_and_comes_home(group: Group) -> None:
    _left_behind(group, group.workers[0], "worker-down")


def test_a_manager_that_is_down_is_left_behind_and_comes_home(group: Group) -> None:
    _left_behind(group, group.followers()[0], "manager-down")


def _left_behind(group: Group, gone: Host, prefix: str) -> None:
    """Replace the root without a host, which is started again afterwards."""
    others = [host for host in group.hosts if host is not gone]
    group.manager = group.await_leader()
    group.create("web", "web:v1", 3, "--constraint", f"node.hostname == {others[-1].name}")
    node, before = group.node_id(gone), containers(others[-1])
    group.project.task("swarm_ca", hosts=group.manager.name, ca_rotation_grace="5s")
    gone.kill()
    left = [host for host in group.managers if host is not gone]
    took, attempts = rotate_under_load(group, left, prefix, all_there=False)
    print(f"root replaced without {gone} in {took:.2f} s, {len(attempts)} writes, {len(refused(attempts))} refused")
    assert not refused(attempts)
    told = authority(group)
    assert told["rotation"] is None
    assert [one["id"] for one in told["left_behind"]] == [node]
    assert group.get(f"/nodes/{node}")["Status"]["State"] == "down"

    gone.start()
    group.await_whole()
    group.lab.poll(lambda: not authority(group)["left_behind"], 60 * SLOW, f"{gone} to be certified anew")
    assert root_of(gone).strip() == told["root_certificate"].strip()
    assert group.node_id(gone) == node, "it is the node that it was"
    assert containers(others[-1]) == before
