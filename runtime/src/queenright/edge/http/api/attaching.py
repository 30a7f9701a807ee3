# SPDX-License-Identifier: Apache-2.0
"""Containers that are dockerd's, and of no service, are kept out of the swarm's networks, in clear words.

Addresses there are given by the managers, who know nothing of such a container: dockerd would find none for it, or
take one that is a task's.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from queenright.edge.http.api import render_network
from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.body import get
from queenright.edge.http.errors import ApiError, EngineUnreachableError
from queenright.edge.http.messages import Request
from queenright.edge.http.router import PASS, Pass, Router
from queenright.edge.http.upstream import Upstream
from queenright.manager.ports import Host
from queenright.manager.view_networks import find_network

OF_NODE = frozenset({"", "default", "bridge", "host", "none"})
REFUSED = (
    "network {name} is the swarm's: containers that are of no service cannot be attached to it by this version of "
    "queenright. Create a service in it (docker service create --network {name} ...)"
)


class AttachingHandlers(Handlers):
    """Looks at what names a network for a container; all of it goes on to dockerd, or is refused (403)."""

    def __init__(self, host: Host, upstream: Upstream) -> None:
        super().__init__(host)
        self._upstream = upstream

    def register(self, router: Router) -> None:
        router.add("POST", "/containers/create", self.create, local=True)
        router.add("POST", "/networks/{id}/connect", self.connect, local=True)

    async def create(self, request: Request) -> Pass:
        if self._member():
            for name in _named(request):
                await self._check(name)
        return PASS

    async def connect(self, request: Request) -> Pass:
        if self._member():
            await self._check(request.params["id"])
        return PASS

    def _member(self) -> bool:
        return self.host.local_state().state != "inactive"

    async def _check(self, name: str) -> None:
        """Refuse a network of the swarm. What dockerd has of its own by that name is none."""
        if name in OF_NODE or name.startswith("container:"):
            return
        try:
            reply = await self._upstream.request("GET", f"/networks/{quote(name, safe='')}")
            local = json.loads(reply.body) if reply.status == 200 else None
        except (EngineUnreachableError, ValueError):
            return  # dockerd says so itself
        if isinstance(local, dict):
            if render_network.owner(local):
                raise ApiError(403, REFUSED.format(name=local.get("Name") or name))
            return
        control = self.running()
        found = find_network(control.store, name) if control is not None else None
        if found is not None:
            raise ApiError(403, REFUSED.format(name=found.name))


def _named(request: Request) -> list[str]:
    """The networks that a container is to be in. What cannot be read is for dockerd to refuse."""
    try:
        document = request.json()
    except ApiError:
        return []
    mode = get(document, "HostConfig", "NetworkMode")
    endpoints = get(document, "NetworkingConfig", "EndpointsConfig")
    names = [mode] if isinstance(mode, str) else []
    return list(dict.fromkeys([*names, *(endpoints if isinstance(endpoints, dict) else ())]))
