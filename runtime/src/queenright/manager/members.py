# SPDX-License-Identifier: Apache-2.0
"""The leader's loop that makes the raft group what the nodes' roles say: watch, decide, take one step, look again.

A step that fails is tried again, later each time; others are not held up by it. Why a node is not what it shall be
stands in the node's status message.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Callable, Mapping

from queenright.decide import roles
from queenright.decide.roles import Add, Group, Move, Plan, Remove, Step, Transfer
from queenright.lib.backoff import Backoff
from queenright.manager.audit import record
from queenright.manager.context import Context
from queenright.manager.ports import Consensus, Proposer
from queenright.model import features
from queenright.model.changes import Update
from queenright.model.errors import OutcomeUnknown, OutOfSequence, Refusal, Unavailable
from queenright.model.objects import Cluster, Node, Object
from queenright.model.states import NodeState
from queenright.spec.cluster import MANAGER
from queenright.store.store import Event, Subscription

log = logging.getLogger(__name__)

PREFIX = "manager role: "
"""Begins every message that this loop writes into a node's status."""
LOOK = 2.0  # seconds between two looks at who answers, while that matters
AGAIN_FIRST = 0.25
AGAIN_MOST = 15.0
# One that has a seat goes on catching up though nobody waits for it: soon others have their turn.
STEP_SECONDS: Mapping[type[Step], float] = {Add: 3.0, Move: 20.0, Remove: 20.0, Transfer: 20.0}
_SAYS: Mapping[type[Step], str] = {
    Add: "cannot become a manager yet: promotion needs a reachable manager port",
    Move: "cannot move to its new address yet",
    Remove: "cannot be removed from the managers yet",
    Transfer: "cannot be demoted yet: it leads the swarm, and leadership could not be handed over",
}
CATCHING_UP = "becomes a manager: it catches up with the others"
SILENT = "nothing answers there; open it to the other managers, or see why queenright does not run"


@dataclasses.dataclass(slots=True)
class _Try:
    """A step that failed: why, and when (monotonic seconds) it is tried again."""

    backoff: Backoff
    at: float = 0.0
    why: str = ""


class Members:
    """Runs during one leadership, with that leadership's proposer. ``dice`` gives numbers in [0, 1)."""

    def __init__(
        self,
        context: Context,
        consensus: Consensus,
        proposer: Proposer,
        node_id: str,
        dice: Callable[[], float],
    ) -> None:
        self._store = context.store
        self._clock = context.clock
        self._consensus = consensus
        self._proposer = proposer
        self._node_id = node_id
        self._dice = dice
        self._tries: dict[Step, _Try] = {}
        self._marked: set[str] | None = None  # nodes that may have a message of this loop
        self._poke = asyncio.Event()
        self.problems: Mapping[str, str] = {}

    def poke(self) -> None:
        """The group changed, or who answers: look again."""
        self._poke.set()

    async def run(self) -> None:
        """Until cancelled, or until this manager leads no more."""
        with self._store.watch() as subscription:
            following = asyncio.create_task(self._follow(subscription), name="members-follow")
            try:
                while self._proposer.is_leader:
                    self._poke.clear()
                    await self._sleep(await self._round())
            finally:
                following.cancel()

    async def _follow(self, subscription: Subscription) -> None:
        while True:
            commit = await subscription.next()
            if commit.reset or any(map(_concerns, commit.events)):
                self._poke.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await self._poke.wait()
        except TimeoutError:
            pass

    async def _round(self) -> float:
        """Do what can be done now; gives the seconds until it is worth looking again though nothing happens."""
        if self._store.cluster is None:
            return LOOK
        plan = roles.decide(self._store, self._group())
        self._tries = {step: held for step, held in self._tries.items() if step in plan.steps}
        try:
            await self._raise_level()
            await self._proposer.propose(plan.changes)
            step = self._due(plan)
            if step is not None:
                await self._take(step)
            await self._tell(plan)
        except OutOfSequence:
            return 0.0
        except (Unavailable, OutcomeUnknown) as error:
            log.info("the managers' roles cannot be written now: %s", error)
            return LOOK
        return 0.0 if plan.changes or step is not None else self._patience()

    def _group(self) -> Group:
        members = tuple(self._consensus.members())
        heard = frozenset(member.id for member in members if self._consensus.connected(member.id))
        return Group(self._node_id, members, heard)

    # -- steps

    def _due(self, plan: Plan) -> Step | None:
        now = self._clock.mono()
        return next((step for step in plan.steps if step not in self._tries or self._tries[step].at <= now), None)

    async def _take(self, step: Step) -> None:
        log.info("managers: %s", step)
        try:
            async with asyncio.timeout(STEP_SECONDS[type(step)]):
                await self._call(step)
        except TimeoutError:
            self._failed(step, self._not_done(step))
        except Exception as error:  # whatever it is, it is to be seen, and no reason to stop the rest
            known = isinstance(error, Refusal | OSError)
            self._failed(step, f"{_says(step)}: {str(error) or type(error).__name__}", None if known else error)
        else:
            record("group", step=type(step).__name__.lower(), node=step.node_id)
            held = self._tries.setdefault(step, self._new_try())
            held.at, held.why = self._clock.mono() + AGAIN_FIRST, ""  # the next plan is without it, or it was not done

    async def _call(self, step: Step) -> None:
        match step:
            case Add(node_id, addr):
                await self._consensus.add_member(node_id, addr)
            case Move(node_id, addr):
                await self._consensus.move_member(node_id, addr)
            case Remove(node_id):
                await self._consensus.remove_member(node_id)
            case Transfer():
                await self._consensus.transfer_leadership()

    def _not_done(self, step: Step) -> str:
        if not isinstance(step, Add):
            return f"{_says(step)}: it was not done within {STEP_SECONDS[type(step)]:.0f} s"
        return CATCHING_UP if self._consensus.connected(step.node_id) else f"{_says(step)}: {SILENT}"

    def _failed(self, step: Step, why: str, defect: BaseException | None = None) -> None:
        held = self._tries.setdefault(step, self._new_try())
        held.at = self._clock.mono() + AGAIN_FIRST + held.backoff.next()
        if why != held.why:
            level = logging.INFO if why == CATCHING_UP else logging.WARNING
            log.log(level, "node %s %s", step.node_id, why, exc_info=defect)
        held.why = why

    def _new_try(self) -> _Try:
        return _Try(Backoff(self._dice, first=AGAIN_FIRST, most=AGAIN_MOST))

    def _patience(self) -> float:
        now = self._clock.mono()
        times = [max(0.0, held.at - now) for held in self._tries.values()]
        if self.problems or self._level() < features.LEVEL:
            times.append(LOOK)
        return min(times, default=math.inf)

    # -- what people are told

    async def _tell(self, plan: Plan) -> None:
        """Write down what hinders whom, where that is news."""
        problems = {step.node_id: held.why for step, held in self._tries.items() if held.why}
        self.problems = {**self._behind(), **problems, **plan.problems}
        if self._marked is None:  # an earlier leader may have written some
            self._marked = {node.id for node in self._store.nodes if node.status.message.startswith(PREFIX)}
        for node_id in sorted(self._marked | self.problems.keys()):
            node = self._store.nodes.get(node_id)
            text = self.problems.get(node_id, "")
            message = f"{PREFIX}{text}" if text else ""
            if node is not None and node.status.message != message and _is_ours(node):
                status = dataclasses.replace(node.status, message=message)
                await self._proposer.propose([Update(dataclasses.replace(node, status=status))])
        self._marked = set(self.problems)

    def _behind(self) -> dict[str, str]:
        """Members that cannot read all that the swarm may write."""
        level, levels = self._level(), self._consensus.levels()
        return {
            member.id: f"runs an older queenright (feature level {shown}, the swarm's is {level}): upgrade it"
            for member in self._consensus.members()
            if 0 < (shown := levels.get(member.id, level)) < level
        }

    # -- the feature level

    def _level(self) -> int:
        return features.level_of(self._store.cluster)

    async def _raise_level(self) -> None:
        """The swarm's level follows the least of its managers', upwards only."""
        cluster = self._store.cluster
        members = [member.id for member in self._consensus.members()]
        common = features.common(self._consensus.levels(), members)
        if cluster is None or common is None or min(common, features.LEVEL) <= self._level():
            return
        level = min(common, features.LEVEL)
        log.info("the managers' feature level is %d now", level)
        await self._proposer.propose([Update(dataclasses.replace(cluster, feature_level=level))])


def _says(step: Step) -> str:
    return _SAYS[type(step)] + (f" {step.addr}" if isinstance(step, Add | Move) else "")


def _concerns(event: Event) -> bool:
    """Whether a change may be one for this loop: most are of workers that shall be nothing else."""
    if isinstance(event.object, Cluster):
        return True
    return isinstance(event.object, Node) and _standing(event.before) != _standing(event.after)


def _standing(node: Object | None) -> tuple[object, ...] | None:
    """What this loop goes by; None for a worker of whom nothing else is wished or said."""
    if not isinstance(node, Node):
        return None
    if MANAGER not in (node.role, roles.wish(node)) and not node.status.message.startswith(PREFIX):
        return None
    return node.role, roles.wish(node), node.manager_addr, node.status.state, node.status.message


def _is_ours(node: Node) -> bool:
    """Whether the message is this loop's to write: a ready node has no other, and no other is written over."""
    held = node.status
    return held.state == NodeState.READY or not held.message or held.message.startswith(PREFIX)
