# SPDX-License-Identifier: Apache-2.0
"""``/nodes``: list, inspect, update, remove."""

from __future__ import annotations

from queenright.edge.http.api import render
from queenright.edge.http.api.base import Handlers, read, version_of
from queenright.edge.http.api.json_cache import JsonCache, with_key
from queenright.edge.http.messages import Request, Response, json_list_response, json_response
from queenright.edge.http.router import Router
from queenright.manager.ports import Host
from queenright.manager.views import NODE_FILTERS, list_nodes, manager_statuses
from queenright.model.objects import Node
from queenright.spec.cluster import NodeSpec


class NodeHandlers(Handlers):
    """Handlers of ``/nodes``."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._json = JsonCache(render.plain_node)

    def register(self, router: Router) -> None:
        router.add("GET", "/nodes", self.list, abandon=True)
        router.add("GET", "/nodes/{id}", self.inspect, abandon=True)
        router.add("DELETE", "/nodes/{id}", self.remove)
        router.add("POST", "/nodes/{id}/update", self.update)

    async def list(self, request: Request) -> Response:
        context = self.control().context
        nodes = context.store.nodes
        found = list_nodes(context.store, request.filters(NODE_FILTERS))
        self._json.forget_but(len(nodes), nodes)
        managers = manager_statuses(context.store, context.consensus)

        def text(value: Node) -> bytes:
            status = managers.get(value.id)
            plain = self._json.text(value)
            return plain if status is None else with_key(plain, "ManagerStatus", render.manager(status))

        return json_list_response(found, text)

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
