# SPDX-License-Identifier: Apache-2.0
"""What came to a manager that does not lead, on its way to the one that does."""

from __future__ import annotations

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
        return await self._calls.forward(self._place(), call, FORWARD_SECONDS)

    async def admit(self, body: bytes, source: str) -> bytes:
        """A join, in the JSON of the join listener."""
        return await self._calls.admit(self._place(), body, source, ADMIT_SECONDS)

    async def close(self) -> None:
        await self._calls.close()

    def _place(self) -> tuple[str, str]:
        found = self._leader()
        if found is None:
            raise Unavailable(texts.NO_LEADER, plain=True)
        return found


class Door:
    """Lets hosts in, whichever manager they ask: the leader decides. Fulfils the join listener's ``Admission``."""

    def __init__(self, own: Admission, leads: Callable[[], bool], to_leader: ToLeader) -> None:
        self._own = own
        self._leads = leads
        self._other = ForwardingAdmission(to_leader.admit)

    async def admit(self, request: JoinRequest, source_ip: str) -> JoinGrant:
        return await (self._own if self._leads() else self._other).admit(request, source_ip)
