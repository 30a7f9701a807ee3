# SPDX-License-Identifier: Apache-2.0
"""``/tasks``: list and inspect."""

from __future__ import annotations

import asyncio
from typing import Any

from queenright.edge.http.api import render
from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.json_cache import JsonCache
from queenright.edge.http.api.render_network import attachments
from queenright.edge.http.messages import Request, Response, json_list_response
from queenright.edge.http.router import Router
from queenright.manager.ports import Host
from queenright.manager.views import TASK_FILTERS, list_tasks
from queenright.model.objects import Task

_JSON = {"Content-Type": "application/json"}


class TaskHandlers(Handlers):
    """Handlers of ``/tasks``."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._json = JsonCache(self._document)

    def register(self, router: Router) -> None:
        router.add("GET", "/tasks", self.list, abandon=True)
        router.add("GET", "/tasks/{id}", self.inspect, abandon=True)

    async def list(self, request: Request) -> Response:
        store = self.control().store
        self._json.forget_but(len(store.tasks), store.tasks)
        await asyncio.sleep(0)  # what was dropped, what is listed and what is encoded first: each takes a while
        found = list_tasks(store, request.filters(TASK_FILTERS))
        await asyncio.sleep(0)
        return json_list_response(found, self._json.text)

    def _document(self, value: Task) -> dict[str, Any]:
        store = self.control().store
        service = store.services.get(value.service_id)
        last = service.spec.mode.total_completions if service is not None and value.slot else None
        return render.task(value, last_slot=last or 0, networks=attachments(store, value.attachments))

    async def inspect(self, request: Request) -> Response:
        found = self.control().store.task(request.params["id"])
        return Response(200, self._json.text(found) + b"\n", dict(_JSON))
