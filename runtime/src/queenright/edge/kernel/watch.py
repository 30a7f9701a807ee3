# SPDX-License-Identifier: Apache-2.0
"""Hears of changes to what is ours: links, their addresses, our table, and the rules among others' that we need.

The kernel tells of every change, ours too: those that come while we work ourselves are not heard. One that is missed so
is found by the next audit. Belongs to the event loop's thread; the socket is made in the host's namespace.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from queenright.edge.kernel import netlink
from queenright.edge.kernel.netlink import attributes
from queenright.model.mesh import HOST_LINK, HOST_TABLE

_LINK, _ADDRESS4, _ADDRESS6 = 0x1, 0x10, 0x100  # groups of rtnetlink
_NFTABLES = 7  # group of nfnetlink
_HEADER = struct.Struct("=IHHII")
_NEW_LINK, _DELETE_LINK, _DELETE_ADDRESS = 16, 17, 21
_NAME, _MTU = 3, 4
_UP = 0x1
_SUBSYSTEM = 10
_GONE = (2, 5, 8)  # table, chain, rule
_FILTER = "filter"
_CHAINS = ("FORWARD", "DOCKER-USER")
_OURS = ("sw-", "svx-", "svb-", HOST_LINK)
_SOL_NETLINK, _JOIN = 270, 1


class Watch:
    """``told`` is called once something of ours was changed. :meth:`pause` and :meth:`go_on` enclose our own work."""

    def __init__(self, route: socket.socket, filters: socket.socket, told: Callable[[], None]) -> None:
        self._sockets = (route, filters)
        self._told = told
        self._names: dict[int, str] = {}
        self._mtu: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        for sock, reader in ((route, self._route), (filters, self._filters)):
            self._loop.add_reader(sock.fileno(), self._read, sock, reader)
        self._paused = False

    def pause(self) -> None:
        self._paused = True

    def go_on(self) -> None:
        """Forget what was heard meanwhile: it was our own doing."""
        for sock, reader in zip(self._sockets, (self._route, self._filters), strict=True):
            self._read(sock, reader)
        self._paused = False

    def close(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _read(self, sock: socket.socket, reader: Callable[[int, bytes], bool]) -> None:
        ours = False
        for _ in range(1000):  # the rest is read in the next round
            try:
                data = sock.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:  # more was told than the kernel keeps for us
                ours = True
                continue
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
                if length < _HEADER.size:
                    break
                ours = reader(kind, data[offset + _HEADER.size : offset + length]) or ours
                offset += (length + 3) & ~3
        if ours and not self._paused:
            self._told()

    def _route(self, kind: int, body: bytes) -> bool:
        if kind == _DELETE_ADDRESS:
            return int.from_bytes(body[4:8], "little") in self._names
        if kind not in (_NEW_LINK, _DELETE_LINK):
            return False
        values = dict(attributes(body, 16))
        name = values.get(_NAME, b"").rstrip(b"\0").decode(errors="replace")
        if not name.startswith(_OURS):
            return False
        index, flags = struct.unpack_from("=iI", body, 4)
        if kind == _DELETE_LINK:
            return True
        mtu = int.from_bytes(values.get(_MTU, b""), "little")
        known = self._mtu.get(index)
        self._names[index], self._mtu[index] = name, mtu
        return not flags & _UP or (known is not None and known != mtu)

    def _filters(self, kind: int, body: bytes) -> bool:
        if kind >> 8 != _SUBSYSTEM:
            return False
        first = list(attributes(body, 4))[:2]
        words = [value.rstrip(b"\0").decode(errors="replace") for _, value in first]
        if words[:1] == [HOST_TABLE]:
            return True
        return kind & 0xFF in _GONE and words[:1] == [_FILTER] and any(chain in words for chain in _CHAINS)


def open_sockets() -> tuple[socket.socket, socket.socket]:
    """The two sockets of a watch, in the calling thread's namespace. Raises OSError."""
    route = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, netlink.ROUTE
    )
    try:
        route.bind((0, _LINK | _ADDRESS4 | _ADDRESS6))
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        filters = socket.socket(socket.AF_NETLINK, kind, netlink.NETFILTER)
        try:
            filters.bind((0, 0))
            filters.setsockopt(_SOL_NETLINK, _JOIN, _NFTABLES)
        except BaseException:
            filters.close()
            raise
    except BaseException:
        route.close()
        raise
    return route, filters
