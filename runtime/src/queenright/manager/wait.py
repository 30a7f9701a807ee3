# SPDX-License-Identifier: Apache-2.0
"""Waiting until something is as declared. Woken by commits alone: nothing is polled."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from queenright.decide.base import Now
from queenright.decide.convergence import CONVERGED, PROGRESSING, Convergence, convergence
from queenright.manager.context import Context
from queenright.manager.why import node_title
from queenright.model.errors import InvalidArgument, NotFound
from queenright.model.objects import Node, Object, Service, Task
from queenright.model.states import NodeState
from queenright.store.store import Commit, Subscription

ABSENT = "absent"
TIMEOUT = "timeout"
MOST_REASONS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What is seen now; ``final``: it will not change without a new decision of somebody."""

    state: str
    running: int = 0
    desired: int = 0
    update: dict[str, str] | None = None
    reasons: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        return self.state != PROGRESSING

    def document(self) -> dict[str, Any]:
        more = len(self.reasons) - MOST_REASONS
        reasons = [*self.reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])]
        return {
            "converged": self.state == CONVERGED,
            "state": self.state,
            "running": self.running,
            "desired": self.desired,
            "update": self.update or {"state": "", "message": ""},
            "reasons": reasons,
        }


class Waiter:
    """Answers ``GET /queenright/v1/wait``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def wait(self, kind: str, ref: str, *, timeout: float, drained: bool = False) -> dict[str, Any]:
        """Wait at most ``timeout`` seconds until the thing is converged, or cannot become so without a new decision
        (paused, rolled back, absent). The last thing seen is the answer.
        """
        look, touches = self._subject(kind, ref, drained)
        with self._context.store.watch() as subscription:
            seen = look()
            try:
                async with asyncio.timeout(timeout):
                    while not seen.final:
                        await _news(subscription, touches)
                        seen = look()
            except TimeoutError:
                seen = look()
                if not seen.final:
                    seen = dataclasses.replace(seen, state=TIMEOUT)
        return seen.document()

    def _subject(self, kind: str, ref: str, drained: bool) -> tuple[Callable[[], Look], Callable[[Object], bool]]:
        if kind == "service":
            return self._service(ref)
        if kind == "node":
            return self._node(ref, drained)
        if kind == "swarm":
            return self._swarm, lambda value: isinstance(value, Node)
        raise InvalidArgument(f"kind {kind!r} is none of service, node, swarm", plain=True)

    # -- services

    def _service(self, ref: str) -> tuple[Callable[[], Look], Callable[[Object], bool]]:
        store = self._context.store
        try:
            key = store.service(ref).id
        except NotFound:
            key = ref  # the id of one that was removed: its tasks may still be on their way out

        def look() -> Look:
            service = store.services.get(key)
            if service is None:
                return self._removal_of(key)
            now = Now(self._context.clock.wall(), self._context.clock.mono())
            return _look_of(convergence(store, service, now))

        def touches(value: Object) -> bool:
            if isinstance(value, Task):
                return value.service_id == key
            return isinstance(value, Node) or (isinstance(value, Service) and value.id == key)

        return look, touches

    def _removal_of(self, service_id: str) -> Look:
        """What is left of a removed service; a node that is down cannot say that its tasks are gone."""
        store = self._context.store
        held = [
            task
            for task in store.tasks.by("service", service_id)
            if (node := store.nodes.get(task.node_id)) is None or node.status.state != NodeState.DOWN
        ]
        reasons = tuple(f"task {task.name} is {task.state.text}" for task in held)
        return Look(PROGRESSING if held else ABSENT, running=len(held), desired=0, reasons=reasons)

    # -- nodes

    def _node(self, ref: str, drained: bool) -> tuple[Callable[[], Look], Callable[[Object], bool]]:
        store = self._context.store
        try:
            key = store.node(ref).id
        except NotFound:
            return (lambda: Look(ABSENT)), (lambda value: False)

        def look() -> Look:
            node = store.nodes.get(key)
            if node is None:
                return Look(ABSENT)
            return self._drain_of(node) if drained else _readiness((node,))

        def touches(value: Object) -> bool:
            return (isinstance(value, Task) and value.node_id == key) or (isinstance(value, Node) and value.id == key)

        return look, touches

    def _drain_of(self, node: Node) -> Look:
        held = [task for task in self._context.store.tasks.by("node", node.id) if task.holds_resources]
        reasons = tuple(f"task {task.name} is {task.state.text} on node {node_title(node)}" for task in held)
        return Look(PROGRESSING if held else CONVERGED, running=len(held), desired=0, reasons=reasons)

    # -- the swarm

    def _swarm(self) -> Look:
        return _readiness(tuple(self._context.store.nodes))


def _readiness(nodes: tuple[Node, ...]) -> Look:
    waiting = [node for node in nodes if node.status.state != NodeState.READY]
    reasons = tuple(
        f"node {node_title(node)} is {node.status.state.value}"
        + (f" ({node.status.message})" if node.status.message else "")
        for node in waiting
    )
    state = PROGRESSING if waiting else CONVERGED
    return Look(state, running=len(nodes) - len(waiting), desired=len(nodes), reasons=reasons)


def _look_of(found: Convergence) -> Look:
    return Look(
        state=found.state,
        running=found.running,
        desired=found.desired,
        update={"state": found.update_state, "message": found.update_message},
        reasons=found.reasons,
    )


async def _news(subscription: Subscription, touches: Callable[[Object], bool]) -> None:
    """Until a commit touches the subject; what came with it is taken too."""
    touched = False
    while not touched:
        commits = (await subscription.next(), *subscription.drain())
        touched = any(_touched(commit, touches) for commit in commits)


def _touched(commit: Commit, touches: Callable[[Object], bool]) -> bool:
    return any(touches(value) for event in commit.events for value in (event.before, event.after) if value is not None)
