# SPDX-License-Identifier: Apache-2.0
"""What only the leader does: begun anew with each leadership, ended with it.

Deciders, dispatcher and membership loop of one leadership write through a proposer that is fenced to its term, so that
what is still under way when the next one begins cannot get into the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from queenright.decide import nodes as liveness
from queenright.decide.orchestrate import DECIDERS, Decider
from queenright.lib.tasks import Background
from queenright.manager.context import Context
from queenright.manager.dispatch import Dispatcher
from queenright.manager.logs import LogBroker
from queenright.manager.members import Members
from queenright.manager.ports import Consensus
from queenright.manager.proposer import LogProposer
from queenright.manager.reconcile import Reconciler
from queenright.manager.turning import Rooting

log = logging.getLogger(__name__)

OVER = "this manager leads the swarm no more"
AGAIN = 0.2  # seconds until what ended although leadership goes on is begun again


class Leading:
    """``changed`` is told of every beginning and end of leadership; ``on_failure`` of what must never happen."""

    def __init__(
        self,
        context: Context,
        consensus: Consensus,
        proposer: LogProposer,
        dispatcher: Dispatcher,
        node_id: str,
        *,
        dice: Callable[[], float],
        on_failure: Callable[[str, BaseException], None],
        logs: LogBroker | None = None,
        deciders: Sequence[tuple[str, Decider]] = DECIDERS,
    ) -> None:
        self._context = context
        self._consensus = consensus
        self._proposer = proposer
        self._dispatcher = dispatcher
        dispatcher.on_failure = on_failure
        self._logs = logs
        self._node_id = node_id
        self._dice = dice
        self._deciders = deciders
        self._wanted: int | None = None  # the term to lead in
        self._term: int | None = None  # the one for which everything runs
        self._news = asyncio.Event()
        self._keeper = Background(on_failure)
        self._keeping = False
        self._broken = False  # a part ended although leadership goes on
        self._work = Background(on_failure)
        self._reconciler: Reconciler | None = None
        self._members: Members | None = None

    # -- what the log tells, on the loop

    def changed(self, leads: bool, term: int) -> None:
        """This manager leads in ``term`` from now on, or leads no more."""
        self._wanted = term if leads else None
        self._news.set()
        if not self._keeping:
            self._keeping = True
            self._keeper.start(self._keep(), "leading")

    def members_changed(self, *_: object) -> None:
        """The raft group has other members."""
        if self._members is not None:
            self._members.poke()

    def beat(self) -> None:
        """A heartbeat's deadline came into being, or was shortened."""
        if self._reconciler is not None:
            self._reconciler.poke()

    @property
    def term(self) -> int | None:
        """The term of the leadership whose parts run, if any do."""
        return self._term

    async def stop(self) -> None:
        """End it all; nothing begins any more."""
        self._wanted = None
        await self._keeper.stop()
        await self._end("the manager is stopping")

    # -- one after the other

    async def _keep(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._term != self._wanted or self._broken:
                self._broken = False
                await self._end(OVER)
                self._begin(self._wanted)

    def _begin(self, term: int | None) -> None:
        if term is None:
            return
        context, proposer = self._context, self._proposer.fenced(term)
        self._term = term
        self._dispatcher.start(proposer)
        if self._logs is not None:
            self._logs.start()
        live = liveness.decider(self._dispatcher.beats, lambda: self._dispatcher.since)
        # Liveness first: what becomes of a dead node's tasks is decided in the same round.
        deciders = [("nodes", live), *self._deciders]
        self._reconciler = Reconciler(context.store, proposer, context.clock, context.ids, deciders)
        self._members = Members(context, self._consensus, proposer, self._node_id, self._dice)
        self._work.start(self._run(self._reconciler.run, term), "reconcile")
        self._work.start(self._run(self._members.run, term), "members")
        self._work.start(self._run(Rooting(context, proposer).run, term), "rooting")
        log.info("this manager leads the swarm", extra={"term": term})

    async def _run(self, part: Callable[[], Awaitable[None]], term: int) -> None:
        """A part ends by itself when it finds that this manager leads no more; if that is not so, all begins anew."""
        await part()
        await asyncio.sleep(AGAIN)
        if self._term == term == self._wanted:
            self._broken = True
            self._news.set()

    async def _end(self, reason: str) -> None:
        if self._term is not None:
            log.info("%s", reason, extra={"term": self._term})
        self._term = self._reconciler = self._members = None
        if self._logs is not None:
            await self._logs.stop(reason)
        await self._dispatcher.stop(reason)
        await self._work.stop()
