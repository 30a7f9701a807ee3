# SPDX-License-Identifier: Apache-2.0
"""``/queenright/v1/stacks`` and ``/queenright/v1/apply_all``: what is declared as one."""

from __future__ import annotations

from typing import Any

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.body import Body
from queenright.edge.http.api.queenright import DONE_BEFORE, asked_here
from queenright.edge.http.api.render import timestamp
from queenright.edge.http.forwarding import AGAIN
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import Router
from queenright.manager.apply_swarm import HERE
from queenright.manager.plans import Wish
from queenright.manager.view_stacks import stack_row
from queenright.model.objects import Stack

TIMES = frozenset({"At", "StartedAt", "CompletedAt"})


class StackHandlers(Handlers):
    """Handlers of stacks. Every manager answers reads from its own memory."""

    def register(self, router: Router) -> None:
        router.add("GET", "/queenright/v1/stacks", self.list, abandon=True)
        router.add("GET", "/queenright/v1/stacks/{name}", self.inspect, abandon=True)
        router.add("POST", "/queenright/v1/apply_all", self.apply_all, repeatable=True, plans=True)

    async def list(self, request: Request) -> Response:
        """A row for each, by name."""
        return json_response(timed(self.control().stacks.rows()))

    async def inspect(self, request: Request) -> Response:
        """One of them; with ``revision`` what that one declares."""
        view, name = self.control().stacks, request.params["name"]
        if request.text("revision"):
            return json_response(timed(view.revision(name, request.integer("revision"))))
        return json_response(timed(view.one(name)))

    async def apply_all(self, request: Request) -> Response:
        """Make all as the playbook declares it, in one write; with ``dry_run=1`` only say what that would change."""
        control, body = self.control(), Body.of(request)
        here = {HERE: asked_here(self.host, request)}
        wishes = [_wish(Body(row), here) for row in body.objects("wishes")]
        answer = await control.whole.apply(wishes, dry_run=request.flag("dry_run"), forecast=request.flag("forecast"))
        if AGAIN in request.headers and not answer["changed"]:
            answer["warnings"] = [*answer["warnings"], DONE_BEFORE]
        return json_response(answer)


def _wish(body: Body, here: dict[str, Any]) -> Wish:
    return Wish(
        kind=body.text("kind"),
        name=body.text("name"),
        state=body.text("state", "present"),
        options=body.object("options"),
        context={**body.object("context"), **here},
    )


def stack_document(stack: Stack) -> dict[str, Any]:
    """What a list shows of a stack."""
    found: dict[str, Any] = timed(stack_row(stack))
    return found


def timed(value: Any) -> Any:
    """With times as RFC 3339 has them, also within."""
    if isinstance(value, list):
        return [timed(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: timestamp(one) if key in TIMES and isinstance(one, int) else one if key == "Declared" else timed(one)
        for key, one in value.items()
    }
