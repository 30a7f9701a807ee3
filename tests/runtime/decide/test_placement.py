# SPDX-License-Identifier: Apache-2.0
"""Pools give what a plain look at all nodes for each task would give, whatever the cluster is like."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from laws.builders import GIB, node, service, task

from queenright.decide import filters
from queenright.decide.placement import FAULTY_AFTER, Pools
from queenright.decide.plan import Plan
from queenright.model import constraints
from queenright.model.changes import Batch, Create
from queenright.model.objects import GenericResource, Node, Service, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.store.store import Store

NOW = 10**18
ZONES = ("a", "b", "c", "")
GPUS = ((), (("gpu", 2),), (("gpu", 0, "x"), ("gpu", 0, "y")))  # none, two, two that have names


def plainly(plan: Plan, sample: Task) -> Node | None:
    """The node for one task by the rules as they are written down, with a look at every node."""
    chosen = filters.request(sample).filters
    fit = [one for one in plan.view.nodes if filters.first_refusal(chosen, sample, one, plan.load(one.id)) is None]
    asked = filters.request(sample).of("node").filters
    able = [one for one in plan.view.nodes if filters.first_refusal(asked, sample, one, plan.load(one.id)) is None]
    placement = sample.spec.placement
    for preference in placement.preferences if placement is not None else ():
        key = preference.spread.descriptor or ""
        held: Counter[str] = Counter()
        for one in able:
            held[constraints.label_value(one, key) or ""] += plan.of_service(one.id, sample.service_id)
        values = {constraints.label_value(one, key) or "" for one in fit}
        if not values:
            return None
        best = min(values, key=lambda value: (held[value], value))
        fit, able = ([one for one in ones if (constraints.label_value(one, key) or "") == best] for ones in (fit, able))
    return min(fit, key=lambda one: rank(plan, sample, one), default=None)


def rank(plan: Plan, sample: Task, one: Node) -> tuple[int, int, int, str]:
    failures = plan.load(one.id).recent_failures(sample.service_id, sample.spec_version, NOW)
    of_service = plan.of_service(one.id, sample.service_id)
    return failures if failures >= FAULTY_AFTER else 0, of_service, plan.active(one.id), one.id


def some_task(dice: random.Random) -> dict[str, Any]:
    """What a service may ask for."""
    out: dict[str, Any] = {"Placement": {}}
    if dice.random() < 0.4:
        reserved = {"NanoCPUs": dice.choice((0, 10**9)), "MemoryBytes": dice.choice((0, GIB))}
        gpus = [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}] if dice.random() < 0.3 else []
        out["Resources"] = {"Reservations": {**reserved, "GenericResources": gpus}}
    if dice.random() < 0.3:
        out["Placement"]["Constraints"] = [f"node.labels.zone {dice.choice(('==', '!='))} {dice.choice('abc')}"]
    if dice.random() < 0.4:
        labels = dice.sample(("node.labels.zone", "node.labels.rack"), dice.choice((1, 2)))
        out["Placement"]["Preferences"] = [{"Spread": {"SpreadDescriptor": label}} for label in labels]
    if dice.random() < 0.2:
        out["Placement"]["MaxReplicas"] = dice.choice((1, 2))
    return out


def some_cluster(dice: random.Random) -> tuple[Store, list[Service]]:
    """Nodes, services, and tasks of theirs that run or have failed."""
    view = Store()
    nodes = []
    for number in range(dice.randint(1, 12)):
        labels = {"zone": dice.choice(ZONES), "rack": dice.choice("12")}
        gpus = tuple(GenericResource(*gpu) for gpu in dice.choice(GPUS))
        away = "pause" if dice.random() < 0.1 else "active"
        cpus = dice.choice((1, 2, 4))
        nodes.append(node(f"h{number:02}", labels=labels, availability=away, cpus=cpus, generic_resources=gpus))
    services = []
    for number in range(dice.randint(1, 5)):
        ports = [8000 + dice.randint(0, 1)] if dice.random() < 0.2 else []
        services.append(service(f"s{number}", 1, task=some_task(dice), ports=ports))
    tasks = []
    for number in range(dice.randint(0, 25)):
        state = dice.choice((TaskState.RUNNING, TaskState.RUNNING, TaskState.FAILED))
        gone = state == TaskState.FAILED
        status = TaskStatus(state=state, applied_at=NOW - 1)
        wish = TaskState.SHUTDOWN if gone else TaskState.RUNNING
        of, where = dice.choice(services if not gone else services[:1]), dice.choice(nodes if not gone else nodes[:3])
        tasks.append(task(of, f"o{number:02}", number + 1, node_id=where.id, status=status, desired_state=wish))
    rows = [*nodes, *services, *tasks]
    assert view.apply(1, Batch(NOW, tuple(map(Create, rows)))) is None
    return view, services


@pytest.mark.parametrize("seed", range(150))
def test_pools_place_as_one_would_who_looks_at_all_nodes_for_each_task(seed: int) -> None:
    dice = random.Random(seed)
    view, services = some_cluster(dice)
    pooled, plain = Plan(view), Plan(view)
    for task_number in range(3):  # the second and third time on what the first has left
        pools = Pools(pooled, NOW)
        for of in services:
            count = dice.randint(1, 8)
            sample = task(of, f"new{task_number}", 99)
            expected = []
            for _ in range(count):
                best = plainly(plain, sample)
                if best is None:
                    break
                expected.append((best.id, plain.take(sample, best)))
            assert [(given.node.id, given.generic) for given in pools.place(sample, count)] == expected, of.id


def test_services_that_ask_for_the_same_share_the_look_at_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    view = Store()
    asked = {"Placement": {"Constraints": ["node.labels.zone == a"]}}
    services = [service(f"s{number}", 1, task=asked) for number in range(20)]
    rows = [*(node(f"h{number:02}", labels={"zone": "a"}) for number in range(30)), *services]
    assert view.apply(1, Batch(NOW, tuple(map(Create, rows)))) is None
    looks: list[str] = []
    unmet = constraints.unmet
    monkeypatch.setattr(constraints, "unmet", lambda one, texts: looks.append(one.id) or unmet(one, texts))
    pools = Pools(Plan(view), NOW)
    for of in services:
        assert len(pools.place(task(of, "t"), 3)) == 3
    assert len(looks) == 30


def test_a_node_without_room_for_one_service_is_there_for_the_next_one_that_asks_for_less() -> None:
    view = Store()
    big = service("big", 1, task={"Resources": {"Reservations": {"NanoCPUs": 3 * 10**9}}})
    small = service("small", 1, task={"Resources": {"Reservations": {"NanoCPUs": 10**9}}})
    rows = [node("h1", cpus=4), big, small]
    assert view.apply(1, Batch(NOW, tuple(map(Create, rows)))) is None
    pools = Pools(Plan(view), NOW)
    assert len(pools.place(task(big, "b"), 5)) == 1
    assert len(pools.place(task(small, "s"), 5)) == 1
