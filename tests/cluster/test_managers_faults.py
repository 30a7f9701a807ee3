# SPDX-License-Identifier: Apache-2.0
"""Managers lose power, are killed, stop and are cut off: nothing that was acknowledged is lost, and it goes on soon."""

from __future__ import annotations

import json
import statistics
import threading
import time
from typing import Any

import pytest
from lablib.handle import Host
from managerlib import NO_LEADER, Answer, Attempt, Group, took_over
from swarmlib import SLOW, SOCKET, containers


def kill_rounds(group: Group, rounds: int) -> tuple[list[float], int]:
    """Kill the leader's daemon under load again and again; (seconds until a survivor's next write, writes)."""
    took: list[float] = []
    written = 0
    for number in range(rounds):
        leader = group.await_whole()
        survivors = [host for host in group.managers if host is not leader]
        loads = group.load(group.managers, f"round{number}")
        time.sleep(2)
        pid = leader.exec(["systemctl", "show", "-P", "MainPID", "queenright"]).stdout.strip()
        killed = time.time()
        leader.exec(["kill", "-9", pid])
        group.await_leader(survivors)
        time.sleep(2)
        records = {load.host: load.end() for load in loads}
        attempts = [one for record in records.values() for one in record]
        took.append(took_over((one for host in survivors for one in records[host]), killed))
        group.await_whole()
        group.check_kept(attempts, set(group.agree()["names"]))
        written += sum(one.acknowledged for one in attempts)
        group.sweep(f"round{number}")
    return took, written


def report(record_property: Any, what: str, took: list[float], written: int) -> None:
    record_property(f"{what}_median_s", f"{statistics.median(took):.2f}")
    record_property(f"{what}_worst_s", f"{max(took):.2f}")
    record_property(f"{what}_acknowledged", written)
    print(f"{what}: {sorted(round(one, 2) for one in took)} s until the next write; {written} acknowledged, 0 lost")


def test_a_write_succeeds_on_a_survivor_soon_after_the_leader_lost_its_power(
    group: Group, record_property: pytest.Function
) -> None:
    group.create("web", "web:v1", 4, "--constraint", "node.role == worker")
    group.create("everywhere", "web:v1", 4)
    leader = group.await_leader()
    survivors = [host for host in group.hosts if host is not leader]
    before = {host.name: containers(host) for host in survivors}
    managers = [host for host in group.managers if host is not leader]
    loads = group.load(managers, "power", 2)
    time.sleep(1)
    cut = time.time()
    leader.kill()
    group.await_leader(managers)
    time.sleep(2)
    attempts = [one for load in loads for one in load.end()]
    took = took_over(attempts, cut)
    report(record_property, "power_off", [took], sum(one.acknowledged for one in attempts))
    assert took < 3 * SLOW
    refused = [one for one in attempts if not one.acknowledged and one.began > cut]
    assert all(NO_LEADER in one.text or one.status in (0, 503) for one in refused), refused[:3]
    group.manager = managers[0]
    for host in survivors:
        kept = containers(host)
        assert {key: kept.get(key) for key in before[host.name]} == before[host.name], "tasks of survivors stay"
    leader.start()
    group.await_whole()
    group.check_kept(attempts, set(group.agree()["names"]))
    group.sweep("power")


def test_a_killed_leader_costs_no_acknowledged_write(group: Group, record_property: pytest.Function) -> None:
    report(record_property, "kill", *kill_rounds(group, 2))


@pytest.mark.long
def test_thirty_killed_leaders_cost_no_acknowledged_write(group: Group, record_property: pytest.Function) -> None:
    took, written = kill_rounds(group, 30)
    report(record_property, "kill_long", took, written)
    assert statistics.median(took) < 2 * SLOW


def test_all_managers_killed_at_once_lose_nothing_that_was_acknowledged(group: Group) -> None:
    loads = group.load(group.managers, "all", 2)
    time.sleep(2)
    kill = "kill -9 $(systemctl show -P MainPID queenright)"
    for host in group.managers:
        threading.Thread(target=host.exec, args=(kill,)).start()
    time.sleep(2)
    attempts = [one for load in loads for one in load.end()]
    group.await_whole()
    group.check_kept(attempts, set(group.agree()["names"]))
    group.sweep("all")


def label_of(answer: Answer) -> str | None:
    """The label that a dry apply saw, which promises fresh data."""
    before = answer.json["before"]
    return before["Labels"].get("round") if before else None


def stop_round(group: Group, number: int) -> dict[str, int]:
    """Stop the leader for 10 s, write meanwhile, let it go on: what the requests that waited for it were told."""
    leader = group.await_whole()
    survivors = [host for host in group.managers if host is not leader]
    told: list[Answer] = []
    plain: list[Answer] = []
    tried: list[Answer] = []
    dry = {"kind": "service", "name": "register", "state": "present", "options": {}}
    spec = group.get("/services/register", leader)
    relabel = {**spec["Spec"], "Labels": {"round": f"{number}-by-the-stopped"}}
    update = f"/services/register/update?version={spec['Version']['Index']}"
    pid = leader.exec(["systemctl", "show", "-P", "MainPID", "queenright"]).stdout.strip()
    leader.exec(["kill", "-STOP", pid])
    try:
        asked = [
            *[(told, "POST", "/queenright/v1/apply?dry_run=1", dry)] * 5,
            *[(plain, "GET", "/services/register", None)] * 5,
            (tried, "POST", update, relabel),
        ]
        waiting = [
            threading.Thread(target=lambda into=into, rest=rest: into.append(group.ask(leader, *rest, patience=60)))
            for into, *rest in asked
        ]
        for thread in waiting:
            thread.start()
        began = time.monotonic()
        other = group.await_leader(survivors)
        fresh = group.get("/services/register", other)
        body = {**fresh["Spec"], "Labels": {"round": str(number)}}
        path = f"/services/register/update?version={fresh['Version']['Index']}"
        assert group.ask(other, "POST", path, body).status == 200
        time.sleep(max(0.0, 10 - (time.monotonic() - began)))
    finally:
        leader.exec(["kill", "-CONT", pid])
    for thread in waiting:
        thread.join()
    group.await_whole()
    held = group.get("/services/register", leader)["Spec"]["Labels"]
    assert held == {"round": str(number)}, "what a survivor acknowledged"
    assert tried[0].status != 200, "its version was overtaken"
    wrong = [one for one in told if one.status == 200 and label_of(one) != str(number)]
    assert not wrong, "a read that promises fresh data was answered from the past"
    past = [one for one in plain if one.status == 200 and one.json["Spec"]["Labels"].get("round") != str(number)]
    assert all(one.stale for one in past), "a read from memory that is behind says so"
    return {"told": len(told), "past_and_marked": len(past)}


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
def test_a_leader_that_slept_answers_nothing_from_the_past(
    group: Group, record_property: pytest.Function, rounds: int
) -> None:
    assert group.write(group.await_leader(), "register").status == 201
    found = [stop_round(group, number) for number in range(rounds)]
    group.agree()
    record_property("stopped_leader_rounds", rounds)
    record_property("stopped_leader_wrong_reads", 0)
    record_property("stopped_leader_marked_reads", sum(one["past_and_marked"] for one in found))


def test_a_majority_that_lost_the_leader_serves_writes_and_the_minority_says_that_it_cannot(
    group: Group, record_property: pytest.Function
) -> None:
    hosts = group.lab.hosts
    group.form([*group.managers, *hosts[4:6]], list(group.workers))
    try:
        _partition(group, record_property)
    finally:
        group.lab.heal()
        group.await_whole()
        for host in hosts[4:6]:
            group.retire(host)


def _partition(group: Group, record_property: Any) -> None:
    leader = group.await_whole()
    group.create("web", "web:v1", 3, "--constraint", "node.role == worker")
    others = [host for host in group.managers if host is not leader]
    minority, majority = [leader, others[0], *group.workers], others[1:]
    before = containers(group.workers[0])
    assert group.write(leader, "before").status == 201
    loads = group.load([*majority, *minority[:2]], "cut", 2)
    time.sleep(1)
    cut = time.time()
    group.lab.split(minority, majority)
    fresh = group.await_leader(majority)
    time.sleep(3)
    records: dict[Host, list[Attempt]] = {load.host: load.end() for load in loads}
    took = took_over((one for host in majority for one in records[host]), cut)
    report(record_property, "partition", [took], sum(one.acknowledged for one in records[fresh]))
    assert took < 3 * SLOW
    assert group.write(fresh, "by-the-majority").status == 201
    refusals = []
    for host in minority[:2]:
        answer = group.write(host, "by-the-minority")
        assert (answer.status, NO_LEADER in answer.text) == (503, True), answer
        refusals.append(answer.seconds)
        read = group.ask(host, "GET", "/services")
        assert read.status == 200 and read.stale
        names = {one["Spec"]["Name"] for one in read.json}
        assert "before" in names and "by-the-majority" not in names
        assert group.standing(host)["stale"]  # type: ignore[index]
    assert not group.ask(fresh, "GET", "/services").stale
    record_property("partition_refusal_s", f"{max(refusals):.2f}")
    assert containers(group.workers[0]) == before, "a worker that hears no leader keeps its tasks"
    group.lab.heal()
    group.await_whole()
    held = set(group.agree()["names"])
    assert {"before", "by-the-majority"} <= held
    assert "by-the-minority" not in held
    group.check_kept([one for record in records.values() for one in record], held)
    for host in minority[:2]:
        assert not group.ask(host, "GET", "/services").stale
    line = f"curl -sS --unix-socket {SOCKET} http://x/queenright/v1/status"
    assert not json.loads(leader.out(line))["stale"]
    group.sweep("cut")
