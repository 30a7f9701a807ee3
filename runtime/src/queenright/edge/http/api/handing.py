# SPDX-License-Identifier: Apache-2.0
"""A follower's part in a write: hand it on to the leader, and answer once its outcome is known and seen here.

What was certainly not taken is tried again until there is a leader who takes it. What may have been taken is tried
again only where that does no harm: with the same leader that remembers request ids, or if doing it twice is as doing
it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.progress import Progress
from queenright.edge.http.api.standing import Deposed, leadership, leads
from queenright.edge.http.forwarding import (
    AGAIN,
    STALE,
    Forwarder,
    left_open,
    refused_as_follower,
    request_id,
    to_call,
    to_response,
)
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.router import Pass, Route
from queenright.manager import texts
from queenright.manager.control import Control
from queenright.manager.ports import Host
from queenright.model.errors import OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from queenright.wire.messages import ForwardAnswer, ForwardCall

PATIENCE = 5.0  # seconds for a new leader to be found, once the one that was known did not take a call
PAUSE = 0.05
MOST_SECONDS = 60.0  # of one call, however long the leader takes
GRACE = 1.5  # seconds for an answer of who was the leader and is it no more
LOOK = 0.1
LOST = (
    "the connection to the leader was lost before it answered: the call may have taken effect or not. Look before it "
    "is repeated; a call with a header X-Queenright-Request-Id is repeated safely while the same manager leads"
)

Ids = Callable[[], str]
Lead = Callable[[Route, Request], Coroutine[Any, Any, Response | Pass]]


class Handing(Handlers):
    """``lead``: does a write on this manager, should it become the leader meanwhile."""

    def __init__(self, host: Host, forwarder: Forwarder | None, ids: Ids | None, lead: Lead) -> None:
        super().__init__(host)
        self._forwarder = forwarder
        self._ids = ids
        self._lead = lead
        self._progress: Progress | None = None

    async def hand_on(self, route: Route, request: Request, lost: tuple[str, int] | None = None) -> Response | Pass:
        """The leader's answer. Raises Unavailable if there is no leader, OutcomeUnknown if it is not known whether one
        took the call. ``lost``: the leadership, this manager's own, in which it may have taken effect already.
        """
        control, attempt = self.control(), self._attempt(route, request)
        if lost is not None:
            attempt.lost_at(lost)
        while True:
            attempt.require_may_go(leadership(control))
            if leads(control):
                with contextlib.suppress(Deposed):
                    return await self._lead(route, attempt.marked(request))
                attempt.begun = True
            elif leadership(control)[0] not in ("", attempt.node_id) and self._forwarder is not None:
                answer = await self._try(self._forwarder, attempt, control)
                if answer is not None:
                    return await self._given(answer, control)
            await asyncio.sleep(PAUSE)

    def _attempt(self, route: Route, request: Request) -> _Attempt:
        key = request_id(request)
        if not key and route.repeatable and self._ids is not None:
            key = self._ids()
        state = self.host.local_state()
        here = next((addr for node_id, addr in state.managers if node_id == state.node_id), "")
        return _Attempt(route, to_call(request, key=key, here=here), state.node_id, _now() + PATIENCE)

    async def _try(self, forwarder: Forwarder, attempt: _Attempt, control: Control) -> ForwardAnswer | None:
        """The answer of who leads now; None if it did not take the call, or may have and is to be asked again.

        Raises OutcomeUnknown if that is the end of it.
        """
        asked = leadership(control)
        try:
            answer = await _send(forwarder, attempt.call, control)
        except Unavailable:
            attempt.begun = True
            return None
        except OutcomeUnknown as error:
            if not (attempt.call.request_id or attempt.route.repeatable):
                raise OutcomeUnknown(LOST, plain=True) from error
            attempt.lost_at(asked)
            return None
        attempt.begun = True
        if attempt.route.repeatable and left_open(answer):
            attempt.lost_at(asked)
            return None
        return None if refused_as_follower(answer) else answer

    async def _given(self, answer: ForwardAnswer, control: Control) -> Response:
        """The leader's answer, once what it tells of can be read here."""
        response = to_response(answer)
        if self._progress is None or self._progress.control is not control:
            self._progress = Progress(control, lambda: self.running() is not control)
        if not await self._progress.reach(answer.index):
            response.headers[STALE] = "true"
        return response


async def _send(forwarder: Forwarder, call: ForwardCall, control: Control) -> ForwardAnswer:
    """Ask once. Who leads no more has only a little time left to answer: its connection may be dead."""
    leader = leadership(control)[0]
    task = asyncio.ensure_future(forwarder.forward(call))
    begun = led = _now()
    try:
        while not task.done() and _now() - led <= GRACE and _now() - begun <= MOST_SECONDS:
            await asyncio.wait({task}, timeout=LOOK)
            if leadership(control)[0] == leader:
                led = _now()
        if not task.done():
            raise OutcomeUnknown(LOST, plain=True)
        return task.result()
    finally:
        task.cancel()


@dataclasses.dataclass(slots=True)
class _Attempt:
    """A call on its way from the manager ``node_id``. ``begun``: some leader was asked; ``lost``: the leadership in
    which it may have taken effect; ``until``: when to end looking for somebody who takes it.
    """

    route: Route
    call: ForwardCall
    node_id: str
    until: float
    begun: bool = False
    lost: tuple[str, int] | None = None

    def require_may_go(self, present: tuple[str, int]) -> None:
        """Raise what is to be said if the call must not, or need not, be tried (again) as things stand now."""
        known, late = bool(present[0]), _now() >= self.until
        if self.lost is not None:
            if late or (known and present != self.lost and not self.route.repeatable):
                raise OutcomeUnknown(LOST, plain=True)
        elif late or not (known or self.begun):
            raise Unavailable(texts.NO_LEADER, plain=True)

    def lost_at(self, asked: tuple[str, int]) -> None:
        """The leader of this leadership may have done it."""
        if self.lost is None:
            self.until = _now() + PATIENCE
        self.lost = asked
        self.call = dataclasses.replace(self.call, headers={**self.call.headers, AGAIN: str(asked[1])})

    def marked(self, request: Request) -> Request:
        """The request for this manager's own handlers."""
        if self.lost is None:
            return request
        return dataclasses.replace(request, headers={**request.headers, AGAIN: str(self.lost[1])})


def _now() -> float:
    return asyncio.get_running_loop().time()
