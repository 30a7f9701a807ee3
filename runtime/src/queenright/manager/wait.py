# SPDX-License-Identifier: Apache-2.0
"""Waiting until something is as declared. Woken by commits; only the group of managers, which is no part of the store,
is looked at again and again while it matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

from queenright.decide.base import Now
from queenright.decide.convergence import CONVERGED, PROGRESSING, Convergence, convergence
from queenright.decide.narrate import waiting_for
from queenright.decide.roles import wish
from queenright.decide.stack_convergence import stack_convergence
from queenright.manager.context import Context
from queenright.manager.why import node_title
from queenright.model.errors import InvalidArgument, NotFound
from queenright.model.objects import Certificate, Cluster, Node, Object, Service, Task, Ticket
from queenright.model.states import NodeState
from queenright.spec.cluster import MANAGER, WORKER
from queenright.store.store import Commit, Subscription

ABSENT = "absent"
TIMEOUT = "timeout"
MOST_REASONS = 20
LOOK = 0.1  # seconds between two looks at the group of managers
PAUSE = (
    0.1  # seconds at least between two looks: one look costs what the service is large, and commits come in hundreds
)


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What is seen now; ``final``: it will not change without a new decision of somebody."""

    state: str
    running: int = 0
    desired: int = 0
    update: dict[str, str] | None = None
    reasons: tuple[str, ...] = ()
    polled: bool = False  # something that no commit tells of is waited for

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

    async def wait(
        self, kind: str, ref: str, *, timeout: float, drained: bool = False, down: bool = False
    ) -> dict[str, Any]:
        """Wait at most ``timeout`` seconds until the thing is converged, or cannot become so without a new decision
        (paused, rolled back, failed, absent). The last thing seen is the answer. A job is converged when it has
        completed. A node is converged when it is ready in the role that it shall have; with ``drained`` when it holds
        no tasks, with ``down`` when it is down.
        """
        if self._context.proposer.is_leader:
            await self._context.fresh()
        look, touches = self._subject(kind, ref, drained, down)
        with self._context.store.watch() as subscription:
            loop = asyncio.get_running_loop()
            seen = look()
            try:
                async with asyncio.timeout(timeout):
                    while not seen.final:
                        looked = loop.time()
                        await _news(subscription, touches, LOOK if seen.polled else None)
                        await asyncio.sleep(looked + PAUSE - loop.time())
                        subscription.drain()
                        seen = look()
            except TimeoutError:
                seen = look()
                if not seen.final:
                    seen = dataclasses.replace(seen, state=TIMEOUT)
        return seen.document()

    def _subject(
        self, kind: str, ref: str, drained: bool, down: bool
    ) -> tuple[Callable[[], Look], Callable[[Object], bool]]:
        if kind == "service":
            return self._service(ref)
        if kind == "node":
            return self._node(ref, drained, down)
        if kind == "stack":
            return self._stack(ref)
        if kind == "swarm":
            return self._swarm, lambda value: isinstance(value, Node)
        raise InvalidArgument(f"kind {kind!r} is none of service, stack, node, swarm", plain=True)

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
            return _look_of(convergence(store, service, now), waiting_for(store, service, now))

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

    # -- stacks

    def _stack(self, ref: str) -> tuple[Callable[[], Look], Callable[[Object], bool]]:
        """All services of a stack; one that is being removed is absent when all that it had is gone."""
        store = self._context.store
        try:
            key = store.stack(ref).id
        except NotFound:
            return (lambda: Look(ABSENT)), (lambda value: False)

        def look() -> Look:
            held = store.stacks.get(key)
            if held is None:
                return Look(ABSENT)
            now = Now(self._context.clock.wall(), self._context.clock.mono())
            return _look_of(stack_convergence(store, held, now), "")

        return look, lambda value: not isinstance(value, (Certificate, Cluster, Ticket))

    # -- nodes

    def _node(self, ref: str, drained: bool, down: bool) -> tuple[Callable[[], Look], Callable[[Object], bool]]:
        store = self._context.store
        try:
            key = store.node(ref).id
        except NotFound:
            return (lambda: Look(ABSENT)), (lambda value: False)

        def look() -> Look:
            node = store.nodes.get(key)
            if node is None:
                return Look(ABSENT)
            if down:
                return _fall_of(node)
            return self._drain_of(node) if drained else self._readiness((node,))

        def touches(value: Object) -> bool:
            return (isinstance(value, Task) and value.node_id == key) or (isinstance(value, Node) and value.id == key)

        return look, touches

    def _drain_of(self, node: Node) -> Look:
        held = [task for task in self._context.store.tasks.by("node", node.id) if task.holds_resources]
        reasons = tuple(f"task {task.name} is {task.state.text} on node {node_title(node)}" for task in held)
        return Look(PROGRESSING if held else CONVERGED, running=len(held), desired=0, reasons=reasons)

    # -- the swarm

    def _swarm(self) -> Look:
        return self._readiness(tuple(self._context.store.nodes))

    def _readiness(self, nodes: tuple[Node, ...]) -> Look:
        """Whether the nodes are ready, each in the role that it shall have."""
        missing = [(node, _unready(node) or self._role_of(node)) for node in nodes]
        reasons = tuple(
            f"node {node_title(node)} {what}" + (f" ({node.status.message})" if node.status.message else "")
            for node, what in missing
            if what
        )
        state = PROGRESSING if reasons else CONVERGED
        # A role is the group's matter: its changes are no commits of the store.
        polled = any(what and not _unready(node) for node, what in missing)
        return Look(state, running=len(nodes) - len(reasons), desired=len(nodes), reasons=reasons, polled=polled)

    def _role_of(self, node: Node) -> str:
        """What the node's role still lacks; nothing once it is what it shall be."""
        consensus, wished = self._context.consensus, wish(node)
        if node.role != wished:
            return f"is to become a {wished} and is a {node.role} yet"
        seat = next((m for m in consensus.members() if m.id == node.id), None) if consensus is not None else None
        if wished == MANAGER and consensus is not None and (seat is None or not seat.voter):
            return "is to become a manager and has no vote among the managers yet"
        if wished == WORKER and seat is not None:
            return "is to become a worker and still has its seat among the managers"
        return ""


def _unready(node: Node) -> str:
    return "" if node.status.state == NodeState.READY else f"is {node.status.state.value}"


def _fall_of(node: Node) -> Look:
    fallen = node.status.state == NodeState.DOWN
    reasons = () if fallen else (f"node {node_title(node)} is {node.status.state.value}",)
    return Look(CONVERGED if fallen else PROGRESSING, running=0 if fallen else 1, desired=0, reasons=reasons)


def _look_of(found: Convergence, waits: str) -> Look:
    message = f"{found.update_message}: {waits}" if waits else found.update_message
    return Look(
        state=found.state,
        running=found.running,
        desired=found.desired,
        update={"state": found.update_state, "message": message},
        reasons=found.reasons,
    )


async def _news(subscription: Subscription, touches: Callable[[Object], bool], patience: float | None) -> None:
    """Until a commit touches the subject, or for ``patience`` seconds; what came with it is taken too."""
    touched = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not touched:
                commits = (await subscription.next(), *subscription.drain())
                touched = any(_touched(commit, touches) for commit in commits)


def _touched(commit: Commit, touches: Callable[[Object], bool]) -> bool:
    values = (value for event in commit.events for value in (event.before, event.after) if value is not None)
    return commit.reset or any(touches(value) for value in values)
