# SPDX-License-Identifier: Apache-2.0
"""``/secrets`` and ``/configs``: there are none yet. Lists are empty, so that clients that only look go on working."""

from __future__ import annotations

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response, json_list_response
from queenright.edge.http.router import Router

FILTERS = {"secrets": ("id", "label", "name", "names"), "configs": ("id", "label", "name")}


class DataHandlers(Handlers):
    """Handlers of ``/secrets`` and ``/configs``."""

    def register(self, router: Router) -> None:
        for kind in FILTERS:
            router.add("GET", f"/{kind}", self.list, abandon=True)
            router.add("POST", f"/{kind}/create", self.create)
            router.add("GET", f"/{kind}/{{id}}", self.missing, abandon=True)
            router.add("DELETE", f"/{kind}/{{id}}", self.missing)
            router.add("POST", f"/{kind}/{{id}}/update", self.missing)

    async def list(self, request: Request) -> Response:
        self.control()
        request.filters(FILTERS[_kind(request)])
        return json_list_response([])

    async def create(self, request: Request) -> Response:
        self.control()
        raise ApiError(501, f"{_kind(request)} are not supported by this version of queenright")

    async def missing(self, request: Request) -> Response:
        self.control()
        raise ApiError(404, f"{_kind(request).removesuffix('s')} {request.params['id']} not found")


def _kind(request: Request) -> str:
    return request.path.split("/")[1]
