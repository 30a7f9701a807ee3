# SPDX-License-Identifier: Apache-2.0
"""``/secrets`` and ``/configs``: create, list, inspect, relabel, remove; and what the Engine API lacks: prune, and the
list of the registries that the swarm has credentials for.

A secret's data comes in here and goes out nowhere; a config's is shown, as Docker does.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from queenright.edge.http.api.base import Handlers, version_of
from queenright.edge.http.api.body import get
from queenright.edge.http.api.render import timestamp
from queenright.edge.http.api.until import until
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response, encode, json_list_response, json_response
from queenright.edge.http.router import Router
from queenright.manager.control_data import DataControl
from queenright.manager.data_kinds import CONFIG, KINDS, Data, DataKind
from queenright.manager.prune import Only, prune
from queenright.manager.view_data import labels_of, list_data, list_registries
from queenright.model.objects import Registry
from queenright.spec import fields
from queenright.spec.fields import decode

FILTERS = {"secret": ("id", "label", "name", "names"), "config": ("id", "label", "name")}
PRUNE_FILTERS = ("label", "label!", "until")
TEMPLATING_SINCE = (1, 37)
_URL_SAFE = str.maketrans("-_", "+/")


class DataHandlers(Handlers):
    """Handlers of ``/secrets``, ``/configs`` and of what belongs to them under ``/queenright/v1``."""

    def register(self, router: Router) -> None:
        for kind in KINDS:
            path = f"/{kind.name}s"
            router.add("GET", path, self.list, abandon=True)
            router.add("POST", f"{path}/create", self.create)
            router.add("GET", f"{path}/{{id}}", self.inspect, abandon=True)
            router.add("DELETE", f"{path}/{{id}}", self.remove)
            router.add("POST", f"{path}/{{id}}/update", self.update)
            router.add("POST", f"/queenright/v1{path}/prune", self.prune, plans=True)
        router.add("GET", "/queenright/v1/registries", self.registries, abandon=True)

    async def list(self, request: Request) -> Response:
        store, kind = self.control().store, _kind(request)
        found = list_data(store, kind, request.filters(FILTERS[kind.name]))
        return json_list_response(encode(_render(kind, one)) for one in found)

    async def create(self, request: Request) -> Response:
        control, kind = self._data(request), _kind(request)
        document = request.json()
        _check_templating(kind, document, request)
        spec = decode(kind.spec, document, version=request.version)
        key = await control.create(spec, _data(document) or b"")
        return json_response({"ID": key}, 201)

    async def inspect(self, request: Request) -> Response:
        return json_response(_render(_kind(request), self._data(request).find(request.params["id"])))

    async def update(self, request: Request) -> Response:
        control, kind, version = self._data(request), _kind(request), version_of(request)
        document = request.json()
        _check_templating(kind, document, request)
        spec = decode(kind.spec, document, version=request.version)
        await control.update(request.params["id"], version, spec, _data(document))
        return Response(200)

    async def remove(self, request: Request) -> Response:
        await self._data(request).remove(request.params["id"])
        return Response(204)

    async def prune(self, request: Request) -> Response:
        """Remove those that nobody needs; with ``dry_run=1`` only say which. The newest version of ``spare`` stays."""
        control, kind, filters = self.control(), _kind(request), request.filters(PRUNE_FILTERS)
        await control.fresh()
        now = control.context.clock.wall()
        only = Only(
            labels=labels_of(filters.get("label", ())),
            without=labels_of(filters.get("label!", ())),
            until=until(filters.get("until", ()), now),
            spare=request.text("spare"),
        )
        gone = await prune(control.context, kind, only, dry_run=request.flag("dry_run"))
        return json_response({"deleted": [{"id": one.id, "name": one.name} for one in gone]})

    async def registries(self, request: Request) -> Response:
        """For which registries there are credentials, and whose; never the credentials."""
        return json_list_response(_registry(one) for one in list_registries(self.control().store))

    def _data(self, request: Request) -> DataControl:
        control = self.control()
        return control.configs if _kind(request) is CONFIG else control.secrets


def _kind(request: Request) -> DataKind:
    part = next(part for part in request.path.split("/") if part in ("secrets", "configs"))
    return next(kind for kind in KINDS if part == f"{kind.name}s")


def _check_templating(kind: DataKind, document: dict[str, Any], request: Request) -> None:
    """Older clients cannot mean it."""
    if request.version is not None and request.version < TEMPLATING_SINCE and get(document, "Templating") is not None:
        version = ".".join(map(str, request.version))
        raise ApiError(400, f"{kind.name} templating is not supported on the specified API version: {version}")


def _data(document: dict[str, Any]) -> bytes | None:
    """The bytes under ``Data``, in either alphabet of base64. `ApiError` 400, which quotes nothing."""
    text = get(document, "Data")
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise ValueError
        return base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except (ValueError, binascii.Error):
        raise ApiError(400, "invalid JSON: Data: expected base64") from None


def _render(kind: DataKind, value: Data) -> dict[str, Any]:
    spec = fields.encode(value.spec)
    if kind is CONFIG:
        spec["Data"] = base64.b64encode(value.data).decode("ascii")
    return {**_meta(value), "Spec": spec}


def _registry(value: Registry) -> dict[str, Any]:
    return {**_meta(value), "Spec": fields.encode(value.spec)}


def _meta(value: Data | Registry) -> dict[str, Any]:
    return {
        "ID": value.id,
        "Version": {"Index": value.version},
        "CreatedAt": timestamp(value.created_at),
        "UpdatedAt": timestamp(value.updated_at),
    }
