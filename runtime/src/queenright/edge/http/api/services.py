# SPDX-License-Identifier: Apache-2.0
"""``/services``: create, list, inspect, update, roll back, remove."""

from __future__ import annotations

from typing import Any

from queenright.edge.http.api import render
from queenright.edge.http.api.base import Handlers, version_of
from queenright.edge.http.api.body import get
from queenright.edge.http.api.json_cache import JsonCache
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response, json_list_response, json_response
from queenright.edge.http.router import Router
from queenright.manager.ports import Host
from queenright.manager.views import SERVICE_FILTERS, list_services
from queenright.spec.fields import decode
from queenright.spec.service import ServiceSpec

NETWORKS_IN_TASK = (1, 44)  # since then a service's top-level Networks are ignored


class ServiceHandlers(Handlers):
    """Handlers of ``/services``."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._json = JsonCache(render.service)

    def register(self, router: Router) -> None:
        router.add("GET", "/services", self.list, abandon=True)
        router.add("POST", "/services/create", self.create)
        router.add("GET", "/services/{id}", self.inspect, abandon=True)
        router.add("DELETE", "/services/{id}", self.remove)
        router.add("POST", "/services/{id}/update", self.update)

    async def list(self, request: Request) -> Response:
        store = self.control().store
        found = list_services(store, request.filters(SERVICE_FILTERS))
        self._json.forget_but(len(store.services), store.services.ids())
        if not request.flag("status"):
            return json_list_response(map(self._json.text, found))
        return json_list_response(
            self._json.text_with(value, "ServiceStatus", render.service_status(store, value)) for value in found
        )

    async def create(self, request: Request) -> Response:
        control = self.control()
        spec = service_spec(request)
        created = await control.services.create(spec, request.headers.get("x-registry-auth", ""))
        return json_response({"ID": created}, 201)

    async def inspect(self, request: Request) -> Response:
        found = self.control().store.service(request.params["id"])
        return json_response(render.service(found, insert_defaults=request.flag("insertDefaults")))

    async def update(self, request: Request) -> Response:
        control, ref, version = self.control(), request.params["id"], version_of(request)
        rollback = request.text("rollback")
        if rollback == "previous":
            await control.services.rollback(ref, version)
        elif rollback not in ("", "none"):
            raise ApiError(400, f"unrecognized rollback option {rollback}")
        else:
            await control.services.update(
                ref,
                version,
                service_spec(request),
                registry_auth=request.headers.get("x-registry-auth", ""),
                registry_auth_from=request.text("registryAuthFrom"),
            )
        return json_response({"Warnings": None})

    async def remove(self, request: Request) -> Response:
        await self.control().services.remove(request.params["id"])
        return Response(200)


def service_spec(request: Request) -> ServiceSpec:
    """The spec in the body. `ApiError` 400 in Docker's words if it has no container, SpecError for wrong values."""
    document = request.json()
    if get(document, "TaskTemplate", "ContainerSpec") is None:
        refused = get(document, "TaskTemplate", "PluginSpec") or get(document, "TaskTemplate", "NetworkAttachmentSpec")
        if not refused:
            raise ApiError(400, "mismatched Runtime and *Spec fields")
    if request.version is not None and request.version < NETWORKS_IN_TASK:
        document = _fold_networks(document)
    return decode(ServiceSpec, document, version=request.version)


def _fold_networks(document: dict[str, Any]) -> dict[str, Any]:
    networks = get(document, "Networks")
    template = get(document, "TaskTemplate")
    if not networks or not isinstance(template, dict) or get(template, "Networks"):
        return document
    rest = {key: value for key, value in document.items() if key.lower() != "tasktemplate"}
    kept = {key: value for key, value in template.items() if key.lower() != "networks"}
    return {**rest, "TaskTemplate": {**kept, "Networks": networks}}
