# SPDX-License-Identifier: Apache-2.0
"""A change of the root, from its first node to its end: what only the leader does."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging

from queenright.decide.base import Now
from queenright.decide.trust import Turning, expired_grace, turning
from queenright.manager import slices
from queenright.manager.audit import record
from queenright.manager.context import Context
from queenright.manager.ports import Proposer
from queenright.manager.signing import forgotten
from queenright.manager.swarm_spec import certificate_validity
from queenright.model.changes import Change, Update
from queenright.model.errors import OutcomeUnknown, OutOfSequence, Unavailable
from queenright.model.objects import Cluster, FormerRoot, Node
from queenright.model.tokens import SECRET_BYTES, make_join_token
from queenright.store.store import Subscription

log = logging.getLogger(__name__)

MOST_FORMER = 16
LOOK_EVERY = 1.0  # seconds between two looks while a change is under way
FORGET_EVERY = 600.0  # seconds between two looks for what means nothing any more
AGAIN = 0.5
SETTLE = 0.02  # seconds in which further news join a look


class Rooting:
    """Runs while this manager leads. ``proposer`` is fenced to its term."""

    def __init__(self, context: Context, proposer: Proposer) -> None:
        self._context = context
        self._proposer = proposer
        self._said: tuple[int, int] = (0, 0)

    async def run(self) -> None:
        """Until cancelled, or until this manager leads no more."""
        clock, swept = self._context.clock, float("-inf")
        with self._context.store.watch() as commits:
            while True:
                try:
                    await self._look()
                    if clock.mono() - swept >= FORGET_EVERY:
                        await self._forget()
                        swept = clock.mono()
                except OutOfSequence:  # a node or the swarm was written meanwhile
                    await asyncio.sleep(0)
                    continue
                except (Unavailable, OutcomeUnknown):
                    if not self._proposer.is_leader:
                        return
                    await asyncio.sleep(AGAIN)
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY if self._rotating() else FORGET_EVERY):
                        await _moved(commits)
                await asyncio.sleep(SETTLE)

    def _rotating(self) -> bool:
        cluster = self._context.store.cluster
        return cluster is not None and cluster.root_rotation is not None

    async def _look(self) -> None:
        store, clock = self._context.store, self._context.clock
        cluster = store.cluster
        if cluster is None or cluster.root_rotation is None:
            return
        state = turning(cluster, store.nodes, Now(clock.wall(), clock.mono()))
        assert state is not None
        self._say(state)
        if state.done:
            await self._proposer.propose(self._end(cluster, state))
            record("root", step="replaced", turned=len(state.turned), left=" ".join(state.left))
        elif state.ask:
            issuer = cluster.root_rotation.issuer_public_key
            asked = [Update(dataclasses.replace(store.node(key), renew_for=issuer)) for key in state.ask]
            await self._proposer.propose(asked)

    def _say(self, state: Turning) -> None:
        said = len(state.turned), state.total
        if said != self._said:
            self._said = said
            log.info("the root is being replaced", extra={"turned": said[0], "of": said[1], "left": len(state.left)})

    def _end(self, cluster: Cluster, state: Turning) -> list[Change]:
        """The root to be is the root; tokens that pin the old one are worthless. One entry."""
        rotation, now = cluster.root_rotation, self._context.clock.wall()
        assert rotation is not None
        remembered = certificate_validity(cluster.spec) + expired_grace(cluster)
        former = [one for one in cluster.former_roots if one.until > now]
        former.append(
            FormerRoot(certificate=cluster.root_certificate, cross_signed=rotation.cross_signed, until=now + remembered)
        )
        after = dataclasses.replace(
            cluster,
            root_certificate=rotation.certificate,
            root_key=rotation.key,
            intermediates=rotation.intermediates,
            root_rotation=None,
            former_roots=tuple(former[-MOST_FORMER:]),
            worker_token=self._token(rotation.certificate),
            manager_token=self._token(rotation.certificate),
        )
        return [Update(after)]

    def _token(self, root: str) -> str:
        return make_join_token(root.encode(), self._context.ids.bytes(SECRET_BYTES)).text

    async def _forget(self) -> None:
        store, now = self._context.store, self._context.clock.wall()
        if store.cluster is not None:
            gone = forgotten(store, store.cluster, now)
            if gone:
                await slices.write(self._proposer, gone)


async def _moved(commits: Subscription) -> None:
    """Return when the swarm or a node was written."""
    while True:
        commit = await commits.next()
        if commit.reset or any(isinstance(event.object, Cluster | Node) for event in commit.events):
            return
