# SPDX-License-Identifier: Apache-2.0
"""What this node is follows from what the swarm says: certificate, state file and manager half are made to agree.

The steps are ordered so that the host may die after any of them. On the way up: certificate, state file, log. On the
way down: state file, log, certificate. So the state file is the truth about what to start, the store (told by session
news) the truth about what to be, and the certificate is renewed until it says the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from queenright.agent.link import LinkError
from queenright.app import certificates
from queenright.app.addressing import CONTROL_PORT
from queenright.app.certificates import Credentials
from queenright.app.state import MemberState, StateError
from queenright.edge.pki import peer
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
        self._woken = asyncio.Event()
        self.problem = ""

    def heard(self, node: Node) -> None:
        """A manager said what this node is; acted upon soon."""
        self._node = node
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. What does not work is tried again until it does, or until the swarm says otherwise."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            assert self._node is not None
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

    async def _agree(self, node: Node) -> None:
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
        await self._hands.certificate_changed()
        log.info("the certificate is a %s's now", role, extra={"serial": found.serial})
