# SPDX-License-Identifier: Apache-2.0
"""Between the router and the handlers of the swarm: where a call is answered, and how far the answer holds.

Reads are answered here, from memory; the leader makes sure that it still leads, and what may be behind is marked.
Writes are done by the leader: by this manager if it leads, else they are handed on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from queenright.edge.http.api.base import REHEARSING, Handlers
from queenright.edge.http.api.errors import map_error
from queenright.edge.http.api.handing import Handing, Ids
from queenright.edge.http.api.once import Once
from queenright.edge.http.api.standing import Deposed, confirmed, cut_off, leadership, leads
from queenright.edge.http.errors import ApiError
from queenright.edge.http.forwarding import STALE, VERSION, Forwarder, request_id
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import PASS, Handler, Pass, Route
from queenright.manager.control import Control
from queenright.manager.ports import Host
from queenright.manager.rehearsal import Rehearsal
from queenright.model.errors import OutcomeUnknown, Refusal, Unavailable

DRY_RUN = "dry_run"
"""Parameter of all writes: say what would change, and change nothing."""


class Gate(Handlers):
    """One per host. Without a ``forwarder`` writes are taken only where this manager leads; ``ids`` names calls that
    may be repeated.
    """

    def __init__(self, host: Host, forwarder: Forwarder | None, ids: Ids | None) -> None:
        super().__init__(host)
        self._handing = Handing(host, forwarder, ids, self.lead)
        self._once = Once()
        self._name: tuple[Control, str] | None = None

    def around(self, route: Route) -> Handler:
        """The route's handler, behind the gate."""
        if route.local:
            return route.handler if route.reads or route.plans else partial(_alone, route)
        guarded = partial(self._read if route.reads else self._write, route)
        return guarded if route.ours is None else partial(_if_ours, route.ours, guarded)

    async def _read(self, route: Route, request: Request) -> Response | Pass:
        control = self.running()
        if control is None:
            return await route.handler(request)
        fresh = await self._confirmed(control)
        version = control.store.index
        try:
            response = await route.handler(request)
        except Exception as error:
            known = error if isinstance(error, ApiError) else map_error(error)
            if known is None or not _stale(control, fresh):
                raise
            raise ApiError(known.status, known.message, {**known.headers, STALE: "true"}) from error
        if isinstance(response, Response):
            response.headers[VERSION] = str(version)
            if _stale(control, fresh):
                response.headers[STALE] = "true"
        return response

    async def _write(self, route: Route, request: Request) -> Response | Pass:
        control = self.control()
        present, lost = leadership(control), None
        if leads(control):
            try:
                return await self.lead(route, request)
            except Deposed:  # just now: whoever leads instead can do it
                pass
            except OutcomeUnknown:
                if not route.repeatable:
                    raise
                lost = present
        return await self._handing.hand_on(route, request, lost)

    async def lead(self, route: Route, request: Request) -> Response | Pass:
        """Do a write as the leader; one with a request id once. Raises Deposed if this manager does not lead."""
        key = request_id(request)
        if not key:
            return await self._do(route, request)
        return await self._once.run(key, request, lambda: self._do(route, request), repeatable=route.repeatable)

    async def _do(self, route: Route, request: Request) -> Response | Pass:
        """A write that succeeds proves that this manager leads. A refusal out of its memory does not."""
        control = self.control()
        try:
            if request.flag(DRY_RUN) and not route.plans:
                return await self._rehearse(control, route, request)
            return await route.handler(request)
        except OutcomeUnknown:
            raise
        except Refusal as refusal:
            sound = leads(control) and (isinstance(refusal, Unavailable) or await self._confirmed(control))
            if not sound:
                raise Deposed from refusal
            raise

    async def _rehearse(self, control: Control, route: Route, request: Request) -> Response:
        """Do all of it but the writing, and answer what would be written and what would come of it."""
        await control.fresh()
        rehearsal = Rehearsal(control)
        token = REHEARSING.set(rehearsal.control)
        try:
            await route.handler(request)
        finally:
            REHEARSING.reset(token)
        return json_response(await rehearsal.answer())

    async def _confirmed(self, control: Control) -> bool:
        if self._name is None or self._name[0] is not control:
            self._name = control, self.host.local_state().node_id
        return await confirmed(control, self._name[1])


async def _if_ours(ours: Callable[[Request], bool], handler: Handler, request: Request) -> Response | Pass:
    return await handler(request) if ours(request) else PASS


async def _alone(route: Route, request: Request) -> Response | Pass:
    """A write of this host alone: what it would do cannot be tried without doing it."""
    if request.flag(DRY_RUN):
        raise ApiError(400, f"{request.method} {request.path} has no dry run: nothing was done")
    return await route.handler(request)


def _stale(control: Control, fresh: bool) -> bool:
    """A call may have waited: both its beginning and its end count."""
    return not fresh or cut_off(control)
