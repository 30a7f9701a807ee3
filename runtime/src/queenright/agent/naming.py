# SPDX-License-Identifier: Apache-2.0
"""In which of the node's networks names are answered: in all that the kernel has made."""

from __future__ import annotations

import logging
from collections.abc import Collection

from queenright.agent.mesh_ports import Kernel, NameServer

log = logging.getLogger(__name__)


class Naming:
    """Opens sockets in the networks' sandboxes and hands them to the server."""

    def __init__(self, kernel: Kernel, server: NameServer) -> None:
        self._kernel = kernel
        self._server = server
        self._served: set[str] = set()
        self.errors: dict[str, str] = {}  # by network id: why names are not answered there

    async def follow(self, made: Collection[str], renewed: Collection[str]) -> None:
        """Answer in just these networks. ``renewed``: their sandboxes are new, so that the old sockets hear nothing."""
        for network_id in sorted(self._served - set(made)):
            self._served.discard(network_id)
            await self._server.stop(network_id)
        self._served -= set(renewed)
        self.errors = {}
        for network_id in sorted(set(made) - self._served):
            try:
                await self._server.serve(network_id, await self._kernel.dns_sockets(network_id))
            except Exception as error:
                if not isinstance(error, OSError):
                    log.exception("names cannot be answered", extra={"network": network_id})
                self.errors[network_id] = f"names cannot be answered in this network: {error}"
            else:
                self._served.add(network_id)
