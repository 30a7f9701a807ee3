# SPDX-License-Identifier: Apache-2.0
"""A join that came in at a manager that does not lead: asked of the leader, in the JSON of the join listener.

A join with the same key may be asked again: it gives the same membership again. So whatever went wrong on the way is
told as "try again".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from queenright.edge.http import join_messages
from queenright.edge.http.join_server import Admission, refusal_of
from queenright.manager.audit import record
from queenright.model.errors import Refusal
from queenright.model.join import JoinGrant, JoinRefused, JoinRequest, NotLeader

Ask = Callable[[bytes, str], Awaitable[bytes]]
"""(join request, address of the one who joins) -> the leader's answer. Raises a Refusal if none came."""


class ForwardingAdmission:
    """An ``Admission`` that asks the leader."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def admit(self, request: JoinRequest, source_ip: str) -> JoinGrant:
        """What the leader grants. Raises a kind of JoinRefused: the leader's, or NotLeader where it did not answer."""
        try:
            answer = await self._ask(join_messages.encode_request(request), source_ip)
        except JoinRefused:
            raise
        except Refusal as refusal:
            raise NotLeader(f"this manager has no answer of the leader: {refusal}") from refusal
        try:
            return join_messages.decode_outcome(answer)
        except ValueError as error:
            raise NotLeader(f"this manager cannot read the leader's answer: {error}") from error


class ForwardedAdmission:
    """The leader's side: an ``Admission`` for other managers, in bytes."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def admit(self, body: bytes, source: str) -> bytes:
        """The grant or the refusal. ``source`` is the address that the other manager saw."""
        try:
            grant = await self._admission.admit(join_messages.decode_request(body), source)
        except Refusal as refusal:
            refused = refusal_of(refusal)
            record("join", outcome=refused.reason, address=source)
            return join_messages.encode_refusal(refused)[1]
        record("join", node=grant.node_id, role=grant.role, address=source)
        return join_messages.encode_grant(grant)
