# SPDX-License-Identifier: Apache-2.0
"""Where tasks go, and what is said when they cannot."""

from __future__ import annotations

from collections import Counter

import pytest
from laws.builders import GIB, counter, node, service, spec, task
from laws.world import Behaviour, World

from queenright.decide import schedule
from queenright.decide.base import Dirty, Now
from queenright.lib.records import changed
from queenright.model.changes import Batch, Create, Update
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import NodeState, TaskState
from queenright.store.store import Store

NOW = Now(wall=10**18, mono=0.0)


def per_node(tasks: list[Task]) -> dict[str, int]:
    return dict(Counter(task.node_id for task in tasks))


def error(world: World, name: str = "web") -> str:
    return next(task.status.err for task in world.tasks(name) if task.state == TaskState.PENDING)


def limits(cpus: float = 0, memory: int = 0) -> dict[str, object]:
    return {"Resources": {"Reservations": {"NanoCPUs": int(cpus * 1e9), "MemoryBytes": memory}}}


def test_tasks_are_spread_over_nodes() -> None:
    world = World(node("h1"), node("h2"), node("h3"))
    world.create(spec("web", 7))
    world.settle()
    assert per_node(world.tasks("web")) == {"h1": 3, "h2": 2, "h3": 2}


def test_a_second_service_goes_where_less_runs() -> None:
    world = World(node("h1"), node("h2"), node("h3"))
    world.create(spec("web", 2))
    world.settle()
    world.create(spec("db", 1))
    world.settle()
    assert per_node(world.tasks("db")) == {"h3": 1}


def test_an_assigned_task_says_who_assigned_it() -> None:
    world = World(node("h1"))
    world.silence("h1")
    world.create(spec("web", 1))
    world.settle()
    [placed] = world.tasks("web")
    assert (placed.state, placed.status.message) == (TaskState.ASSIGNED, "scheduler assigned task to node")


@pytest.mark.parametrize(
    ("members", "api", "said"),
    [
        ([], {}, "no suitable node"),
        ([node("h1", state=NodeState.DOWN)], {}, "no suitable node (1 node not available for new tasks)"),
        (
            [node("h1", availability="pause"), node("h2", availability="drain")],
            {},
            "no suitable node (2 nodes not available for new tasks)",
        ),
        ([node("h1"), node("h2")], limits(5), "no suitable node (insufficient resources on 2 nodes)"),
        ([node("h1")], limits(memory=9 * GIB), "no suitable node (insufficient resources on 1 node)"),
        (
            [node("h1"), node("h2")],
            {"Placement": {"Constraints": ["node.labels.zone == a"]}},
            "no suitable node (scheduling constraints not satisfied on 2 nodes)",
        ),
        (
            [node("h1")],
            {"Placement": {"Platforms": [{"Architecture": "arm64", "OS": "linux"}]}},
            "no suitable node (unsupported platform on 1 node)",
        ),
        (
            [node("h1", plugins=["Log/json-file"]), node("h2", plugins=["Log/journald"])],
            {"LogDriver": {"Name": "gelf"}},
            "no suitable node (missing plugin on 2 nodes)",
        ),
        (
            [node("h1"), node("h2", availability="pause"), node("h3", availability="drain")],
            {"Placement": {"Constraints": ["node.hostname == h9"]}},
            "no suitable node (2 nodes not available for new tasks; scheduling constraints not satisfied on 1 node)",
        ),
    ],
)
def test_a_task_that_fits_nowhere_says_why(members: list, api: dict, said: str) -> None:
    world = World(*members)
    held = service("web", 1, task=api)
    view = world.store
    view.apply(view.index + 1, Batch(1, (Create(held), Create(task(held, "t1")))))
    [change] = schedule.decide(view, Dirty(everything=True), world.now, counter()).changes
    assert change.object.status.err == said
    assert change.object.state == TaskState.PENDING


def test_host_ports_are_taken_once_per_node() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 3, ports=[8080]))
    world.settle()
    assert per_node([task for task in world.tasks("web") if task.node_id]) == {"h1": 1, "h2": 1}
    assert error(world) == "no suitable node (host-mode port already in use on 2 nodes)"


def test_a_freed_host_port_goes_to_the_task_that_waited_for_it() -> None:
    world = World(node("h1"))
    world.create(spec("web", 1, ports=[8080]))
    world.settle()
    world.create(spec("other", 1, ports=[8080]))
    world.settle()
    assert error(world, "other") == "no suitable node (host-mode port already in use on 1 node)"
    world.remove("web")
    world.settle()
    assert [task.state for task in world.tasks("other")] == [TaskState.RUNNING]
    assert world.tasks("other")[0].status.err == ""


def test_a_port_is_free_only_when_its_holder_has_stopped() -> None:
    world = World(node("h1"))
    world.behaviours["app:1"] = Behaviour(stops=5)
    world.create(spec("web", 1, ports=[8080]))
    world.settle()
    world.update(spec("web", 1, "app:2", ports=[8080]))
    world.advance(4)
    assert error(world) == "no suitable node (host-mode port already in use on 1 node)"
    world.advance(2)
    assert [task.spec.container.image for task in world.running("web")] == ["app:2"]


def test_reservations_never_exceed_a_node() -> None:
    world = World(node("h1", cpus=2), node("h2", cpus=1))
    world.create(spec("web", 4, task=limits(1)))
    world.settle()
    assert per_node(world.running("web")) == {"h1": 2, "h2": 1}
    assert error(world) == "no suitable node (insufficient resources on 2 nodes)"


def test_no_more_tasks_than_allowed_go_to_a_node() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 5, task={"Placement": {"MaxReplicas": 2}}))
    world.settle()
    assert per_node(world.running("web")) == {"h1": 2, "h2": 2}
    assert error(world) == "no suitable node (max replicas per node limit exceed)"


def test_a_node_that_becomes_ready_is_given_what_waited() -> None:
    world = World(node("h1", availability="drain"))
    world.create(spec("web", 2))
    world.settle()
    assert world.running("web") == []
    world.set_node("h1", availability="active")
    world.settle()
    assert len(world.running("web")) == 2


def test_a_label_put_on_a_node_is_enough_to_place_a_waiting_task() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 1, task={"Placement": {"Constraints": ["node.labels.disk == ssd"]}}))
    world.settle()
    world.set_node("h2", labels={"disk": "ssd"})
    world.settle()
    assert [task.node_id for task in world.running("web")] == ["h2"]


def spread(*labels: str) -> dict[str, object]:
    return {"Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": label}} for label in labels]}}


def racks(**sizes: int) -> list:
    return [node(f"{name}{i}", labels={"rack": name}) for name, size in sizes.items() for i in range(size)]


def test_tasks_are_spread_evenly_over_the_values_of_a_label() -> None:
    world = World(*racks(a=1, b=4))
    world.create(spec("web", 8, task=spread("node.labels.rack")))
    world.settle()
    assert Counter(task.node_id[0] for task in world.running("web")) == {"a": 4, "b": 4}


def test_a_full_branch_leaves_the_rest_to_the_others() -> None:
    world = World(node("a0", labels={"rack": "a"}, cpus=1), *racks(b=3))
    world.create(spec("web", 7, task=limits(1) | spread("node.labels.rack")))
    world.settle()
    assert Counter(task.node_id[0] for task in world.running("web")) == {"a": 1, "b": 6}


def test_levels_of_labels_are_filled_one_inside_the_other() -> None:
    members = [
        node("a1", labels={"zone": "a", "rack": "1"}),
        node("a2", labels={"zone": "a", "rack": "2"}),
        node("a3", labels={"zone": "a", "rack": "2"}),
        node("b1", labels={"zone": "b", "rack": "1"}),
    ]
    world = World(*members)
    world.create(spec("web", 8, task=spread("node.labels.zone", "node.labels.rack")))
    world.settle()
    assert per_node(world.running("web")) == {"a1": 2, "a2": 1, "a3": 1, "b1": 4}


def test_nodes_without_the_label_are_a_branch_of_their_own() -> None:
    world = World(node("h1", labels={"rack": "a"}), node("h2"), node("h3"))
    world.create(spec("web", 4, task=spread("node.labels.rack", "node.hostname")))
    world.settle()
    assert per_node(world.running("web")) == {"h1": 2, "h2": 1, "h3": 1}


def test_a_task_that_takes_anothers_place_does_not_count_it_so_that_services_stay_spread() -> None:
    world = World(node("h1"), node("h2"), node("h3"))
    world.behaviours["app:2"] = Behaviour(starts=1)
    config = {"UpdateConfig": {"Order": "start-first", "Monitor": 0}}
    world.create(spec("web", 3, **config))
    world.settle()
    world.update(spec("web", 3, "app:2", **config))
    world.advance(30)
    assert per_node(world.running("web")) == {"h1": 1, "h2": 1, "h3": 1}


def test_a_limit_per_node_holds_for_tasks_about_to_go_too() -> None:
    world = World(node("h1"), node("h2"))
    task = {"Placement": {"MaxReplicas": 1}}
    config = {"UpdateConfig": {"Order": "start-first"}, "task": task}
    world.create(spec("web", 2, **config))
    world.settle()
    world.update(spec("web", 2, "app:2", **config))
    world.advance(30)
    assert error(world) == "no suitable node (max replicas per node limit exceed)"
    assert per_node(world.running("web")) == {"h1": 1, "h2": 1}


def test_a_node_on_which_a_revision_keeps_failing_is_avoided() -> None:
    world = World(node("h1"), node("h2"))
    held = service("web", 1)
    failed = [task(held, f"f{i}", 1, node_id="h1", desired_state=TaskState.SHUTDOWN).id for i in range(5)]
    view = world.store
    status = TaskStatus(state=TaskState.FAILED, applied_at=world.wall)
    rows = [task(held, key, 1, node_id="h1", desired_state=TaskState.SHUTDOWN, status=status) for key in failed]
    busy = [task(held, f"b{i}", i + 2, node_id="h2", state=TaskState.RUNNING) for i in range(3)]
    changes = tuple(Create(row) for row in (held, *rows, *busy, task(held, "new")))
    assert view.apply(view.index + 1, Batch(1, changes)) is None
    [change] = schedule.decide(view, Dirty(everything=True), world.now, counter()).changes
    assert change.object.node_id == "h2"
    later = Now(world.wall + 301 * 10**9, world.mono)
    [change] = schedule.decide(view, Dirty(everything=True), later, counter()).changes
    assert change.object.node_id == "h1", "after five minutes it is forgotten"


def test_a_task_made_for_a_node_is_confirmed_or_told_why_not() -> None:
    world = World(node("h1"))
    world.silence("h1")
    world.create(spec("agent", None))
    world.settle()
    [placed] = world.tasks("agent")
    assert placed.status.message == "scheduler confirmed task can run on preassigned node"
    world.create(spec("big", None, task=limits(100)))
    world.settle()
    [refused] = world.tasks("big")
    assert (refused.state, refused.status.err) == (TaskState.PENDING, "insufficient resources on 1 node")


def test_an_unchanged_refusal_is_not_written_again() -> None:
    world = World(node("h1", availability="drain"))
    world.create(spec("web", 3))
    world.settle()
    assert schedule.decide(world.store, Dirty(everything=True), world.now, counter()).changes == ()


def test_progress_of_other_tasks_is_no_reason_to_try_again() -> None:
    world = World(node("h1"))
    held, other = service("web", 1, task=limits(100)), service("other", 1)
    view = world.store
    running = task(other, "r", 1, node_id="h1", state=TaskState.RUNNING)
    assert view.apply(view.index + 1, Batch(1, tuple(map(Create, (held, other, task(held, "t"), running))))) is None
    assert schedule.decide(view, Dirty(tasks={"r"}), world.now, counter()).changes == ()
    assert len(schedule.decide(view, Dirty(tasks={"t"}), world.now, counter()).changes) == 1


def test_explain_gives_every_filters_verdict_on_every_node() -> None:
    world = World(
        node("h1", labels={"zone": "a"}), node("h2", labels={"zone": "b"}), node("h3", cpus=0.5, availability="pause")
    )
    world.create(spec("web", 1, task=limits(1) | {"Placement": {"Constraints": ["node.labels.zone == c"]}}))
    world.settle()
    verdicts = dict(schedule.explain(world.store, world.tasks("web")[0], world.now))
    assert list(verdicts) == ["ready", "resources", "constraints"]
    assert verdicts["ready"] == {"h1": None, "h2": None, "h3": "availability is pause, not active"}
    assert verdicts["resources"]["h3"] == "1 CPUs are reserved, 0.5 are free"
    assert verdicts["constraints"]["h1"] == "constraint node.labels.zone == c is not met"


def test_explain_counts_what_the_task_itself_holds_as_free() -> None:
    world = World(node("h1", cpus=1), node("h2", cpus=0))
    world.create(spec("web", 1, ports=[80], task=limits(1) | {"Placement": {"MaxReplicas": 1}}))
    world.settle()
    verdicts = dict(schedule.explain(world.store, world.running("web")[0], world.now))
    assert [verdicts[name]["h1"] for name in ("ready", "resources", "host-port", "max-replicas")] == [None] * 4


def big(tasks: int, members: int) -> Store:
    view = Store()
    held = service("web", tasks)
    rows = [Create(node(f"n{i:03}")) for i in range(members)]
    rows += [Create(held), *(Create(task(held, f"t{i:05}", i + 1)) for i in range(tasks))]
    assert view.apply(1, Batch(1, tuple(rows))) is None
    return view


def test_many_tasks_are_placed_evenly_and_in_portions() -> None:
    view = big(2500, 50)
    sizes = []
    while True:
        decision = schedule.decide(view, Dirty(everything=True), NOW, counter())
        if not decision.changes:
            break
        sizes.append((len(decision.changes), decision.wake_at))
        assert view.apply(view.index + 1, Batch(1, decision.changes)) is None
    assert sizes == [(1000, NOW.mono), (1000, NOW.mono), (500, None)]
    assert set(per_node(list(view.tasks)).values()) == {50}


@pytest.mark.parametrize("earlier", ["", "no suitable node"])
def test_the_rest_has_its_turn_though_nothing_but_progress_was_touched(earlier: str) -> None:
    view = big(1200, 5)
    if earlier:
        refused = [
            changed(each, status=changed(each.status, state=TaskState.PENDING, err=earlier)) for each in view.tasks
        ]
        assert view.apply(2, Batch(1, tuple(map(Update, refused)))) is None
    first = schedule.decide(view, Dirty(nodes={"n000"}), NOW, counter())
    assert (len(first.changes), first.wake_at) == (1000, NOW.mono)
    assert view.apply(view.index + 1, Batch(1, first.changes)) is None
    placed = view.tasks.get(first.changes[0].object.id)
    assert placed is not None
    started = changed(placed, status=changed(placed.status, state=TaskState.RUNNING))
    assert view.apply(view.index + 1, Batch(1, (Update(started),))) is None
    rest = schedule.decide(view, Dirty(tasks={started.id}, due=True), NOW, counter())
    assert (len(rest.changes), rest.wake_at) == (200, None)


def test_what_fits_nowhere_is_refused_in_portions_too() -> None:
    view = big(2500, 0)
    sizes = []
    dirty = Dirty(everything=True)
    while True:
        decision = schedule.decide(view, dirty, NOW, counter())
        if not decision.changes:
            break
        sizes.append((len(decision.changes), decision.wake_at))
        assert view.apply(view.index + 1, Batch(1, decision.changes)) is None
        dirty = Dirty(due=True)
    assert sizes == [(1000, NOW.mono), (1000, NOW.mono), (500, None)]
    assert {each.status.err for each in view.tasks} == {"no suitable node"}


def test_a_portion_full_of_tasks_for_their_own_nodes_leaves_the_rest_for_the_next() -> None:
    view = Store()
    everywhere, web = service("agent", None), service("web", 10)
    nodes = [node(f"n{number:04}") for number in range(1100)]
    rows = [*nodes, everywhere, web, *(task(everywhere, f"a{each.id}", 0, node_id=each.id) for each in nodes)]
    rows += [task(web, f"t{slot}", slot) for slot in range(1, 11)]
    assert view.apply(1, Batch(1, tuple(map(Create, rows)))) is None
    first = schedule.decide(view, Dirty(everything=True), NOW, counter())
    assert (len(first.changes), first.wake_at) == (1000, NOW.mono)
    assert view.apply(2, Batch(1, first.changes)) is None
    rest = schedule.decide(view, Dirty(tasks={change.object.id for change in first.changes}), NOW, counter())
    assert (len(rest.changes), rest.wake_at) == (110, None)


def test_verdicts_on_nodes_are_forgotten_when_a_node_changes() -> None:
    world = World(node("h1", labels={"disk": "hdd"}))
    asked = {"Placement": {"Constraints": ["node.labels.disk == ssd"]}}
    world.create(spec("web", 1, task=asked))
    world.settle()
    assert not world.running("web")
    world.set_node("h1", labels={"disk": "ssd"})
    world.settle()
    assert len(world.running("web")) == 1
    world.remove_node("h1")
    world.create(spec("other", 1, task=asked))
    world.settle()
    assert error(world, "other") == "no suitable node"
