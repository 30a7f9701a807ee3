# SPDX-License-Identifier: Apache-2.0
"""The host socket in front of a dockerd, as a process: ``python serve.py DOCKER_SOCKET OUR_SOCKET``."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from queenright.edge.http import listener
from queenright.edge.http.engine_routes import EngineRoutes
from queenright.edge.http.router import Router
from queenright.edge.http.server import Server
from queenright.edge.http.upstream import Upstream


async def swarm_info() -> dict[str, object]:
    return {"NodeID": "from-queenright", "NodeAddr": "192.0.2.1", "LocalNodeState": "inactive", "RemoteManagers": None}


async def main(docker: str, ours: str) -> None:
    logging.basicConfig(level=logging.INFO)
    router, upstream = Router(), Upstream(docker)
    EngineRoutes(upstream, version="0.1.0", swarm_state=lambda: "inactive", swarm_info=swarm_info).register(router)
    server = Server(router, upstream)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server.start(listener.bind(ours))
    await stop.wait()
    await server.stop()


asyncio.run(main(sys.argv[1], sys.argv[2]))
