# SPDX-License-Identifier: Apache-2.0
"""Which nodes are alive, and what becomes of the tasks of those that are not.

Liveness counts on the monotonic clock by what is heard of each node (see :mod:`queenright.decide.liveness`). One that
is suspect or restarts is DISCONNECTED: it gets no new tasks and keeps its own. One of which nothing is heard any more
is DOWN. One that has not reported since this manager began to lead is UNKNOWN for as long as nodes need to find a
leader. Tasks of a node that has been down for a day are given up (ORPHANED). The status says since when, and since when
nothing was heard, so that the chain of causes can be told afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from queenright.decide import liveness, tasks
from queenright.decide.base import SECOND, Decision, Dirty, Now, earliest
from queenright.decide.liveness import Beat, Standing, Tuning
from queenright.model.changes import Change, Delete, Update
from queenright.model.objects import Node, NodeStatus, Task
from queenright.model.states import NodeState, TaskState
from queenright.store.store import Store

ORPHAN_AFTER = 24 * 3600 * SECOND
FAILURE = "heartbeat failure"
SILENT = "the node does not answer"
RESTARTING = "node is restarting"
NEW_LEADER = "node has not reported since the leader of the swarm changed"
NODE_REMOVED = "Task belonged to a node that has been deleted"
NODE_LOST = "Task orphaned: its node has been down for 24 hours"


def decide(view: Store, beats: Mapping[str, Beat], dirty: Dirty, now: Now, since: float = 0.0) -> Decision:
    """Compare what is stored of each node with what is heard of it. ``since``: when this manager began to lead."""
    tuning = liveness.tuning(view.cluster, len(view.nodes))
    changes: list[Change] = []
    wakes: list[float | None] = []
    for node in view.nodes:
        if node.status.state == NodeState.DOWN:
            given_up, wake = _orphan(view, node, now)
            changes.extend(given_up)
        else:
            beat = beats.get(node.id)
            status, wake = _unheard(node, tuning, now, since) if beat is None else _judge(node, beat, tuning, now)
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


def moved(held: NodeStatus, state: NodeState, message: str, at: int, silent_since: int = 0) -> NodeStatus:
    """The status of a node that has come into a state (or is still in it). ``at``: wall nanoseconds."""
    since = held.since if state == held.state and held.since else at
    return dataclasses.replace(held, state=state, message=message, since=since, silent_since=silent_since)


def remove_node(view: Store, node: Node, at: int) -> list[Change]:
    """The changes that remove a node: its tasks are given up, then it goes. ``at``: wall nanoseconds."""
    now = Now(wall=at, mono=0.0)
    return [*_give_up(view, node, now, NODE_REMOVED), Delete("node", node.id, node.version)]


def _judge(node: Node, beat: Beat, tuning: Tuning, now: Now) -> tuple[NodeStatus | None, float | None]:
    """The new status of a node that has spoken to this manager (None: as it is) and when to look again."""
    verdict = liveness.judge(beat, now.mono, tuning)
    state, message = _shown(verdict.standing, node.status, beat)
    if state == node.status.state:
        return None, verdict.wake_at
    heard = 0 if state == NodeState.READY else now.wall - round((now.mono - beat.heard) * SECOND)
    return moved(node.status, state, message, now.wall, heard), verdict.wake_at


def _shown(standing: Standing, held: NodeStatus, beat: Beat) -> tuple[NodeState, str]:
    """What a node's status says where it stands like this."""
    if standing == Standing.DOWN:
        return NodeState.DOWN, FAILURE
    if standing == Standing.RESTARTING:
        return NodeState.DISCONNECTED, RESTARTING
    if standing == Standing.SUSPECT and held.state == NodeState.READY:
        return NodeState.DISCONNECTED, SILENT
    if standing == Standing.ALIVE and beat.broken is None:
        # A session may have been opened while UNKNOWN was on its way into the log: who is heard is not unknown.
        return NodeState.READY, ""
    return held.state, held.message


def _unheard(node: Node, tuning: Tuning, now: Now, since: float) -> tuple[NodeStatus | None, float | None]:
    """The same for a node that has not spoken to this manager. One that has only just joined may take longer, and one
    that told an earlier leader that it restarts keeps its grace.
    """
    held = node.status
    ago = now.wall - (held.since or node.created_at)
    ahead = ago < 0  # the clock of another leader
    entered = since if ahead else now.mono - ago / SECOND
    joining = held.state == NodeState.UNKNOWN and held.message != NEW_LEADER
    restarting = held.state == NodeState.DISCONNECTED and held.message == RESTARTING
    deadline = max(since, entered) + (liveness.JOINING if joining else tuning.report)
    if restarting:
        deadline = max(since + tuning.report, entered + tuning.restart)
    if now.mono >= deadline:
        silent_since = held.silent_since or (0 if joining else held.since)
        return moved(held, NodeState.DOWN, FAILURE, now.wall, silent_since), None
    if held.state != NodeState.UNKNOWN and not restarting and (ahead or entered < since):
        return moved(held, NodeState.UNKNOWN, NEW_LEADER, now.wall, held.silent_since), deadline
    return None, deadline


def _orphan(view: Store, node: Node, now: Now) -> tuple[list[Change], float | None]:
    """Give up the tasks of a node that has been down for a day."""
    at = (node.status.since or node.updated_at) + ORPHAN_AFTER
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
