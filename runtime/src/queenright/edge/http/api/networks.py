# SPDX-License-Identifier: Apache-2.0
"""The two calls of ``/networks`` that are about the swarm; all others are dockerd's.

A member's dockerd is in no swarm, so it knows neither the swarm's predefined networks, which the CLI looks up before it
attaches a service to them, nor may it answer for overlay networks.
"""

from __future__ import annotations

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.body import get
from queenright.edge.http.api.render import ZERO_TIME
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import PASS, Pass, Router
from queenright.manager.checks import PREDEFINED_NETWORKS
from queenright.manager.texts import NEEDS_MESH

PREDEFINED_LABEL = "com.docker.swarm.predefined"


class NetworkHandlers(Handlers):
    """Handlers of ``/networks``."""

    def register(self, router: Router) -> None:
        router.add("GET", "/networks/{id}", self.inspect, abandon=True, local=True)
        router.add("POST", "/networks/create", self.create, local=True)

    async def inspect(self, request: Request) -> Response | Pass:
        """A predefined network as the swarm sees it, if that is asked for. Its id is its name."""
        name = request.params["id"]
        if request.text("scope") != "swarm" or name not in PREDEFINED_NETWORKS or not self._member():
            return PASS
        self.control()
        return json_response(
            {
                "Name": name,
                "Id": name,
                "Created": ZERO_TIME,
                "Scope": "swarm",
                "Driver": name,
                "EnableIPv6": False,
                "IPAM": {"Driver": "", "Options": None, "Config": []},
                "Internal": False,
                "Attachable": False,
                "Ingress": False,
                "ConfigFrom": {"Network": ""},
                "ConfigOnly": False,
                "Containers": None,
                "Options": None,
                "Labels": {PREDEFINED_LABEL: "true"},
            }
        )

    async def create(self, request: Request) -> Response | Pass:
        """Refuse networks of the swarm in our words; dockerd would say that this host is in no swarm."""
        if not self._member():
            return PASS
        document = request.json()
        overlay = get(document, "Driver") == "overlay"
        if not (overlay or get(document, "Scope") == "swarm" or get(document, "Ingress") is True):
            return PASS
        self.control()
        raise ApiError(
            400,
            f"an overlay network {NEEDS_MESH}: tasks get their node's bridge network, and the services' ports are "
            "reached in host mode",
        )

    def _member(self) -> bool:
        return self.host.local_state().state != "inactive"
