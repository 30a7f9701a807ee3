# SPDX-License-Identifier: Apache-2.0
"""Calls that are under way, and their end once their caller has lost the right to them.

A call is judged when it begins; a stream lives for days. So each change of a node, of its certificate and each end of a
certificate has the node's calls judged again. Use cases that end a stream in their own words are given a moment to.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc

from queenright.edge.grpc.authorize import MANAGER, TABLE, Authorizer, DeniedError
from queenright.manager.ports import Peer
from queenright.model.objects import Node, Object
from queenright.store.store import Commit, Event

log = logging.getLogger(__name__)

SETTLE = 1.0  # seconds between a change and the cut
SWEEP = 15.0  # seconds between two looks at the dates of all callers
TELL = 2.0  # seconds for which the caller may take its time to hear why
MOST_OF_WORKER = 512  # calls of one node at a time
MOST_OF_MANAGER = 4096
MOST_BUCKETS = 16_384

Judge = Callable[[str, Peer], Awaitable[DeniedError | None]]
"""Why a caller may not go on with a method; None if it may, or if that cannot be told here."""


@dataclasses.dataclass(slots=True, eq=False)
class Call:
    """A call under way, and the task that serves it."""

    method: str
    peer: Peer
    context: Any
    task: asyncio.Task[Any] | None


class Live:
    """All calls under way on this manager's control port. ``seen`` is told of each caller let in."""

    def __init__(self, authorizer: Authorizer, judge: Judge, seen: Callable[[Peer], None] = lambda peer: None) -> None:
        self._authorizer = authorizer
        self._judge = judge
        self._seen = seen
        self._of_node: dict[str, dict[int, Call]] = {}
        self._levels: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._touched: set[str] = set()
        self._woken = asyncio.Event()

    @property
    def count(self) -> int:
        return sum(map(len, self._of_node.values()))

    def of(self, node_id: str) -> int:
        """How many calls of a node are under way."""
        return len(self._of_node.get(node_id, ()))

    def uses(self, node_id: str, serial: str) -> bool:
        """Whether a call is under way that came with that certificate."""
        return any(call.peer.serial == serial for call in self._of_node.get(node_id, {}).values())

    # -- coming and going

    def enter(self, method: str, peer: Peer, context: Any) -> None:
        """Note a call whose certificate is good, once. Raises DeniedError where a node calls too much."""
        calls = self._of_node.setdefault(peer.node_id, {})
        key = id(context)
        if key in calls:
            return
        try:
            self._limit(method, peer, len(calls))
        except DeniedError:
            if not calls:
                del self._of_node[peer.node_id]
            raise
        calls[key] = Call(method, peer, context, asyncio.current_task())
        context.add_done_callback(lambda _: self._left(peer.node_id, key))

    def admitted(self, peer: Peer) -> None:
        """The store let the caller in."""
        self._seen(peer)

    def _left(self, node_id: str, key: int) -> None:
        calls = self._of_node.get(node_id)
        if calls is not None:
            calls.pop(key, None)
            if not calls:
                del self._of_node[node_id]

    def _limit(self, method: str, peer: Peer, under_way: int) -> None:
        most = MOST_OF_MANAGER if peer.role == MANAGER else MOST_OF_WORKER
        if under_way >= most:
            raise _too_much(f"node {peer.node_id} has {under_way} calls under way, at most {most} are served")
        rate = TABLE[method].per_minute
        if rate and not self._take((peer.node_id, method), rate):
            name = method.rpartition("/")[2]
            raise _too_much(f"node {peer.node_id} calls {name} more than {rate} times a minute")

    def _take(self, key: tuple[str, str], rate: int) -> bool:
        """One from a bucket that holds a minute's worth, refilled evenly."""
        now = self._authorizer.clock.mono()
        level, since = self._levels.get(key, (float(rate), now))
        level = min(float(rate), level + max(0.0, now - since) * rate / 60.0)
        enough = level >= 1.0
        self._levels[key] = (level - 1.0 if enough else level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > MOST_BUCKETS:
            self._levels.popitem(last=False)
        return enough

    # -- judging anew

    async def run(self) -> None:
        """Until cancelled. A defect in judging is logged, and then all is judged again: nobody keeps a right by it."""
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow(), name="live-calls-follow")
                    group.create_task(self._look(), name="live-calls-look")
            except* Exception:
                log.exception("calls under way could not be judged; all of them are again")
            self._touched |= set(self._of_node)
            self._woken.set()
            await asyncio.sleep(SETTLE)

    async def _look(self) -> None:
        """Judge those who were touched, and now and then the dates of all."""
        while True:
            try:
                async with asyncio.timeout(SWEEP):
                    await self._woken.wait()
            except TimeoutError:
                await self._check(self._outdated())
                continue
            self._woken.clear()
            await asyncio.sleep(SETTLE)
            touched, self._touched = self._touched, set()
            await self._check(touched)

    async def _follow(self) -> None:
        with self._authorizer.store.watch() as commits:
            while True:
                self._note(await commits.next())

    def _note(self, commit: Commit) -> None:
        found = set(self._of_node) if commit.reset else {*filter(None, map(_concerned, commit.events))}
        found &= self._of_node.keys()
        if found:
            self._touched |= found
            self._woken.set()

    def _outdated(self) -> list[str]:
        """Nodes with a caller whose certificate is not valid any more."""
        return [node_id for node_id, calls in self._of_node.items() if any(map(self._too_old, calls.values()))]

    def _too_old(self, call: Call) -> bool:
        try:
            self._authorizer.require_dates(call.peer)
        except DeniedError:
            return True
        return False

    async def _check(self, node_ids: Iterable[str]) -> None:
        """Judge all calls of these nodes; end those that may not go on, all at once."""
        ends = []
        for node_id in node_ids:
            for call in list(self._of_node.get(node_id, {}).values()):
                denied = await self._judge(call.method, call.peer)
                if denied is not None:
                    ends.append(self._end(call, denied))
        await asyncio.gather(*ends)

    async def _end(self, call: Call, denied: DeniedError) -> None:
        log.warning(
            "ended %s of node %s: %s",
            call.method.rpartition("/")[2],
            call.peer.node_id,
            denied,
            extra={"serial": call.peer.serial},
        )
        try:
            async with asyncio.timeout(TELL):
                await call.context.abort(denied.code, str(denied), denied.metadata)
        except (grpc.aio.AbortError, grpc.aio.BaseError, TimeoutError):
            pass  # it was told, or it is gone, or takes nothing
        if call.task is not None:
            call.task.cancel()


def _concerned(event: Event) -> str:
    """The node whose calls an event may end."""
    before, after = event.before, event.after
    if isinstance(event.object, Node):
        return "" if before is not None and _standing(before) == _standing(after) else event.object.id
    if event.object.kind == "certificate":
        return str(getattr(event.object, "node_id", ""))
    return ""


def _standing(node: Object | None) -> tuple[str, str, str] | None:
    return (node.role, node.serial, node.previous_serial) if isinstance(node, Node) else None


def _too_much(why: str) -> DeniedError:
    return DeniedError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{why}; it may try again later", refusal="")
