# SPDX-License-Identifier: Apache-2.0
"""Plays a story: a text of commands, each followed by what the cluster did.

A line that begins with ``$`` is a command; the indented lines below it are what happened, each with the seconds since
the command. Everything else is prose. The clock is virtual and ids are counted, so a story is the same each time.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import Any

from laws.builders import SECOND, job, network, node, spec
from laws.stacks import deploy, of_spec
from laws.world import FOREVER, Behaviour, World
from stories import flags

from queenright.decide import schedule, subnets
from queenright.decide.convergence import convergence
from queenright.decide.narrate import waiting_for
from queenright.lib.clockface import of_day
from queenright.manager import chain
from queenright.model.changes import Create, Delete
from queenright.model.objects import Attachment, Network, Node, Service, Task
from queenright.model.stack import Stack
from queenright.model.states import TaskState
from queenright.spec.service import ServiceSpec
from queenright.store.store import Event

WORDS = {
    TaskState.RUNNING: "runs",
    TaskState.COMPLETE: "completed",
    TaskState.SHUTDOWN: "has stopped",
    TaskState.FAILED: "failed",
    TaskState.REJECTED: "was rejected",
    TaskState.ORPHANED: "is given up",
}
ORDERS = {
    TaskState.RUNNING: "is told to start",
    TaskState.COMPLETE: "is told to start",
    TaskState.SHUTDOWN: "is told to stop",
    TaskState.REMOVE: "is told to go",
}


def tell(text: str) -> str:
    """The story with what happens in it now."""
    teller = Teller()
    out: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            out.append(line)
            out.extend(f"    {told}" for told in teller.command(line[2:]))
        elif not line.startswith("    "):
            out.append(line)
    return "\n".join(out) + "\n"


def _said(words: Iterable[str]) -> tuple[str, ...]:
    return ("Mode.Replicated.Replicas",) if "--replicas" in words else ()


def _texts(attachments: Iterable[Attachment]) -> str:
    return " and ".join(", ".join(one.addresses) for one in attachments)


def _moved(before: tuple[Attachment, ...], after: tuple[Attachment, ...]) -> str:
    gained = [one for one in after if one not in before]
    lost = [one for one in before if one not in after]
    said = [f"has {_texts(gained)}"] * bool(gained) + [f"gives {_texts(lost)} back"] * bool(lost)
    return " and ".join(said)


def _endpoint(before: Service | None, after: Service | None) -> str:
    """How a service is reached from now on, if that changed."""
    if before is None or after is None or (before.vips, before.ports) == (after.vips, after.ports):
        return ""
    said = [_moved(before.vips, after.vips)] * (before.vips != after.vips)
    if before.ports != after.ports:
        numbers = ", ".join(f"{port.published_port or 'no port yet'}" for port in after.ports)
        said.append(f"publishes {numbers or 'nothing any more'}")
    return f"service {after.name} {' and '.join(said)}"


def _awaiting(before: Service | None, after: Service | None) -> str:
    """What a service waits for from now on, or that it waits no more."""
    held, earlier = (one.awaits if one is not None else () for one in (after, before))
    if after is None or held == earlier:
        return ""
    return f"service {after.name} waits for {' and '.join(held)}" if held else f"service {after.name} may go on"


def _stack_line(before: Stack | None, after: Stack | None) -> str:
    """Where the roll-out of a stack is."""
    if after is None or (before is not None and before.status == after.status):
        return ""
    status = after.status
    return f"stack {after.name}, revision {after.revision.number}, is {status.state}" + f": {status.message}".rstrip(
        ": "
    )


class Teller:
    """One story's world."""

    def __init__(self) -> None:
        self.world = World()
        self._flags: dict[str, dict[str, Any]] = {}

    def command(self, line: str) -> list[str]:
        """Carry a command out; gives the lines that tell what came of it."""
        name, *words = shlex.split(line)
        self.world.seen.clear()
        began = self.world.wall
        told = list(self._commands()[name](*words) or ())
        self.world.settle()
        return [*(line for at, event in self.world.seen if (line := self._line(event, at - began))), *told]

    def _commands(self) -> dict[str, Callable[..., Iterable[str] | None]]:
        return {
            "nodes": self._nodes,
            "network": self._network,
            "networks": self._networks,
            "addresses": self._addresses,
            "image": self._image,
            "create": self._create,
            "update": self._update,
            "scale": lambda name, count: self._update(name, "--replicas", count),
            "rollback": self.world.rollback,
            "remove": self.world.remove,
            "stack": self._stack,
            "advance": lambda time: self.world.advance(float(time.removesuffix("s"))),
            "exit": self._exit,
            "node": self._node,
            "machine": lambda name, *words: self.world.describe(name, **flags.machine(words)),
            "leader": self._leader,
            "status": self._status,
            "ps": self._ps,
            "why": self._why,
            "chain": self._chain,
            "wait": self._wait,
        }

    # -- what happened

    def _line(self, event: Event, after: int) -> str:
        thing = event.object
        text = ""
        if isinstance(thing, Task):
            text = self._task_line(event.before, event.after, thing)  # type: ignore[arg-type]
        elif isinstance(thing, Service):
            text = self._service_line(event.before, event.after)  # type: ignore[arg-type]
        elif isinstance(thing, Node):
            text = self._node_line(event.before, event.after)  # type: ignore[arg-type]
        elif isinstance(thing, Network):
            text = self._network_line(event.before, event.after)  # type: ignore[arg-type]
        elif isinstance(thing, Stack):
            text = _stack_line(event.before, event.after)  # type: ignore[arg-type]
        return f"{after / SECOND:5.1f}  {text}" if text else ""

    def _task_line(self, before: Task | None, after: Task | None, task: Task) -> str:
        name = f"{task.service_name}.{task.slot or task.node_id} {task.id}"
        if after is None:
            return f"{name} is forgotten"
        if before is None:
            waits = after.desired_state == TaskState.READY
            replaced = f", after {after.replaces}" if after.replaces else ""
            return f"{name} is made{replaced}" + (", not to start yet" if waits else "")
        said = []
        if after.desired_state != before.desired_state:
            said.append(ORDERS[after.desired_state])
        if after.state != before.state and after.state in WORDS:
            said.append(WORDS[after.state] + (f": {after.status.err}" if after.status.err else ""))
        elif before.state < TaskState.ASSIGNED <= after.state:
            given = [f"{one.kind} {one.name or one.value}" for one in after.assigned_generic]
            said.append(f"goes to {after.node_id}" + (f" with {', '.join(given)}" if given else ""))
        elif after.status.err != before.status.err and after.status.err:
            said.append(f"is {after.state.text}: {after.status.err}")
        if after.attachments != before.attachments:
            said.append(f"has {_texts(after.attachments)}")
        return f"{name} {' and '.join(said)}" if said else ""

    @staticmethod
    def _service_line(before: Service | None, after: Service | None) -> str:
        told = _endpoint(before, after) or _awaiting(before, after)
        if told:
            return told
        held = after.update_status if after is not None else None
        earlier = before.update_status if before is not None else None
        if after is None or held is None or held == earlier:
            return ""
        return f"service {after.name} is {held.state}: {held.message}"

    @staticmethod
    def _node_line(before: Node | None, after: Node | None) -> str:
        if before is None or after is None:
            return ""
        if before.attachments != after.attachments:
            return f"node {after.id} {_moved(before.attachments, after.attachments)}"
        if before.status.state == after.status.state:
            return ""
        because = f": {after.status.message}" if after.status.message else ""
        return f"node {after.id} is {after.status.state}{because}"

    @staticmethod
    def _network_line(before: Network | None, after: Network | None) -> str:
        if before is None and after is not None:
            return f"network {after.name} is made: {', '.join(one.subnet for one in after.subnets)}"
        if before is None or after is None:
            return f"network {before.name} is gone" if before is not None else ""
        if before.error == after.error:
            return ""
        return after.error or f"network {after.name} has free addresses again"

    # -- commands

    def _nodes(self, *names: str) -> None:
        """``nodes h1 h2:zone=a,ssd=yes h3``"""
        for word in names:
            name, _, labels = word.partition(":")
            self.world.do(Create(node(name, labels=dict(pair.split("=") for pair in labels.split(",") if pair))))
            self.world.beat(name)

    def _network(self, name: str, *words: str) -> None:
        """``network mynet 10.1.0.0/24 fd00:1::/64``: without a subnet, the next free one; ``network mynet remove``."""
        store = self.world.store
        if words == ("remove",):
            self.world.do(Delete("network", store.network(name).id))
            return
        if not words:
            found = subnets.choose(("10.0.0.0/8",), 24, subnets.held(store))
            assert not isinstance(found, str)
            words = (found[0].subnet,)
        self.world.do(Create(network(name, *words, vni=subnets.vni(store.networks))))

    def _networks(self) -> list[str]:
        self.world.settle()
        rows = []
        for each in self.world.store.networks:
            prefixes = " ".join(one.subnet for one in each.subnets)
            rows.append(f"{each.name} {each.vni} {prefixes}" + (f": {each.error}" if each.error else ""))
        return rows

    def _addresses(self, name: str) -> list[str]:
        """Who has which address in a network."""
        self.world.settle()
        store = self.world.store
        key = store.network(name).id
        alive = (task for task in store.tasks if not task.state.terminal)
        rows = [
            *((f"service {each.name}", each.vips) for each in store.services),
            *((f"node {each.id}", each.attachments) for each in store.nodes),
            *((f"{each.service_name}.{each.slot or each.node_id} {each.id}", each.attachments) for each in alive),
        ]
        return [f"{' '.join(one.addresses)} {who}" for who, held in rows for one in held if one.network_id == key]

    def _image(self, name: str, *words: str) -> None:
        """``image app:2 lives=2 code=1 starts=0 stops=0 pull=ERROR``"""
        given = dict(word.split("=", 1) for word in words)
        self.world.behaviours[name] = Behaviour(
            lives=float(given.get("lives", FOREVER)),
            code=int(given.get("code", 1)),
            starts=float(given.get("starts", 0)),
            stops=float(given.get("stops", 0)),
            pull=given.get("pull", ""),
        )

    def _create(self, name: str, *words: str) -> None:
        self._flags[name] = {}
        self.world.create(self._spec(name, words))

    def _update(self, name: str, *words: str) -> None:
        self.world.update(self._spec(name, words))

    def _spec(self, name: str, given: Iterable[str]) -> ServiceSpec:
        """Flags are remembered, as ``docker service update`` leaves alone what is not given."""
        words = iter(given)
        held = self._flags[name]
        for flag in words:
            held[flag] = True if flag in ("--global", "--global-job") else next(words)
        task = flags.task_template(held)
        api: dict[str, Any] = {"task": task, "ports": [int(held["--port"])] if "--port" in held else []}
        api.update(publish=flags.published(held.get("--publish", "")) if held.get("--publish") else [])
        api.update(dnsrr=held.get("--endpoint-mode") == "dnsrr")
        for flag, key in (("--update", "UpdateConfig"), ("--rollback", "RollbackConfig")):
            if flag in held:
                api[key] = flags.pairs(held[flag])
        if "--job" in held or "--global-job" in held:
            total = int(held["--job"]) if "--job" in held else None
            return job(name, total, int(held.get("--at-once", total or 1)), image=held.get("--image", "app:1"), **api)
        replicas = None if "--global" in held else int(held.get("--replicas", 1))
        return spec(name, replicas, held.get("--image", "app:1"), **api)

    def _stack(self, name: str, *words: str) -> None:
        """``stack shop "db db:1" "web web:1 --replicas 2 --after db" on_failure=pause``: keys with images and flags."""
        parts, fields = [], {}
        for word in words:
            key, *rest = shlex.split(word)
            if not rest:
                option, _, fields[option] = key.partition("=")
                continue
            after = rest.pop(rest.index("--after") + 1).split(",") if "--after" in rest else []
            held = [flag for flag in rest[1:] if flag != "--after"]
            self._flags[f"{name}_{key}"] = {}
            made = self._spec(f"{name}_{key}", ["--image", rest[0], *held])
            conditions = {one: condition or "healthy" for one, _, condition in (pair.partition(":") for pair in after)}
            parts.append(of_spec(name, key, made, after=conditions, said=_said(held)))
        deploy(self.world, *parts, name=name, **fields)

    def _exit(self, place: str, code: str = "1") -> None:
        """``exit web.2 137``: the container of the task that runs there ends."""
        name, _, slot = place.partition(".")
        [task] = [task for task in self.world.running(name) if slot in (str(task.slot), task.node_id)]
        self.world.end(task, int(code))

    def _node(self, name: str, what: str, *words: str) -> None:
        if what == "silent":
            self.world.silence(name)
        elif what == "breaks":
            self.world.breaks(name)
        elif what == "restarts":
            self.world.restarts(name)
        elif what == "back":
            self.world.beat(name)
        elif what == "remove":
            self.world.remove_node(name)
        elif what == "label":
            self.world.set_node(name, labels=dict(word.split("=") for word in words))
        else:
            self.world.set_node(name, availability=what)

    def _leader(self, *words: str) -> None:
        """Another manager takes over; the nodes find it at once, but those of ``leader without h2 h3``."""
        self.world.settle()
        self.world.change_leader(*words[1:])

    def _ps(self, name: str) -> list[str]:
        self.world.settle()
        rows = [
            (
                *(f"{task.slot or task.node_id}", task.id, task.spec.container.image or "", task.node_id or "-"),
                *(task.desired_state.text, task.state.text, task.status.err),
            )
            for task in self.world.tasks(name)
        ]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(7)]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

    def _why(self, place: str) -> list[str]:
        self.world.settle()
        name, _, slot = place.partition(".")
        task = [task for task in self.world.tasks(name) if slot in (str(task.slot), task.node_id)][-1]
        verdicts = [
            f"{one}: " + "; ".join(f"{key} {reason or 'fits'}" for key, reason in verdicts.items())
            for one, verdicts in schedule.explain(self.world.store, task, self.world.now)
        ]
        return [chain.line(self.world.store, task), *verdicts]

    def _chain(self, place: str) -> list[str]:
        """All that led to the newest task of a place, with times of day."""
        self.world.settle()
        name, _, slot = place.partition(".")
        task = [task for task in self.world.tasks(name) if slot in (str(task.slot), task.node_id)][-1]
        steps = chain.steps(self.world.store, task, self.world.now)
        return [f"{of_day(step.at)} {step.task_id} {step.text}" for step in steps]

    def _status(self, name: str) -> list[str]:
        """The message of the service's update, with what it waits for now."""
        self.world.settle()
        service = self.world.service(name)
        waits = waiting_for(self.world.store, service, self.world.now)
        if service.update_status is None:
            return ["there is no update"]
        return [f"{service.update_status.message}{f': {waits}' if waits else ''}"]

    def _wait(self, name: str) -> list[str]:
        self.world.settle()
        found = convergence(self.world.store, self.world.service(name), self.world.now)
        done = "completed" if self.world.service(name).job_iteration else "run"
        return [
            f"{found.state}: {found.running} of {found.desired} {done}",
            *(f"- {reason}" for reason in found.reasons),
        ]
