# SPDX-License-Identifier: Apache-2.0
"""``/queenright/v1``: what the Engine API lacks. State, tickets, plan and apply, waiting, reasons."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.body import Body
from queenright.edge.http.api.render import SECOND, timestamp
from queenright.edge.http.errors import ApiError
from queenright.edge.http.forwarding import AGAIN, HERE
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import Router
from queenright.edge.http.upstream import Upstream
from queenright.manager.apply_swarm import HERE as OF_THE_ASKED
from queenright.manager.plans import Wish
from queenright.manager.ports import Host, LocalState
from queenright.manager.why import explain_locally
from queenright.model.errors import NotFound
from queenright.model.tokens import root_digest

ENGINE_TIMEOUT = 5.0  # seconds; the status must say it when the engine hangs
MOST_WAIT = 3600.0
DEFAULT_WAIT = 30.0
DONE_BEFORE = (
    "the manager that led was lost while it did this: where nothing is reported as changed, it may have made the change"
)


class QueenrightHandlers(Handlers):
    """Handlers of ``/queenright/v1``. ``version`` is the runtime's own."""

    def __init__(self, host: Host, upstream: Upstream, version: str) -> None:
        super().__init__(host)
        self._upstream = upstream
        self._version = version

    def register(self, router: Router) -> None:
        router.add("GET", "/queenright/v1/status", self.status, abandon=True, local=True)
        router.add("POST", "/queenright/v1/join/key", self.join_key, local=True)
        router.add("POST", "/queenright/v1/tickets", self.ticket, repeatable=True)
        router.add("POST", "/queenright/v1/apply", self.apply, repeatable=True, plans=True)
        router.add("POST", "/queenright/v1/managers/{id}/leave", self.let_go, repeatable=True)
        router.add("GET", "/queenright/v1/wait", self.wait, abandon=True)
        router.add("GET", "/queenright/v1/why/{ref}", self.why, abandon=True)
        router.add("GET", "/queenright/v1/mesh", self.mesh, repeatable=True, led=True)

    async def status(self, request: Request) -> Response:
        """What this host is; answers everywhere, in a swarm or not, with an engine or without."""
        state = self.host.local_state()
        return json_response(
            {
                "version": self._version,
                "state": state.state,
                "role": state.role,
                "node_id": state.node_id,
                "node_addr": state.node_addr,
                "cluster_id": state.cluster_id,
                "managers": [{"node_id": node_id, "addr": addr} for node_id, addr in state.managers],
                "leader": _leader(state),
                "has_quorum": state.has_quorum,
                "stale": state.stale,
                "raft": _raft(state),
                "root_digest": self._root_digest(),
                "error": state.error,
                "engine": await self._engine(),
                "ready": state.ready,
                "started_at": timestamp(state.started_at),
                "tasks": {"running": state.tasks_running, "total": state.tasks_total},
                "clock_skew": round(state.clock_skew / SECOND, 3),
            }
        )

    def _root_digest(self) -> str:
        """``sha256:<hex>`` of the root certificate, where this host knows it for certain."""
        control = self.running()
        cluster = control.store.cluster if control is not None else None
        return f"sha256:{root_digest(cluster.root_certificate.encode('ascii')).hex()}" if cluster is not None else ""

    async def _engine(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(ENGINE_TIMEOUT):
                reply = await self._upstream.request("GET", "/version")
            document = Body(_object(reply.body))
        except ApiError as error:
            return {"reachable": False, "version": "", "error": error.message}
        except TimeoutError:
            return {"reachable": False, "version": "", "error": f"no answer within {ENGINE_TIMEOUT:g} s"}
        return {"reachable": reply.status == 200, "version": document.text("Version"), "error": ""}

    async def join_key(self, request: Request) -> Response:
        """Make (or find) the key with which this host will join, and name its digest."""
        request.json()
        return json_response({"key_digest": await self.host.pending_key_digest()})

    async def ticket(self, request: Request) -> Response:
        """A one-time leave to join for the holder of one key."""
        control, body = self.control(), Body.of(request)
        ticket = await control.authority.issue_ticket(
            role=body.text("role"),
            key_digest=body.text("key_digest"),
            availability=body.text("availability"),
            labels=body.labels("labels"),
        )
        return json_response(
            {
                "ticket": ticket.text,
                "root_digest": ticket.root_digest,
                "managers": [manager.addr for manager in ticket.managers],
                "expires_at": timestamp(ticket.expires_at),
            },
            201,
        )

    async def apply(self, request: Request) -> Response:
        """Make it as the playbook declares; with ``dry_run=1`` only say what that would change.

        The plan is made of what is certain: that nothing has to change is an answer that a write does not prove.
        """
        control, body = self.control(), Body.of(request)
        await control.fresh()
        wish = Wish(
            kind=body.text("kind"),
            name=body.text("name"),
            state=body.text("state", "present"),
            options=body.object("options"),
            context={**body.object("context"), OF_THE_ASKED: asked_here(self.host, request)},
        )
        dry_run, forecast = request.flag("dry_run"), request.flag("forecast")
        answer = await control.applier.apply(wish, dry_run=dry_run, forecast=forecast)
        if AGAIN in request.headers and not answer["changed"]:
            answer["warnings"] = [*answer["warnings"], DONE_BEFORE]
        return json_response(answer)

    async def let_go(self, request: Request) -> Response:
        """Take a manager that leaves out of the group of managers; answers when that is done."""
        nodes, node_id = self.control().nodes, request.params["id"]
        await (nodes.rehearse_leave(node_id) if request.flag("dry_run") else nodes.leave(node_id))
        return json_response({})

    async def wait(self, request: Request) -> Response:
        """Answer when it is so, when it cannot become so any more, or when the time is over."""
        control = self.control()
        return json_response(
            await control.waiter.wait(
                request.text("kind"),
                request.text("id"),
                timeout=_seconds(request.text("timeout")),
                drained=request.flag("drained"),
                down=request.flag("down"),
            )
        )

    async def mesh(self, request: Request) -> Response:
        """Where the networks are in force, and which published ports answer on which nodes; with ``service`` only those
        of one.
        """
        return json_response(self.control().mesh.describe(request.text("service")))

    async def why(self, request: Request) -> Response:
        """Why a task is where it is, or is nowhere. A worker answers for its own tasks."""
        ref = request.params["ref"]
        state = self.host.local_state()
        if state.state == "active" and state.role == "worker":
            local = self.host.explain_local(ref)
            if local is None:
                raise NotFound(f"task {ref} is not on this node: ask a manager", plain=True)
            return json_response(explain_locally(ref, state.node_id, local))
        return json_response(self.control().why.explain(ref, self.host.explain_local))


def asked_here(host: Host, request: Request) -> dict[str, str]:
    """The addresses of the manager that was asked, decided when it became one."""
    state = host.local_state()
    found = next((addr for node_id, addr in state.managers if node_id == state.node_id), "")
    if request.forwarded:
        found = request.headers.get(HERE, "")
    return {"advertise_addr": found} if found else {}


def _leader(state: LocalState) -> dict[str, str] | None:
    if not state.leader:
        return None
    return {"node_id": state.leader, "addr": dict(state.managers).get(state.leader, "")}


def _raft(state: LocalState) -> dict[str, Any] | None:
    """The group of managers; who of them leads."""
    if state.raft is None:
        return None
    members = [{**member, "leader": member["node_id"] == state.leader} for member in state.raft["members"]]
    return {**state.raft, "members": members}


def _object(text: bytes) -> dict[str, Any]:
    return Request("GET", "/", headers={"content-type": "application/json"}, body=text).json()


def _seconds(text: str) -> float:
    if not text:
        return DEFAULT_WAIT
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MOST_WAIT:
        raise ApiError(400, f"invalid timeout '{text[:64]}': expected seconds from 0 to {MOST_WAIT:.0f}")
    return seconds
