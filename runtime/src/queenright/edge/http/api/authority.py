# SPDX-License-Identifier: Apache-2.0
"""``/queenright/v1/ca``: roots and certificates, the change of a root, revocation."""

from __future__ import annotations

from typing import Any

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.body import Body
from queenright.edge.http.api.render import timestamp
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import Router

TIMES = frozenset({"issued_at", "not_before", "not_after", "revoked_at", "started_at", "until"})


class AuthorityHandlers(Handlers):
    """Handlers of ``/queenright/v1/ca``."""

    def register(self, router: Router) -> None:
        router.add("GET", "/queenright/v1/ca", self.describe, repeatable=True, led=True)
        router.add("POST", "/queenright/v1/ca", self.declare, repeatable=True, plans=True)
        router.add("POST", "/queenright/v1/ca/revoke", self.revoke, repeatable=True, plans=True)

    async def describe(self, request: Request) -> Response:
        """The root, how far its change is, who was left behind, and every certificate that is known of."""
        return json_response(_told(self.control().ca.describe()))

    async def declare(self, request: Request) -> Response:
        """Begin the change to another root; asked again while it is under way, nothing happens."""
        dry_run = request.flag("dry_run")
        return json_response(await self.control().ca.declare(request.json(), dry_run=dry_run))

    async def revoke(self, request: Request) -> Response:
        """A certificate opens nothing from now on."""
        serial = Body.of(request).text("serial")
        return json_response(await self.control().ca.revoke(serial, dry_run=request.flag("dry_run")))


def _told(value: Any) -> Any:
    """With times as the Engine API tells them; those that never came are empty."""
    if isinstance(value, list):
        return [_told(item) for item in value]
    if isinstance(value, dict):
        return {key: (timestamp(item) if item else "") if key in TIMES else _told(item) for key, item in value.items()}
    return value
