# SPDX-License-Identifier: Apache-2.0
"""What this node is follows from what the swarm says: certificate, state file and manager half are made to agree.

The steps are ordered so that the host may die after any of them. On the way up: certificate, state file, log. On the
way down: state file, log, certificate. So the state file is the truth about what to start, the store (told by session
news) the truth about what to be, and the certificate is renewed until it says the same.

The certificate is renewed by time as well, and when the swarm changes its root: the roots that are trusted come with
the session's news, and a new one only if it was signed by one that is trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from queenright.agent.link import LinkError
from queenright.app import certificates
from queenright.app.addressing import CONTROL_PORT
from queenright.app.certificates import Credentials
from queenright.app.state import MemberState, StateError
from queenright.decide import renewal_time
from queenright.edge.pki import peer, succession
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import make_csr
from queenright.lib.addresses import parse
from queenright.lib.backoff import Backoff
from queenright.manager.ports import Clock
from queenright.model.errors import Refusal
from queenright.model.objects import Node
from queenright.spec.cluster import MANAGER, WORKER

log = logging.getLogger(__name__)

PASSING = (LinkError, OSError, PkiError, Refusal, StateError)  # worth another try

Renew = Callable[[bytes, str], Awaitable[bytes]]
"""(certificate request, control address) -> certificate chain. With an address it is asked to be a manager there; an
unspecified host in it means: where you see me. With "" it is for the role that the node counts as."""


@dataclasses.dataclass(frozen=True, slots=True)
class Roots:
    """The roots that a member shall trust (PEM), and roots as signed by those before them."""

    trusted: bytes
    path: tuple[bytes, ...] = ()


class Hands(Protocol):
    """What is done to the member; each of these may be repeated."""

    @property
    def state(self) -> MemberState: ...

    @property
    def managing(self) -> bool:
        """Whether the manager half runs."""
        ...

    async def begin_managing(self, version: int) -> None:
        """Write down that this is a manager, and start that half. Raises OSError, StateError.

        ``version`` is that of the node that says so.
        """
        ...

    async def end_managing(self, version: int) -> None:
        """Stop the manager half, write down that this is a worker, remove the log. Raises OSError."""
        ...

    @property
    def control_addr(self) -> str:
        """Where others shall reach the control port of this node; an unspecified host if nobody said."""
        ...

    async def certificate_changed(self) -> None:
        """There is another one; whoever uses it shall know."""
        ...

    async def roots_changed(self) -> None:
        """Other roots are trusted: connections that may be opened anew shall go by them, and managers shall know."""
        ...


def duty(role: str, node: Node) -> str:
    """What a node that is a ``role`` now shall be. A wish to be a worker counts once the managers have let it go."""
    if node.spec.role == MANAGER:
        return MANAGER
    return WORKER if node.role == WORKER else role


class Changing:
    """Runs beside the session. ``dice`` gives numbers in [0, 1)."""

    def __init__(
        self, hands: Hands, credentials: Credentials, renew: Renew, clock: Clock, dice: Callable[[], float]
    ) -> None:
        self._hands = hands
        self._credentials = credentials
        self._renew = renew
        self._clock = clock
        self._backoff = Backoff(dice, first=0.2)
        self._node: Node | None = None
        self._renewed = -1  # the version of the node that asked to count as manager
        self._told = ""  # the control address that the managers were told last
        self._roots: Roots | None = None
        self._dice = dice
        self._failed = 0  # tries to renew in time that came to nothing, one after the other
        self._due = self._renewal_due()
        self._woken = asyncio.Event()
        self.problem = ""

    def heard(self, node: Node, roots: Roots | None = None) -> None:
        """A manager said what this node is, and what it shall trust; acted upon soon."""
        self._node, self._roots = node, roots or self._roots
        self._woken.set()

    def renew_soon(self) -> None:
        """The key of the certificate shall not be used much longer."""
        self._due, self._failed = 0, 0
        if self._node is not None:
            self._woken.set()

    def certified(self) -> None:
        """There is another certificate that was not asked for here."""
        self._due, self._failed = self._renewal_due(), 0

    async def run(self) -> None:
        """Until cancelled. What does not work is tried again until it does, or until the swarm says otherwise."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(renewal_time.next_look(self._clock.wall(), self._due) or None):
                    await self._woken.wait()
            if self._clock.wall() >= self._due:
                await self._renew_in_time()
            if not self._woken.is_set() or self._node is None:
                continue
            self._woken.clear()
            try:
                await self._agree(self._node)
            except PASSING as error:
                if str(error) != self.problem:
                    log.warning("this node cannot be yet what the swarm says: %s", error)
                self.problem = str(error)
                asyncio.get_running_loop().call_later(self._backoff.next(), self._woken.set)
            else:
                self.problem = ""
                self._backoff.reset()

    def _renewal_due(self) -> int:
        """When the certificate in force is to be renewed, nanoseconds since the epoch."""
        held = self._credentials.identity
        ends = certificates.nanoseconds(held.not_before), certificates.nanoseconds(held.not_after)
        return renewal_time.renew_at(*ends, self._dice())

    async def _renew_in_time(self) -> None:
        """Another certificate for what this node is; later if it cannot be had now."""
        try:
            await self._certify(self._credentials.identity.role, "")
        except PASSING as error:
            wait = renewal_time.again(self._failed)
            self._failed += 1
            self._due = self._clock.wall() + int(wait * renewal_time.SECOND)
            log.warning("the certificate could not be renewed, again in %.0f s: %s", wait, error)

    async def _agree(self, node: Node) -> None:
        if self._roots is not None and self._roots.trusted != self._credentials.root_pem():
            await self._trust(self._roots)
        await self._be(node)
        if node.renew_for and node.renew_for != self._credentials.issuer_key:
            await self._certify(self._credentials.identity.role, "")
            if node.renew_for != self._credentials.issuer_key:
                raise PkiError("the manager gave a certificate that is not of the issuer that it asks for")

    async def _trust(self, roots: Roots) -> None:
        """Trust what the swarm trusts, if what is trusted now says that it may be."""
        held = self._credentials
        if not succession.leads(held.root_pem(), roots.trusted, list(roots.path)):
            raise PkiError("the manager names a root that none of those trusted here has signed: it is not taken")
        peer.verify(roots.trusted, held.chain_pem(), certificates.utc(self._clock.wall()))
        held.trust(roots.trusted)
        await self._hands.roots_changed()
        log.info("the roots that this node trusts are others now")

    async def _be(self, node: Node) -> None:
        if duty(self._hands.state.role, node) == MANAGER:
            await self._go_up(node)
        elif node.version >= self._hands.state.role_version:
            await self._go_down(node)
        else:
            log.info("news of an earlier time are passed over", extra={"version": node.version})

    async def _go_up(self, node: Node) -> None:
        addr = self._hands.control_addr
        if self._credentials.identity.role != MANAGER or not self._counts(node, addr):
            await self._certify(MANAGER, addr)
            self._renewed, self._told = node.version, addr
        if node.role == MANAGER and not self._hands.managing:
            await self._hands.begin_managing(node.version)

    def _counts(self, node: Node, addr: str) -> bool:
        """Whether the managers know this node as one of them, and where; or were told just now."""
        if node.role != MANAGER:
            return self._renewed == node.version
        return parse(addr, CONTROL_PORT).is_unspecified or addr in (node.manager_addr, self._told)

    async def _go_down(self, node: Node) -> None:
        if self._hands.managing or self._hands.state.role != WORKER:
            await self._hands.end_managing(node.version)
        if self._credentials.identity.role != WORKER:
            await self._certify(WORKER, "")

    async def _certify(self, role: str, addr: str) -> None:
        """A certificate of that role for a key that was never used before."""
        key = self._credentials.pending_key()
        chain = await self._renew(make_csr(key), addr)
        found = peer.verify(self._credentials.root_pem(), chain, certificates.utc(self._clock.wall()), key_pem=key)
        held = self._credentials.identity
        if (found.node_id, found.cluster_id) != (held.node_id, held.cluster_id):
            raise PkiError("the manager gave a certificate that is not for this node")
        if found.role != role:
            raise PkiError(f"the manager gave a certificate for a {found.role}, this node shall be a {role}")
        self._credentials.replace(key, chain)
        self.certified()
        await self._hands.certificate_changed()
        log.info("the certificate is a %s's now", role, extra={"serial": found.serial})
