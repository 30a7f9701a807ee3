# SPDX-License-Identifier: Apache-2.0
"""What came to a manager that does not lead, on its way to the one that does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from queenright.edge.grpc.leader import LeaderCalls
from queenright.edge.grpc.ports import Certificates
from queenright.edge.http.join_forwarding import ForwardingAdmission
from queenright.edge.http.join_server import Admission
from queenright.manager import texts
from queenright.model.errors import Unavailable
from queenright.model.join import JoinGrant, JoinRequest
from queenright.wire.messages import ForwardAnswer, ForwardCall

FORWARD_SECONDS = 65.0  # whoever asks gives up before that
ADMIT_SECONDS = 20.0
LOOK = 0.02


class ToLeader:
    """The way to the leader. ``leader`` gives (node id, ``host:port``) of another manager that leads, if one does.

    Calls raise Unavailable where nothing was sent, OutcomeUnknown where the answer got lost, and what the leader
    refuses with.
    """

    def __init__(self, certificates: Certificates, leader: Callable[[], tuple[str, str] | None]) -> None:
        self._calls = LeaderCalls(certificates)
        self._leader = leader

    async def forward(self, call: ForwardCall) -> ForwardAnswer:
        """A call of the HTTP room (its ``Forwarder``)."""
        return await self._calls.forward(await self._reached(), call, FORWARD_SECONDS)

    async def admit(self, body: bytes, source: str) -> bytes:
        """A join, in the JSON of the join listener."""
        return await self._calls.admit(await self._reached(), body, source, ADMIT_SECONDS)

    async def close(self) -> None:
        await self._calls.close()

    async def _reached(self) -> tuple[str, str]:
        """The leader, once there is a connection to it; one that died is given up as soon as it leads no more."""
        place = self._leader()
        if place is None:
            raise Unavailable(texts.NO_LEADER, plain=True)
        connecting = asyncio.ensure_future(self._calls.ready(place))
        try:
            while not (await asyncio.wait({connecting}, timeout=LOOK))[0]:
                if self._leader() != place:
                    raise Unavailable(f"the manager {place[0]} at {place[1]} leads no more; nothing was sent to it")
            await connecting
        finally:
            connecting.cancel()
        return place


class Door:
    """Lets hosts in, whichever manager they ask: the leader decides. Fulfils the join listener's ``Admission``."""

    def __init__(self, own: Admission, leads: Callable[[], bool], to_leader: ToLeader) -> None:
        self._own = own
        self._leads = leads
        self._other = ForwardingAdmission(to_leader.admit)

    async def admit(self, request: JoinRequest, source_ip: str) -> JoinGrant:
        return await (self._own if self._leads() else self._other).admit(request, source_ip)
