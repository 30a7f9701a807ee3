# SPDX-License-Identifier: Apache-2.0
"""Which nodes are alive, and what becomes of the tasks of those that are not.

Liveness counts on the monotonic clock by what the dispatcher knows (:class:`Beat`). A node that missed its heartbeats
is DOWN; one that said it restarts is DISCONNECTED (it gets no new tasks and keeps its own) until its grace is over;
one that has not reported since this manager began to lead is UNKNOWN for twice the usual time. Tasks of a node that
has been down for a day are given up (ORPHANED).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from queenright.decide import defaults, tasks
from queenright.decide.base import SECOND, Decision, Dirty, Now, earliest
from queenright.model.changes import Change, Delete, Update
from queenright.model.objects import Node, NodeStatus, Task
from queenright.model.states import NodeState, TaskState
from queenright.store.store import Store

GRACE_BEATS = 3
UNKNOWN_BEATS = 6
ORPHAN_AFTER = 24 * 3600 * SECOND
FAILURE = "heartbeat failure"
RESTARTING = "node is restarting"
NEW_LEADER = "node has not reported since the leader of the swarm changed"
NODE_REMOVED = "Task belonged to a node that has been deleted"
NODE_LOST = "Task orphaned: its node has been down for 24 hours"


@dataclasses.dataclass(frozen=True, slots=True)
class Beat:
    """What the dispatcher knows of a node with an open session; times in monotonic seconds.

    After ``deadline`` the node is down. ``restarting_until`` is set from the moment the node says that it goes away for
    a moment.
    """

    deadline: float
    restarting_until: float | None = None


def decide(view: Store, beats: Mapping[str, Beat], dirty: Dirty, now: Now, since: float = 0.0) -> Decision:
    """Compare what is stored of each node with its heartbeats. ``since``: when this manager began to lead."""
    changes: list[Change] = []
    wakes: list[float | None] = []
    for node in view.nodes:
        if node.status.state == NodeState.DOWN:
            given_up, wake = _orphan(view, node, now)
            changes.extend(given_up)
        else:
            status, wake = _judge(view, node, beats.get(node.id), now, since)
            if status is not None:
                changes.append(Update(dataclasses.replace(node, status=status)))
        wakes.append(wake)
    return Decision(tuple(changes), earliest(wakes))


def decider(
    beats: Callable[[], Mapping[str, Beat]], since: float | Callable[[], float]
) -> Callable[[Store, Dirty, Now, Callable[[], str]], Decision]:
    """The decider for the loop: heartbeats are looked up at each question, and then since when nodes are waited for."""

    def ask(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
        held = beats()
        return decide(view, held, dirty, now, since() if callable(since) else since)

    return ask


def remove_node(view: Store, node: Node, at: int) -> list[Change]:
    """The changes that remove a node: its tasks are given up, then it goes. ``at``: wall nanoseconds."""
    now = Now(wall=at, mono=0.0)
    return [*_give_up(view, node, now, NODE_REMOVED), Delete("node", node.id, node.version)]


def _judge(
    view: Store, node: Node, beat: Beat | None, now: Now, since: float
) -> tuple[NodeStatus | None, float | None]:
    """The node's new status (None: as it is) and when to look again."""
    state = node.status.state
    if beat is None:
        written = now.mono - max(0, now.wall - node.updated_at) / SECOND
        deadline = max(since, written) + UNKNOWN_BEATS * defaults.heartbeat_period(view.cluster) / SECOND
        if now.mono < deadline:
            stale = state != NodeState.UNKNOWN and written < since
            return (_status(node, NodeState.UNKNOWN, NEW_LEADER) if stale else None), deadline
    else:
        deadline = max(beat.deadline, beat.restarting_until or 0.0)
        if now.mono < deadline:
            # A session may have been opened while UNKNOWN was on its way into the log: who is heard is not unknown.
            leaves = beat.restarting_until is not None
            heard, message = (NodeState.DISCONNECTED, RESTARTING) if leaves else (NodeState.READY, "")
            return (_status(node, heard, message) if state != heard else None), deadline
    return _status(node, NodeState.DOWN, FAILURE), None


def _status(node: Node, state: NodeState, message: str) -> NodeStatus:
    return dataclasses.replace(node.status, state=state, message=message)


def _orphan(view: Store, node: Node, now: Now) -> tuple[list[Change], float | None]:
    """Give up the tasks of a node that has been down for a day, as its last write says."""
    at = node.updated_at + ORPHAN_AFTER
    if now.wall >= at:
        return _give_up(view, node, now, NODE_LOST), None
    return [], now.wake_at(at)


def _give_up(view: Store, node: Node, now: Now, err: str) -> list[Change]:
    held: Iterable[Task] = view.tasks.by("node", node.id)
    return [
        Update(
            dataclasses.replace(
                task, status=tasks.ended(task.status, TaskState.ORPHANED, now, task.status.message, err)
            )
        )
        for task in held
        if not task.state.terminal
    ]
