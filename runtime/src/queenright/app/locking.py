# SPDX-License-Identifier: Apache-2.0
"""Keeps the keys on this host as its swarm wants them: locked by the unlock key, or open. A manager's affair.

What was in clear on the disk is worth nothing once the lock is there: data keys are made anew, all that they sealed is
sealed anew, and the node gets another certificate for another key. The same is done when the unlock key changes, and
when the lock goes: a former unlock key and an old copy of the disk open nothing of today.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keystore import KeyStore
from queenright.edge.pki.locking import Lock
from queenright.edge.pki.sealing import RecordSealer
from queenright.lib.backoff import Backoff
from queenright.lib.tasks import Background
from queenright.manager.audit import record
from queenright.model.objects import Cluster
from queenright.model.unlock import parse_unlock_key
from queenright.store.store import Store, Subscription

log = logging.getLogger(__name__)

LEAST_WAIT = 0.5  # seconds before what did not work is tried again; longer each time

Reseal = Callable[[], Awaitable[None]]


class Sealed:
    """Files with a data key of their own, and what seals them anew."""

    def __init__(self, sealer: RecordSealer, reseal: Reseal) -> None:
        self.sealer = sealer
        self._reseal = reseal

    async def renew(self) -> None:
        """Seal all with the newest key, then forget the others. Raises what ``reseal`` raises, PkiError or OSError."""
        while self.sealer.rotating:
            newest = self.sealer.newest
            await self._reseal()
            if self.sealer.newest == newest:
                self.sealer.settle()


class Locking:
    """One per member. ``acted`` gives and takes the version of the swarm that was acted upon last: older news, which a
    log replays after a restart, change nothing. ``renew`` asks for another certificate soon.
    """

    def __init__(
        self,
        lock: Lock,
        keys: KeyStore,
        tasks: Sealed,
        acted: Callable[[], int],
        act: Callable[[int], None],
        renew: Callable[[], None],
        dice: Callable[[], float],
        on_failure: Callable[[str, BaseException], None],
    ) -> None:
        self._lock = lock
        self._keys = keys
        self._tasks = tasks
        self._acted = acted
        self._act = act
        self._renew = renew
        self._backoff = Backoff(lambda: 0.5 + dice() / 2, first=LEAST_WAIT, most=60.0)
        self._background = Background(on_failure)
        self._renewing: asyncio.Task[None] | None = None
        self.problem = ""

    def start(self, store: Store, manager: Sealed) -> None:
        """Do what is to be done now, and go on with that until :meth:`stop`; ``manager`` is the log of this manager."""
        wait = self._look(store.cluster, manager)
        self._background.start(self._follow(store, manager, wait), "locking")

    async def stop(self) -> None:
        await self._background.stop()
        self._renewing, self.problem = None, ""

    def open_up(self) -> None:
        """This node is a manager no more: what a worker needs is in clear. The log stays closed until it is destroyed,
        and the lock with it. Raises PkiError or OSError."""
        if self._lock.is_there:  # or it was opened, and not all that it closes yet
            self._lock.release()
            self._tasks.sealer.conform()
            self._keys.conform()

    def discard(self) -> None:
        """Destroy the lock, once nothing is left that it closes. Raises OSError."""
        self._lock.discard()

    async def _follow(self, store: Store, manager: Sealed, wait: float | None) -> None:
        with store.watch() as commits:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await _swarm_moved(commits)
                wait = self._look(store.cluster, manager)

    def _look(self, cluster: Cluster | None, manager: Sealed) -> float | None:
        """Agree with the swarm. Gives the seconds after which to try again, if that did not work."""
        try:
            if cluster is not None and cluster.version >= self._acted():
                self._agree(cluster, manager)
            self._finish(manager)
        except (PkiError, OSError) as error:
            if str(error) != self.problem:
                log.error("the keys on this host are not locked as the swarm wants it: %s", error)
            self.problem = f"the keys on this host are not locked as the swarm wants it: {error}"
            return self._backoff.next()
        self.problem = ""
        self._backoff.reset()
        return None

    def _agree(self, cluster: Cluster, manager: Sealed) -> None:
        sealers = (manager.sealer, self._tasks.sealer)
        if not cluster.unlock_key:
            if self._lock.is_there:
                self._act(cluster.version)
                self._lock.release()
                for sealer in sealers:
                    sealer.turn()
                if self._keys.conform():
                    self._renew()
                self._lock.discard()
                record("lock", step="off")
                log.info("the keys on this host are in clear now")
            return
        key = parse_unlock_key(cluster.unlock_key)
        turned = not self._lock.is_opened_by(key)
        if turned:
            self._act(cluster.version)
            self._lock.engage(key)
        for sealer in sealers:
            sealer.turn()
        if self._keys.conform():
            self._renew()
        self._lock.settle()
        if turned:
            record("lock", step="on")
            log.info("the keys on this host are locked by the unlock key of the swarm")

    def _finish(self, manager: Sealed) -> None:
        """Have former data keys go, beside everything else."""
        busy = self._renewing is not None and not self._renewing.done()
        if not busy and (manager.sealer.rotating or self._tasks.sealer.rotating):
            self._renewing = self._background.start(self._renew_all(manager), "sealing")

    async def _renew_all(self, manager: Sealed) -> None:
        backoff = Backoff(lambda: 1.0, first=LEAST_WAIT, most=60.0)
        while True:
            try:
                await self._tasks.renew()
                await manager.renew()
            except (PkiError, OSError) as error:
                log.warning("what is kept on this host cannot be sealed anew yet: %s", error)
                await asyncio.sleep(backoff.next())
            else:
                log.info("all that is kept on this host is sealed with new keys")
                return


async def _swarm_moved(commits: Subscription) -> None:
    while True:
        commit = await commits.next()
        if commit.reset or any(isinstance(event.object, Cluster) for event in commit.events):
            return
