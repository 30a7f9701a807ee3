# SPDX-License-Identifier: Apache-2.0
"""``/nodes``: list, inspect, update, remove."""

from __future__ import annotations

from queenright.edge.http.api import render
from queenright.edge.http.api.base import Handlers, read, version_of
from queenright.edge.http.messages import Request, Response, json_list_response, json_response
from queenright.edge.http.router import Router
from queenright.manager.views import NODE_FILTERS, list_nodes
from queenright.spec.cluster import NodeSpec


class NodeHandlers(Handlers):
    """Handlers of ``/nodes``."""

    def register(self, router: Router) -> None:
        router.add("GET", "/nodes", self.list, abandon=True)
        router.add("GET", "/nodes/{id}", self.inspect, abandon=True)
        router.add("DELETE", "/nodes/{id}", self.remove)
        router.add("POST", "/nodes/{id}/update", self.update)

    async def list(self, request: Request) -> Response:
        context = self.control().context
        found = list_nodes(context.store, request.filters(NODE_FILTERS))
        return json_list_response(render.node(value, context.consensus) for value in found)

    async def inspect(self, request: Request) -> Response:
        context = self.control().context
        return json_response(render.node(context.store.node(request.params["id"]), context.consensus))

    async def update(self, request: Request) -> Response:
        control, version = self.control(), version_of(request)
        await control.nodes.update(request.params["id"], version, read(NodeSpec, request))
        return Response(200)

    async def remove(self, request: Request) -> Response:
        await self.control().nodes.remove(request.params["id"], request.flag("force"))
        return Response(200)
