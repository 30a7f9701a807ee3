# SPDX-License-Identifier: Apache-2.0
"""``/services``: create, list, inspect, update, roll back, remove."""

from __future__ import annotations

from typing import Any

from queenright.decide.base import Now
from queenright.decide.narrate import waiting_for
from queenright.edge.http.api import render
from queenright.edge.http.api.base import Handlers, version_of
from queenright.edge.http.api.body import get
from queenright.edge.http.api.json_cache import JsonCache, with_key
from queenright.edge.http.api.standing import leads
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response, encode, json_list_response, json_response
from queenright.edge.http.router import Router
from queenright.manager.pinning import Warnings, pinned_spec
from queenright.manager.ports import Host
from queenright.manager.views import SERVICE_FILTERS, list_services
from queenright.model.objects import Service
from queenright.spec.fields import decode
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store

CLIENT_PINS = (1, 30)  # since then clients pin images to their digests themselves
NETWORKS_IN_TASK = (1, 44)  # since then a service's top-level Networks are ignored


class ServiceHandlers(Handlers):
    """Handlers of ``/services``."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._json = JsonCache(render.service)
        self._waiting: dict[str, tuple[Service, int, int, bytes]] = {}  # of updates: JSON as of an index and a second

    def register(self, router: Router) -> None:
        router.add("GET", "/services", self.list, abandon=True)
        router.add("POST", "/services/create", self.create)
        router.add("GET", "/services/{id}", self.inspect, abandon=True)
        router.add("DELETE", "/services/{id}", self.remove)
        router.add("POST", "/services/{id}/update", self.update)

    async def list(self, request: Request) -> Response:
        store = self.control().store
        found = list_services(store, request.filters(SERVICE_FILTERS))
        self._json.forget_but(len(store.services), store.services)
        status = request.flag("status")

        def text(value: Service) -> bytes:
            plain = self._text(store, value)
            return with_key(plain, "ServiceStatus", render.service_status(store, value)) if status else plain

        return json_list_response(found, text)

    def _text(self, store: Store, value: Service) -> bytes:
        """The service's JSON. While it is updated, that says what the update waits for now: finding that out takes as
        long as the service is large, so it is kept until something is written, for a second at most.
        """
        if value.update_status is None or not (value.update_status.state.active or value.update_status.state.paused):
            return self._json.text(value)
        second = int(self.control().context.clock.mono())
        known = self._waiting.get(value.id)
        if known is not None and known[0] is value and known[1:3] == (store.index, second):
            return known[3]
        text = encode(render.service(value, waits=self._waits(store, value)))
        if len(self._waiting) > len(store.services):
            self._waiting.clear()
        self._waiting[value.id] = (value, store.index, second, text)
        return text

    def _waits(self, store: Store, value: Service) -> str:
        clock = self.control().context.clock
        return waiting_for(store, value, Now(clock.wall(), clock.mono()))

    async def create(self, request: Request) -> Response:
        control = self.control()
        auth = request.headers.get("x-registry-auth", "")
        spec, warnings = await self._pinned(request, None, auth)
        created = await control.services.create(spec, auth)
        return json_response({"ID": created} | ({"Warnings": warnings} if warnings else {}), 201)

    async def inspect(self, request: Request) -> Response:
        """The service. The leader, which nodes tell of their networks, also says where its ports answer."""
        control = self.control()
        store = control.store
        found = store.service(request.params["id"])
        insert = request.flag("insertDefaults")
        document = render.service(found, insert_defaults=insert, waits=self._waits(store, found))
        ports = control.mesh.ports(found) if leads(control) else []
        return json_response(
            document | ({"PortReadiness": [render.readiness(port) for port in ports]} if ports else {})
        )

    async def update(self, request: Request) -> Response:
        control, ref, version = self.control(), request.params["id"], version_of(request)
        rollback, warnings = request.text("rollback"), None
        if rollback == "previous":
            await control.services.rollback(ref, version)
        elif rollback not in ("", "none"):
            raise ApiError(400, f"unrecognized rollback option {rollback}")
        else:
            held, auth = control.store.service(ref), request.headers.get("x-registry-auth", "")
            spec, warnings = await self._pinned(request, held.spec, auth or held.registry_auth)
            await control.services.update(
                ref, version, spec, registry_auth=auth, registry_auth_from=request.text("registryAuthFrom")
            )
        return json_response({"Warnings": warnings})

    async def _pinned(
        self, request: Request, held: ServiceSpec | None, auth: str
    ) -> tuple[ServiceSpec, Warnings | None]:
        """The spec in the body, and warnings. Old clients expect that its image is pinned here."""
        spec = service_spec(request)
        if request.version is None or request.version >= CLIENT_PINS:
            return spec, None
        spec, warnings = await pinned_spec(self.control().context, spec, held, auth)
        return spec, warnings or None

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
