# SPDX-License-Identifier: Apache-2.0
"""The server of the host socket: accepts clients, and ends them in good order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable

from queenright.edge.http.caller import caller_of
from queenright.edge.http.calling import MapError
from queenright.edge.http.connection import Connection, Phase, Site
from queenright.edge.http.errors import ApiError
from queenright.edge.http.listener import Listening
from queenright.edge.http.router import Router
from queenright.edge.http.stream import Stream
from queenright.edge.http.upstream import Upstream

MAX_BODY = 4 * 1024 * 1024
MOST_CONNECTIONS = 4096
ACCEPT_PAUSE = 0.5

_log = logging.getLogger(__name__)


def _map_nothing(error: Exception) -> ApiError | None:
    return None


class Server:
    """Serves the routes of ``router`` and passes everything else to dockerd.

    ``map_error`` turns exceptions of handlers into answers; ``max_body`` limits bodies of our own routes in bytes.
    """

    def __init__(
        self, router: Router, upstream: Upstream, *, map_error: MapError = _map_nothing, max_body: int = MAX_BODY
    ) -> None:
        self._site = Site(router, upstream, map_error, max_body)
        self._listening: Listening | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}

    def start(self, listening: Listening) -> None:
        """Accept clients from a socket made by `listener.bind` or `listener.adopt`, which we then own."""
        if self._listening is not None:
            raise RuntimeError("the server of the host socket is started already")
        listening.sock.setblocking(False)
        self._listening = listening
        self._accepting = asyncio.create_task(self._accept(listening.sock), name="host socket")

    async def stop(self, *, own_grace: float = 8.0, stream_grace: float = 2.0) -> None:
        """Take no more requests, wait for the running ones, cut what is left.

        Calls of ours may take ``own_grace`` seconds more. Calls of dockerd's (logs, events, attach) and those of ours
        that only wait or stream are cut after ``stream_grace``. Clients that wait to be accepted are refused, and the
        file of the socket is removed.
        """
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait({self._accepting})
        if self._listening is not None:
            self._listening.close()
        for connection in self._connections.values():
            connection.finish()
        await self._wait(self._connections, min(own_grace, stream_grace))
        await self._cut(task for task, each in self._connections.items() if each.phase is not Phase.OWN)
        await self._wait(self._connections, own_grace - stream_grace)
        await self._cut(self._connections)
        self._site.upstream.close()

    @property
    def connections(self) -> int:
        """Number of clients connected now."""
        return len(self._connections)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:  # out of file descriptors: those in use go on, and will become free
                _log.warning("the host socket cannot accept a client: %s", error)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            if len(self._connections) >= MOST_CONNECTIONS:
                _log.warning("the host socket has %d clients: one more is refused", len(self._connections))
                sock.close()
                await asyncio.sleep(0)
                continue
            caller = caller_of(sock)
            connection = Connection(Stream(sock), self._site, caller)
            task = asyncio.create_task(connection.serve())
            self._connections[task] = connection
            task.add_done_callback(self._connections.pop)

    async def _wait(self, tasks: Iterable[asyncio.Task[None]], seconds: float) -> None:
        if pending := set(tasks):
            await asyncio.wait(pending, timeout=max(0.0, seconds))

    async def _cut(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        if pending := set(tasks):
            for task in pending:
                task.cancel()
            await asyncio.wait(pending)
