# SPDX-License-Identifier: Apache-2.0
"""The leader's side of forwarding: a call that came to another manager, served by the same handlers."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.errors import map_error
from queenright.edge.http.api.gate import Gate
from queenright.edge.http.api.standing import Deposed, leadership, leads
from queenright.edge.http.calling import answered
from queenright.edge.http.errors import ApiError
from queenright.edge.http.forwarding import AGAIN, NOT_LEADER, ORIGIN, to_answer, to_request
from queenright.edge.http.messages import Request, Response, error_response
from queenright.edge.http.router import Router
from queenright.manager.audit import Actor, acting, actor, record
from queenright.manager.control import Control
from queenright.manager.ports import Host

if TYPE_CHECKING:
    from queenright.wire.messages import ForwardAnswer, ForwardCall

_UID = re.compile(r"uid=(\d{1,10}) ")


class Gateway(Handlers):
    """Serves forwarded calls: writes of ours, and nothing else. It never hands on and never asks dockerd."""

    def __init__(self, table: Router, gate: Gate, host: Host) -> None:
        super().__init__(host)
        self._table = table
        self._gate = gate
        self._running: set[asyncio.Task[ForwardAnswer]] = set()

    async def forward(self, call: ForwardCall) -> ForwardAnswer:
        """The answer to ``call``, errors included. What was begun ends, though the caller be cancelled."""
        task = asyncio.create_task(self._serve(call), name=f"{call.method} {call.path} for another manager")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _serve(self, call: ForwardCall) -> ForwardAnswer:
        try:
            response = await self._audited(call)
        except ApiError as error:
            response = error_response(error)
        return await to_answer(response, self._index())

    async def _audited(self, call: ForwardCall) -> Response:
        """As the manager that was asked does, the leader writes it down, with who asked there as far as it says."""
        status = 0
        try:
            with acting(_asking(call)):
                response = await answered(self._answer(call), map_error, f"{call.method} {call.path}")
            status = response.status
            return response
        except ApiError as error:
            status = error.status
            raise
        finally:
            origin = call.headers.get(ORIGIN, "")
            record("write", outcome=status, method=call.method, path=call.path, origin=origin)

    async def _answer(self, call: ForwardCall) -> Response:
        found = self._table.find(call.method, call.path)
        if found is None or found[0].reads or found[0].local:
            raise ApiError(400, f"{call.method} {call.path} is not a call that managers hand on")
        route, params = found
        request, control = to_request(call, params), self.control()
        try:
            if not leads(control) or not (route.repeatable or _remembers(control, request)):
                raise Deposed
            response = await self._gate.lead(route, request)
        except Deposed as error:
            raise ApiError(503, str(error), {NOT_LEADER: "true"}) from error
        if not isinstance(response, Response):
            raise ApiError(400, f"{call.method} {call.path} is for the Docker Engine of the host that was asked")
        return response

    def _index(self) -> int:
        """What the other manager's store has to reach before it answers."""
        control = self.running()
        return control.store.index if control is not None else 0


def _asking(call: ForwardCall) -> Actor:
    """Whoever asked there, as far as that manager says: no ground for rights, but for words."""
    headers = {name.lower(): value for name, value in call.headers.items()}
    uid = _UID.match(headers.get(ORIGIN.lower(), ""))
    return replace(actor(), uid=int(uid[1]) if uid else None, agent=headers.get("user-agent", ""))


def _remembers(control: Control, request: Request) -> bool:
    """Whether a call that is asked again was asked first in this very leadership."""
    return request.headers.get(AGAIN, "") in ("", str(leadership(control)[1]))
