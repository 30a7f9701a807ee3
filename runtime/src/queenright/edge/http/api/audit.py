# SPDX-License-Identifier: Apache-2.0
"""``GET /queenright/v1/audit``: what was done on this host and by its manager lately. For root only."""

from __future__ import annotations

from collections.abc import Callable

from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.router import Router

PATH = "/queenright/v1/audit"
LAST = "last"


class AuditHandlers:
    """``lines`` gives the audit's lines, oldest first, each a JSON object."""

    def __init__(self, lines: Callable[[], list[str]]) -> None:
        self._lines = lines

    def register(self, router: Router) -> None:
        router.add("GET", PATH, self.read, abandon=True, local=True, root=True)

    async def read(self, request: Request) -> Response:
        """A JSON list; ``last``: at most so many, the newest."""
        lines = self._lines()
        text = (request.query.get(LAST) or [""])[0]
        if text:
            if not text.isascii() or not text.isdigit() or len(text) > 6:
                raise ApiError(400, f"{LAST} must be a number of lines")
            lines = lines[max(0, len(lines) - int(text)) :]
        body = "[" + ",\n".join(lines) + "]\n"
        return Response(200, body.encode("utf-8"), {"Content-Type": "application/json"})
