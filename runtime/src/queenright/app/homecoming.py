# SPDX-License-Identifier: Apache-2.0
"""The way home of this member, for when it holds no session because its certificate has ended or is of a former root.

Whoever is only cut off from the managers is not helped by another certificate, and asks for none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from queenright.app.certificates import Credentials, nanoseconds, utc
from queenright.edge.http import home_client
from queenright.edge.pki import peer, possession, succession
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import make_csr
from queenright.lib.backoff import Backoff
from queenright.manager.ports import Clock, Peer
from queenright.model.home import HomeGrant, HomeRequest
from queenright.model.identity import Identity
from queenright.model.join import JoinRefused

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds without a session after which the certificate is suspected
LOOK_EVERY = 2.0
PAUSE = 5.0, 300.0  # seconds between two tries, the shortest and the longest limit


class WayHome:
    """Runs beside the session. ``managers`` gives where they are (``host:port``), ``in_session`` whether one holds this
    node, ``certified`` is told of another certificate; ``dice`` gives numbers in [0, 1).
    """

    def __init__(
        self,
        credentials: Credentials,
        clock: Clock,
        dice: Callable[[], float],
        *,
        managers: Callable[[], Iterable[str]],
        in_session: Callable[[], bool],
        certified: Callable[[], Awaitable[None]],
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._managers = managers
        self._in_session = in_session
        self._certified = certified
        self._pause = Backoff(dice, first=PAUSE[0], most=PAUSE[1])
        self._said = ""

    async def run(self) -> None:
        """Until cancelled."""
        since: float | None = None  # when the session was missed first
        due = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = self._clock.mono()
            if self._in_session():
                since = None
                self._pause.reset()
                continue
            since = now if since is None else since
            if now - since < PATIENCE or now < due:
                continue
            if await self._try():
                since = None
            due = self._clock.mono() + self._pause.next()

    async def _try(self) -> bool:
        """Whether there is another certificate now."""
        for manager in list(self._managers()):
            try:
                if await self._needed(manager) and await self._come(manager):
                    return True
            except (home_client.HomeError, PkiError, OSError) as error:
                if str(error) != self._said:
                    self._said = str(error)
                    log.warning("this node does not come home: %s", error)
        return False

    async def _needed(self, manager: str) -> bool:
        """Whether another certificate would help: this one has ended, or the manager's root is not trusted here."""
        held = self._credentials
        if held.identity.not_after <= utc(self._clock.wall()):
            return True
        return not succession.leads(held.root_pem(), await home_client.root(manager), [])

    async def _come(self, manager: str) -> bool:
        held = self._credentials
        key = held.pending_key()
        csr = make_csr(key)
        grant = await home_client.come(manager, held.chain_pem(), csr, lambda challenge: held.prove(challenge, csr))
        self._check(grant, key)
        held.replace(key, grant.certificate_pem, grant.roots_pem)
        await self._certified()
        self._said = ""
        log.info("this node has come home with another certificate", extra={"manager": manager})
        return True

    def _check(self, grant: HomeGrant, key: bytes) -> None:
        """Raises PkiError unless the roots follow from those trusted, and the certificate is this node's."""
        held = self._credentials
        if not succession.leads(held.root_pem(), grant.roots_pem, list(grant.path)):
            raise PkiError("a manager names a root that none of those trusted here has signed: it is not taken")
        found = peer.verify(grant.roots_pem, grant.certificate_pem, utc(self._clock.wall()), key_pem=key)
        if (found.node_id, found.cluster_id) != (held.identity.node_id, held.identity.cluster_id):
            raise PkiError("the manager gave a certificate that is not for this node")


class HomePeers:
    """See ``manager.ports.HomeReader``."""

    def holder(self, request: HomeRequest, roots: Sequence[str]) -> Peer:
        try:
            identity = self._identity(request.chain_pem, roots)
            if not possession.is_proven(request.chain_pem, request.proof, request.challenge, request.csr_pem):
                raise JoinRefused("the proof was not made with the key of the certificate")
        except PkiError as error:
            raise JoinRefused(str(error)) from error
        dates = nanoseconds(identity.not_after), nanoseconds(identity.not_before)
        return Peer(identity.node_id, identity.cluster_id, identity.role, identity.serial, *dates)

    @staticmethod
    def _identity(chain_pem: bytes, roots: Sequence[str]) -> Identity:
        """Whose certificate it is, below any of the roots and at whatever time. Raises PkiError."""
        error = PkiError("the certificate was not issued by this swarm")
        for root in roots:
            try:
                return peer.verify(root.encode("ascii"), chain_pem, None)
            except PkiError as found:
                error = found
        raise error
