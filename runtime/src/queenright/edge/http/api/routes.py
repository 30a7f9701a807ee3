# SPDX-License-Identifier: Apache-2.0
"""All handlers of the swarm side, put on one router."""

from __future__ import annotations

from typing import Any

from queenright.edge.http.api.data import DataHandlers
from queenright.edge.http.api.networks import NetworkHandlers
from queenright.edge.http.api.nodes import NodeHandlers
from queenright.edge.http.api.queenright import QueenrightHandlers
from queenright.edge.http.api.services import ServiceHandlers
from queenright.edge.http.api.swarm import SwarmHandlers
from queenright.edge.http.api.tasks import TaskHandlers
from queenright.edge.http.router import Router
from queenright.edge.http.upstream import Upstream
from queenright.manager.ports import Host


class Routes:
    """The swarm side of the host socket of one host. ``version`` is the runtime's own."""

    def __init__(self, host: Host, upstream: Upstream, *, version: str) -> None:
        self._swarm = SwarmHandlers(host)
        self._others = (
            NodeHandlers(host),
            ServiceHandlers(host),
            TaskHandlers(host),
            DataHandlers(host),
            NetworkHandlers(host),
            QueenrightHandlers(host, upstream, version),
        )

    def register(self, router: Router) -> None:
        """Add all routes to ``router``."""
        self._swarm.register(router)
        for handlers in self._others:
            handlers.register(router)

    def swarm_state(self) -> str:
        """For the ``Swarm`` header of ``/_ping``."""
        return self._swarm.ping_state()

    async def swarm_info(self) -> dict[str, Any]:
        """For the ``Swarm`` object of ``/info``."""
        return await self._swarm.info()
