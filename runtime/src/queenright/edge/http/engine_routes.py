# SPDX-License-Identifier: Apache-2.0
"""Routes whose answer is dockerd's with our part in it: ``/_ping``, ``/version``, ``/info``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from queenright.edge.http.errors import ApiError
from queenright.edge.http.forwarding import STALE
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import Router
from queenright.edge.http.upstream import Reply, Upstream

INFO_SECONDS = 1.0
"""How long dockerd's part of ``/info`` (10 ms of work there) is used again."""

_FRAMING = frozenset({"connection", "content-length", "date", "transfer-encoding"})

SwarmState = Callable[[], str]
"""``inactive``, ``pending``, ``error``, ``locked``, ``active/worker`` or ``active/manager``."""
Stale = Callable[[], bool]
"""Whether this node is a manager that hears of no majority."""
SwarmInfo = Callable[[], Awaitable[dict[str, Any]]]
"""The ``Swarm`` object of ``/info``."""


@dataclass(slots=True)
class _Answer:
    task: asyncio.Task[dict[str, Any]]
    until: float


class EngineRoutes:
    """Handlers of the merged routes. ``version`` is queenright's own."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        version: str,
        swarm_state: SwarmState,
        swarm_info: SwarmInfo,
        stale: Stale = lambda: False,
    ) -> None:
        self._upstream = upstream
        self._version = version
        self._swarm_state = swarm_state
        self._swarm_info = swarm_info
        self._stale = stale
        self._infos: dict[str, _Answer] = {}

    def register(self, router: Router) -> None:
        """Add the routes to ``router``."""
        router.add("GET", "/_ping", self.ping)
        router.add("HEAD", "/_ping", self.ping)
        router.add("GET", "/version", self.version)
        router.add("GET", "/info", self.info)

    async def ping(self, request: Request) -> Response:
        """dockerd's answer and headers, and the state of this node in the swarm."""
        reply = await self._upstream.request(request.method, "/_ping")
        headers = {name.title(): value for name, value in reply.headers.items() if name not in _FRAMING}
        headers["Swarm"] = self._swarm_state()
        return Response(reply.status, reply.body, headers)

    async def version(self, request: Request) -> Response:
        """dockerd's answer with one component more; the engine stays the first one, as clients expect."""
        document = _document(await self._upstream.request("GET", _target(request, "/version")))
        if document.get("Components"):
            document["Components"].append({"Name": "queenright", "Version": self._version, "Details": {}})
        return json_response(document)

    async def info(self, request: Request) -> Response:
        """dockerd's answer with ``Swarm`` replaced by ours."""
        document, swarm = await asyncio.gather(self._engine_info(_target(request, "/info")), self._swarm_info())
        response = json_response({**document, "Swarm": swarm})
        if self._stale():
            response.headers[STALE] = "true"
        return response

    async def _engine_info(self, target: str) -> dict[str, Any]:
        """dockerd's part, asked once for all who want it within `INFO_SECONDS`. The object is shared: read it only."""
        now = asyncio.get_running_loop().time()
        answer = self._infos.get(target)
        if answer is None or (answer.task.done() and (now >= answer.until or _failed(answer.task))):
            answer = _Answer(asyncio.create_task(self._ask_info(target)), now + INFO_SECONDS)
            self._infos[target] = answer
        return await asyncio.shield(answer.task)

    async def _ask_info(self, target: str) -> dict[str, Any]:
        return _document(await self._upstream.request("GET", target))


def _failed(task: asyncio.Task[dict[str, Any]]) -> bool:
    return task.cancelled() or task.exception() is not None


def _target(request: Request, path: str) -> str:
    """The same API version is asked of dockerd as was asked of us."""
    return f"/v{request.version[0]}.{request.version[1]}{path}" if request.version else path


def _document(reply: Reply) -> dict[str, Any]:
    """The JSON object of an answer; its errors as `ApiError`."""
    try:
        document = json.loads(reply.body)
    except ValueError:
        document = None
    if reply.status != 200 or not isinstance(document, dict):
        text = document.get("message") if isinstance(document, dict) else reply.body.decode("utf-8", "replace")
        raise ApiError(
            reply.status if reply.status >= 400 else 502, str(text).strip() or "the Docker Engine says nothing"
        )
    return document
