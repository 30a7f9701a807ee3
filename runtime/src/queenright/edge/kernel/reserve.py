# SPDX-License-Identifier: Apache-2.0
"""Published ports are held on the host by sockets of ours: who else wants one is told, and so are we.

What the host's table hands over never comes to these sockets. What it cannot hand over does, and is relayed to the
sandbox here: connections to [::1], those of IPv6 clients where the ingress network has no IPv6, and for a moment all of
them, should somebody flush the table. Belongs to the event loop's thread.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from queenright.edge.kernel.balancer import LINK4
from queenright.edge.kernel.holders import holder
from queenright.edge.kernel.relay import BACKLOG, Datagrams, OpenSocket, Streams

Key = tuple[str, int]

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Ports:
    """The ports that are held, by protocol and number. ``on_worker`` runs a function on the host's worker."""

    def __init__(self, open_socket: OpenSocket, on_worker: Callable[[Callable[[], str]], Awaitable[str]]) -> None:
        self._open = open_socket
        self._on_worker = on_worker
        self._held: dict[Key, list[Streams | Datagrams]] = {}

    async def bring(self, wanted: Iterable[Key]) -> dict[Key, str]:
        """Hold exactly these. The ones that cannot be had, with the reason; a later call tries them again."""
        keys = set(wanted)
        for key in [key for key in self._held if key not in keys]:
            self._release(key)
        refused = {}
        for key in sorted(keys - self._held.keys()):
            try:
                await self._hold(key)
            except OSError as error:
                refused[key] = await self._refusal(key, error)
        return refused

    def close(self) -> None:
        """Let go of all."""
        for key in list(self._held):
            self._release(key)

    def _release(self, key: Key) -> None:
        for relay in self._held.pop(key):
            relay.close()

    async def _refusal(self, key: Key, error: OSError) -> str:
        protocol, port = key
        if error.errno != errno.EADDRINUSE:
            return f"port {port}/{protocol} cannot be held on this node: {error.strerror or error}"
        name = await self._on_worker(lambda: holder(protocol, port))
        listing = "ss -ltnp" if protocol == "tcp" else "ss -lunp"
        who = name or f"another program ({listing} 'sport = :{port}' names it)"
        return (
            f"port {port}/{protocol} is already in use on this node by {who}: "
            "stop that program, or publish another port"
        )

    async def _hold(self, key: Key) -> None:
        protocol, port = key
        kind = _KINDS.get(protocol)
        if kind is None:
            self._held[key] = []  # SCTP: programs that use it are few, and no port of it is held by a mere socket
            return
        target = (LINK4, port)
        relays: list[Streams | Datagrams] = []
        try:
            for family in _families():
                sock = await self._open(lambda family=family: _bind(family, kind, port))  # type: ignore[misc]
                relay = Streams(self._open, target) if protocol == "tcp" else Datagrams(self._open, target)
                relays.append(relay)
                await relay.serve(sock)
        except BaseException:
            for relay in relays:
                relay.close()
            raise
        self._held[key] = relays


def _families() -> tuple[int, ...]:
    with_ipv6 = Path("/proc/net/if_inet6").exists()
    return (socket.AF_INET, socket.AF_INET6) if with_ipv6 else (socket.AF_INET,)


def _bind(family: int, kind: int, port: int) -> socket.socket:
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that just ended are no obstacle
        sock.bind(("", port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
