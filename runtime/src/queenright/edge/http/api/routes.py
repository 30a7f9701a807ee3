# SPDX-License-Identifier: Apache-2.0
"""All handlers of the swarm side, put on one router."""

from __future__ import annotations

from typing import Any

from queenright.edge.http.api.attaching import AttachingHandlers
from queenright.edge.http.api.authority import AuthorityHandlers
from queenright.edge.http.api.data import DataHandlers
from queenright.edge.http.api.events import EventHandlers
from queenright.edge.http.api.gate import Gate
from queenright.edge.http.api.gateway import Gateway
from queenright.edge.http.api.handing import Ids
from queenright.edge.http.api.logs import LogHandlers
from queenright.edge.http.api.networks import OWN_PRUNE, NetworkHandlers
from queenright.edge.http.api.nodes import NodeHandlers
from queenright.edge.http.api.queenright import QueenrightHandlers
from queenright.edge.http.api.services import ServiceHandlers
from queenright.edge.http.api.stacks import StackHandlers
from queenright.edge.http.api.standing import cut_off
from queenright.edge.http.api.swarm import SwarmHandlers
from queenright.edge.http.api.tasks import TaskHandlers
from queenright.edge.http.api.watch import WatchHandlers
from queenright.edge.http.forwarding import Forwarder
from queenright.edge.http.router import Router
from queenright.edge.http.upstream import Upstream
from queenright.manager.ports import Host


class Routes:
    """The swarm side of the host socket of one host. ``version`` is the runtime's own.

    ``forwarder`` is the way to another manager that leads, ``ids`` gives new names for calls on that way; ``gateway``
    serves the calls that other managers hand on to this one.
    """

    def __init__(
        self,
        host: Host,
        upstream: Upstream,
        *,
        version: str,
        forwarder: Forwarder | None = None,
        ids: Ids | None = None,
    ) -> None:
        self._swarm = SwarmHandlers(host)
        self._gate = Gate(host, forwarder, ids)
        self._table = Router()
        networks = NetworkHandlers(host, upstream)
        for handlers in (
            self._swarm,
            NodeHandlers(host),
            ServiceHandlers(host),
            TaskHandlers(host),
            LogHandlers(host),
            DataHandlers(host),
            networks,
            AttachingHandlers(host, upstream),
            QueenrightHandlers(host, upstream, version),
            StackHandlers(host),
            AuthorityHandlers(host),
            EventHandlers(host, upstream),
            WatchHandlers(host),
        ):
            handlers.register(self._table)
        found = self._table.find("POST", OWN_PRUNE)
        assert found is not None
        networks.lead = self._gate.around(found[0])
        self.gateway = Gateway(self._table, self._gate, host)

    def register(self, router: Router) -> None:
        """Add all routes to ``router``."""
        for route in self._table:
            router.add(route.method, route.pattern, self._gate.around(route), abandon=route.abandon, root=route.root)

    def swarm_state(self) -> str:
        """For the ``Swarm`` header of ``/_ping``."""
        return self._swarm.ping_state()

    def stale(self) -> bool:
        """Whether this manager hears of no majority, so that what it tells may be old."""
        control = self._swarm.running()
        return control is not None and cut_off(control)

    async def swarm_info(self) -> dict[str, Any]:
        """For the ``Swarm`` object of ``/info``."""
        return await self._swarm.info()
