# SPDX-License-Identifier: Apache-2.0
"""Generated scenes: lists of plain steps that a world goes through. A step that makes no sense is passed over."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from laws.builders import SECOND, job, network, node, spec
from laws.stacks import deploy, of_spec
from laws.world import Behaviour, World
from queenright.decide.stack_parts import FORCE_UPDATE
from queenright.manager.check_ports import check_ports
from queenright.model.changes import Create
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Task
from queenright.model.states import NodeState, TaskState
from queenright.spec.service import ServiceSpec

Step = tuple[Any, ...]
NODES = ("h1", "h2", "h3", "h4")
SERVICES = ("web", "db", "agent", "job", "sweep")
JOBS = ("job", "sweep")
STACK_KEYS = ("a", "b", "c")

# What the containers of each image do.
IMAGES = {
    "good:1": Behaviour(),
    "good:2": Behaviour(stops=2.0),
    "slow:1": Behaviour(starts=3.0, stops=1.0),
    "crash:1": Behaviour(lives=2.0),
    "late:1": Behaviour(lives=17.0),
    "once:1": Behaviour(lives=3.0, code=0),
    "missing:1": Behaviour(pull="No such image: missing:1"),
}

restart_policies = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "Condition": st.sampled_from(["any", "on-failure", "none"]),
            "Delay": st.sampled_from([0, 2 * SECOND, 5 * SECOND]),
            "MaxAttempts": st.sampled_from([0, 1, 2]),
            "Window": st.sampled_from([0, 30 * SECOND]),
        }
    ),
)
rollouts = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "Parallelism": st.sampled_from([0, 1, 2]),
            "Delay": st.sampled_from([0, 3 * SECOND, 8 * SECOND]),
            "Monitor": st.sampled_from([0, 4 * SECOND]),
            "MaxFailureRatio": st.sampled_from([0, 0.5]),
            "Order": st.sampled_from(["stop-first", "start-first"]),
            "Gate": st.sampled_from(["running", "monitor"]),
            "Timeout": st.sampled_from([0, 7 * SECOND, 900 * SECOND]),
        }
    ),
)
placements = st.sampled_from(
    [
        {},
        {"Constraints": ["node.labels.zone == a"]},
        {"Constraints": ["node.hostname != h1"]},
        {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]},
        {"MaxReplicas": 1},
    ]
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 5),
        "at_once": st.integers(1, 3),
        "image": st.sampled_from(sorted(IMAGES)),
        "restart": restart_policies,
        "update": rollouts,
        "action": st.sampled_from(["pause", "continue", "rollback"]),
        "placement": placements,
        "ports": st.sampled_from([[], [], [8080]]),
        "cpus": st.sampled_from([0, 0, 1]),
        "networks": st.sampled_from([[], ["tiny"], ["wide"], ["wide", "tiny"]]),
        "publish": st.sampled_from([[], [(0, 80)], [(0, 80), (0, 81)], [(30000, 80)]]),
        "dnsrr": st.booleans(),
    },
)
# Without a delay an image that is missing is tried again and again in one and the same moment.
patient_policies = restart_policies.filter(lambda policy: policy is None or bool(policy["Delay"]))
stack_parts = st.fixed_dictionaries(
    {"image": st.sampled_from(["good:1", "good:2", "slow:1", "crash:1", "late:1", "missing:1"])},
    optional={
        "replicas": st.integers(0, 2),
        "condition": st.sampled_from(["started", "healthy"]),
        "update": rollouts,
        "action": st.sampled_from(["pause", "continue", "rollback"]),
        "restart": patient_policies,
        "networks": st.sampled_from([["tiny"], ["wide"]]),
    },
)
stacks = st.tuples(
    st.just("stack"),
    st.fixed_dictionaries(
        {"on_failure": st.sampled_from(["rollback", "rollback", "pause"]), "timeout": st.sampled_from([0, 20, 900])},
        optional=dict.fromkeys(STACK_KEYS, stack_parts) | {"job": st.sampled_from(["once:1", "crash:1"])},
    ),
)
names = st.sampled_from(SERVICES)
shop_names = st.sampled_from([f"shop_{key}" for key in STACK_KEYS])
members = st.sampled_from(NODES)
_FIRST_STACK: Step = (
    "stack",
    {"on_failure": "rollback", "timeout": 900, **{key: {"image": "good:1", "replicas": 1} for key in STACK_KEYS}},
)
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("put"), names, changes),
    st.tuples(st.just("put"), names, changes),
    st.tuples(st.just("image"), names, st.sampled_from(sorted(IMAGES))),
    st.tuples(st.just("image"), names, st.sampled_from(sorted(IMAGES))),
    stacks,
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("remove"), shop_names),
    st.tuples(st.just("rollback"), names),
    st.tuples(st.just("exit"), st.integers(0, 20), st.sampled_from([0, 1])),
    st.tuples(st.sampled_from(["silence", "breaks", "restarts", "lost"]), members),
    st.tuples(st.just("beat"), members),
    st.tuples(st.just("availability"), members, st.sampled_from(["active", "pause", "drain"])),
    st.tuples(st.just("label"), members, st.sampled_from(["a", "b"])),
    st.tuples(st.just("shrink"), members, st.sampled_from([1, 2])),
    st.tuples(st.just("forget"), members),
    st.tuples(st.just("leader")),
    st.tuples(st.just("behind"), st.sampled_from([0.5, 5])),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 2, 6, 20])),
    st.tuples(st.just("pass"), st.sampled_from([1, 4, 11])),
)
first_spec = st.fixed_dictionaries(
    {"replicas": st.integers(1, 5), "image": st.sampled_from(["good:1", "good:2", "once:1"])},
    optional={
        "restart": restart_policies,
        "update": rollouts,
        "ports": st.sampled_from([[], [8080]]),
        "networks": st.sampled_from([["tiny"], ["wide"], ["tiny", "wide"]]),
        "publish": st.sampled_from([[(0, 80)], [(30001, 80)]]),
    },
)
opening: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.just("put"), names, first_spec), min_size=1, max_size=2
).map(lambda puts: [*puts, ("pass", 1)])
disturbances: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([0.5, 2, 6])),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 2, 6, 20])),
    st.tuples(st.just("exit"), st.integers(0, 20), st.sampled_from([0, 1])),
    st.tuples(st.just("leader")),
    st.tuples(st.just("silence"), members),
    st.tuples(st.just("beat"), members),
    st.tuples(st.just("remove"), shop_names),
    st.tuples(st.just("image"), shop_names, st.sampled_from(sorted(IMAGES))),
)
revisions = st.builds(
    lambda stack, between, after: [stack, *between, ("pass", after)],
    stacks,
    st.lists(disturbances, max_size=3),
    st.sampled_from([6, 20, 40]),
)
rollout_scenes = st.lists(revisions, min_size=1, max_size=3).map(
    lambda groups: [_FIRST_STACK, ("pass", 30), *(step for group in groups for step in group)]
)
scenes = st.builds(list.__add__, opening, st.lists(steps, min_size=2, max_size=12))


def world() -> World:
    """Three nodes in two zones, and two networks, one of which is soon full."""
    made = World(
        node("h1", cpus=2, labels={"zone": "a"}),
        node("h2", cpus=2, labels={"zone": "b"}),
        node("h3", cpus=2),
    )
    made.behaviours.update(IMAGES)
    made.do(Create(network("tiny", "10.9.0.0/29")), Create(network("wide", "10.8.0.0/24", "fd00:8::/64", vni=4097)))
    return made


def play(made: World, scene: list[Step]) -> None:
    """Go through the steps; the world settles after each."""
    for step in scene:
        _STEPS[step[0]](made, *step[1:])
        made.settle()


def wanted_spec(name: str, change: dict[str, Any], held: ServiceSpec | None) -> ServiceSpec:
    """The service's specification with the change laid over; ``agent`` is global, ``job`` and ``sweep`` are jobs."""
    placement = change.get("placement", {})
    task: dict[str, Any] = {"Placement": placement}
    if change.get("restart"):
        task["RestartPolicy"] = change["restart"]
    if "force" in change:
        task["ForceUpdate"] = change["force"]
    if change.get("cpus"):
        task["Resources"] = {"Reservations": {"NanoCPUs": int(change["cpus"] * 1e9)}}
    publish = change.get("publish", [])
    api: dict[str, Any] = {"task": task, "ports": change.get("ports", []), "publish": publish}
    api.update(networks=change.get("networks", []), dnsrr=change.get("dnsrr", False) and not publish)
    if name in JOBS:
        total = change.get("replicas", 2) if name == "job" else None
        return job(name, total, change.get("at_once", 2), image=change.get("image", "once:1"), **api)
    if change.get("update") or change.get("action"):
        api["UpdateConfig"] = {**(change.get("update") or {}), "FailureAction": change.get("action", "pause")}
        api["RollbackConfig"] = change.get("update") or {}
    replicas = change.get("replicas", (held.mode.replicas if held is not None else None) or 2)
    return spec(name, None if name == "agent" else replicas, change.get("image", "good:1"), **api)


def _put(made: World, name: str, change: dict[str, Any]) -> None:
    held = made.store.services.get(name)
    wanted = wanted_spec(name, change, held.spec if held is not None else None)
    if _clashes(made, wanted, name):
        return
    if held is None:
        made.create(wanted)
    else:
        made.update(wanted)


def _clashes(made: World, wanted: ServiceSpec, name: str) -> bool:
    """Whether a port of it is another service's, so that it would be refused."""
    try:
        check_ports(made.store, wanted, name)
    except InvalidArgument:
        return True
    return False


def _image(made: World, name: str, image: str) -> None:
    """Only the image changes: an update by the service's own configuration."""
    held = next(iter(made.store.services.by("name", name)), None)
    if held is not None:
        container = dataclasses.replace(held.spec.task.container, image=image)
        made.change(name, task=dataclasses.replace(held.spec.task, container=container))


def _remove(made: World, name: str) -> None:
    if made.store.services.by("name", name):
        made.remove(name)


def _stack(made: World, wish: dict[str, Any]) -> None:
    """A stack of a chain of services, each of which needs the one before; and a job that the first may need."""
    parts, before = [], {}
    if "job" in wish:
        once = {"RestartPolicy": {"MaxAttempts": 1, "Delay": SECOND}}
        parts.append(of_spec("shop", "job", job("shop_job", 1, image=wish["job"], task=once)))
        before = {"job": "completed"}
    for key in STACK_KEYS:
        if key in wish:
            change = wish[key]
            made_spec = wanted_spec(f"shop_{key}", {"replicas": 1, **change}, None)
            parts.append(
                of_spec("shop", key, made_spec, after=before, said=(FORCE_UPDATE,) if "force" in change else ())
            )
            before = {key: change.get("condition", "healthy")}
    if parts:
        deploy(made, *parts, on_failure=wish["on_failure"], timeout=wish["timeout"] * SECOND)


def _rollback(made: World, name: str) -> None:
    held = made.store.services.get(name)
    if held is not None and held.previous_spec is not None and not _clashes(made, held.previous_spec, name):
        made.rollback(name)


def _exit(made: World, number: int, code: int) -> None:
    alive = [task for task in made.store.tasks if _alive(made, task)]
    if alive:
        made.end(alive[number % len(alive)], code)


def _alive(made: World, task: Task) -> bool:
    return task.state == TaskState.RUNNING and task.node_id not in made.dead and task.node_id in made.store.nodes


def _silence(made: World, name: str) -> None:
    if name in made.store.nodes:
        made.silence(name)


def _breaks(made: World, name: str) -> None:
    if name in made.store.nodes:
        made.breaks(name)


def _restarts(made: World, name: str) -> None:
    if name in made.store.nodes:
        made.restarts(name)


def _beat(made: World, name: str) -> None:
    if name in made.store.nodes:
        made.beat(name)
    else:
        made.do(Create(node(name, cpus=2, state=NodeState.UNKNOWN)))
        made.beat(name)


def _availability(made: World, name: str, wanted: str) -> None:
    if name in made.store.nodes:
        made.set_node(name, availability=wanted)


def _label(made: World, name: str, zone: str) -> None:
    if name in made.store.nodes:
        made.set_node(name, labels={"zone": zone})


def _behind(made: World, seconds: float) -> None:
    """A new leader whose clock is behind the last one's."""
    made.turn_back(seconds)
    made.change_leader()


def _shrink(made: World, name: str, cpus: int) -> None:
    held = made.store.nodes.get(name)
    if held is not None:
        made.describe(name, nano_cpus=cpus * 10**9)


def _forget(made: World, name: str) -> None:
    if name in made.store.nodes:
        made.remove_node(name)


_STEPS = {
    "put": _put,
    "stack": _stack,
    "image": _image,
    "remove": _remove,
    "rollback": _rollback,
    "exit": _exit,
    "silence": _silence,
    "breaks": _breaks,
    "restarts": _restarts,
    "lost": lambda made, name: made.change_leader(name),
    "beat": _beat,
    "availability": _availability,
    "label": _label,
    "shrink": _shrink,
    "forget": _forget,
    "leader": lambda made: made.change_leader(),
    "behind": _behind,
    "pass": lambda made, seconds: made.advance(seconds),
}


_WELL = {"image": "good:1", "replicas": 1, "force": 1000}


def heal(made: World) -> None:
    """All nodes of the scene are there, active and reporting, and every service is asked for something that works."""
    for name in ("h1", "h2", "h3"):
        _beat(made, name)
        made.set_node(name, availability="active", labels={"zone": "a"})
    if len(made.store.stacks):
        _stack(made, {"on_failure": "pause", "timeout": 0, **dict.fromkeys(STACK_KEYS, _WELL)})
    for service in list(made.store.services):
        if service.name.startswith("shop_"):
            continue
        image = "once:1" if service.name in JOBS else "good:1"
        made.update(dataclasses.replace(spec(service.name, 1, image), mode=service.spec.mode))
    made.advance(200)
