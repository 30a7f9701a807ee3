# SPDX-License-Identifier: Apache-2.0
"""``/networks``: those of the swarm are ours, those of the host are dockerd's, and lists show both.

For a network of the swarm that a host uses, its dockerd has a network of the same name, which is marked. It is never
shown beside the one that it stands for; on workers, which know no other, it is shown as that.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from queenright.edge.http.api import render_network
from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.body import get
from queenright.edge.http.api.until import until
from queenright.edge.http.errors import ApiError, EngineUnreachableError
from queenright.edge.http.filters import parse_filters
from queenright.edge.http.messages import Request, Response, json_list_response, json_response
from queenright.edge.http.router import PASS, Handler, Pass, Router
from queenright.edge.http.upstream import Upstream
from queenright.manager.control import Control
from queenright.manager.ports import Host
from queenright.manager.prune import Only
from queenright.manager.view_data import labels_of
from queenright.manager.view_networks import find_network, list_networks
from queenright.model.objects import Network
from queenright.spec.fields import decode
from queenright.spec.network import OVERLAY, PREDEFINED, NetworkSpec

PRUNE_FILTERS = ("label", "label!", "until")
OWN = "/queenright/v1/networks"
OWN_PRUNE = f"{OWN}/prune"
FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
ATTACHABLE = (
    "containers that are of no service cannot be attached to networks of the swarm by this version of queenright"
)


class NetworkHandlers(Handlers):
    """Handlers of ``/networks``. ``lead`` is set by who puts a gate before the routes: a write that the leader does."""

    def __init__(self, host: Host, upstream: Upstream) -> None:
        super().__init__(host)
        self._upstream = upstream
        self.lead: Handler = self.prune_own

    def register(self, router: Router) -> None:
        router.add("GET", "/networks", self.list, abandon=True, local=True)
        router.add("GET", "/networks/{id}", self.inspect, abandon=True, ours=self._shows)
        router.add("POST", "/networks/create", self.create, ours=self._creates)
        router.add("DELETE", "/networks/{id}", self.remove, ours=self._holds)
        router.add("POST", "/networks/prune", self.prune, local=True, plans=True)
        router.add("GET", OWN, self.list_own, abandon=True)
        router.add("POST", OWN_PRUNE, self.prune_own, plans=True)

    # -- which calls are ours

    def _shows(self, request: Request) -> bool:
        return self._holds(request) or (request.text("scope") == "swarm" and self._member())

    def _holds(self, request: Request) -> bool:
        control = self.running()
        return control is not None and find_network(control.store, request.params["id"]) is not None

    def _creates(self, request: Request) -> bool:
        if not self._member():
            return False
        document = request.json()
        overlay = get(document, "Driver") == OVERLAY
        return overlay or get(document, "Scope") == "swarm" or get(document, "Ingress") is True

    def _member(self) -> bool:
        return self.host.local_state().state != "inactive"

    # -- reads

    async def list(self, request: Request) -> Response | Pass:
        """The swarm's networks, then the host's own."""
        if not self._member():
            return PASS
        query = urlencode(request.query, doseq=True)
        local = await self._upstream.json("GET", f"{_prefix(request)}/networks" + (f"?{query}" if query else ""))
        control, own = self.running(), local if isinstance(local, list) else []
        if control is None:
            return json_list_response(render_network.of_node(one) if render_network.owner(one) else one for one in own)
        found = list_networks(control.store, parse_filters(request.text("filters")))
        shown = [render_network.network(one, request.version) for one in found]
        return json_list_response([*shown, *(one for one in own if not render_network.owner(one))])

    async def list_own(self, request: Request) -> Response:
        """The swarm's networks alone: nobody else is asked."""
        found = list_networks(self.control().store, request.filters(FILTERS))
        return json_list_response(_whole(one, request) for one in found)

    async def inspect(self, request: Request) -> Response:
        """A network of the swarm; a predefined one as the swarm sees it, if that is asked for."""
        store, name = self.control().store, request.params["id"]
        found = find_network(store, name)
        if found is None:
            if name in PREDEFINED:
                return json_response(render_network.predefined(name))
            raise ApiError(404, f"network {name} not found")
        document = _whole(found, request)
        if request.text("scope") != "swarm":
            document["Containers"] = await self._containers(found)
        if request.flag("verbose"):
            document |= render_network.verbose(store, found)
        return json_response(document)

    async def _containers(self, found: Network) -> dict[str, Any]:
        """The host's containers in the network, as its dockerd shows them."""
        try:
            reply = await self._upstream.request("GET", f"/networks/{quote(found.name, safe='')}")
            local = json.loads(reply.body) if reply.status == 200 else {}
        except (EngineUnreachableError, ValueError):
            return {}
        return (local.get("Containers") or {}) if render_network.owner(local) == found.id else {}

    # -- writes

    async def create(self, request: Request) -> Response:
        control, document = self.control(), request.json()
        driver = get(document, "Driver")
        if driver not in (None, "", OVERLAY):
            raise ApiError(400, f"networks of the swarm are of driver {OVERLAY}, not {driver}")
        if get(document, "Scope") not in (None, "", "swarm"):
            raise ApiError(400, f"a network of driver {OVERLAY} is of scope swarm")
        if get(document, "EnableIPv4") is False:
            raise ApiError(400, "networks of the swarm always have IPv4: leave out --ipv4=false (--ipv6 adds IPv6)")
        spec = decode(NetworkSpec, _without_empty(document), version=request.version)
        key = await control.networks.create(spec)
        return json_response({"Id": key, "Warning": ATTACHABLE if spec.attachable else ""}, 201)

    async def remove(self, request: Request) -> Response:
        await self.control().networks.remove(request.params["id"])
        return Response(204)

    async def prune(self, request: Request) -> Response | Pass:
        """The host's unused networks, and on a manager the swarm's."""
        if self.running() is None:
            return PASS
        gone: list[str] = []
        if not request.flag("dry_run"):
            query = urlencode(request.query, doseq=True)
            target = f"{_prefix(request)}/networks/prune" + (f"?{query}" if query else "")
            local = await self._upstream.json("POST", target)
            gone = list((local or {}).get("NetworksDeleted") or ())
        answer = await self.lead(Request("POST", OWN_PRUNE, request.version, request.query, request.headers))
        if isinstance(answer, Response) and isinstance(answer.body, bytes):
            names = [one["name"] for one in json.loads(answer.body)["deleted"]]
            gone = [*names, *(name for name in gone if name not in names)]
        return json_response({"NetworksDeleted": gone or None})

    async def prune_own(self, request: Request) -> Response:
        """Remove the swarm's networks that nobody needs; with ``dry_run=1`` only say which."""
        control, filters = self.control(), request.filters(PRUNE_FILTERS)
        await control.fresh()
        gone = await control.networks.prune(_only(control, filters), dry_run=request.flag("dry_run"))
        return json_response({"deleted": [{"id": one.id, "name": one.name} for one in gone]})


def _whole(found: Network, request: Request) -> dict[str, Any]:
    """The network, and what it lacks."""
    document = render_network.network(found, request.version)
    return document | ({"Error": found.error} if found.error else {})


def _only(control: Control, filters: Any) -> Only:
    return Only(
        labels=labels_of(filters.get("label", ())),
        without=labels_of(filters.get("label!", ())),
        until=until(filters.get("until", ()), control.context.clock.wall()),
    )


def _prefix(request: Request) -> str:
    return f"/v{request.version[0]}.{request.version[1]}" if request.version else ""


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """Without a reference to a configuration that names none: some clients send it always."""
    return {
        key: value
        for key, value in document.items()
        if key.lower() != "configfrom" or not isinstance(value, dict) or get(value, "Network")
    }
