# SPDX-License-Identifier: Apache-2.0
"""Who is where behind the tunnel: static neighbours and forwarding entries, so that nothing is ever flooded.

Each remote endpoint has an entry in the tunnel's own forwarding table (hardware address -> the node's address), one in
the bridge's (hardware address -> the tunnel, learning is off there), and for each of its addresses a neighbour on the
tunnel, from which it answers ARP and neighbour solicitations by itself.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from queenright.edge.kernel import netlink
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.netlink import Message, NetlinkSocket, attribute, attributes
from queenright.model.mesh import Neighbour

_NEW, _DELETE, _GET = 28, 29, 30
_BODY = struct.Struct("=BxxxiHBB")  # family, link, state, flags, type
_DST, _LLADDR, _IFINDEX = 1, 2, 8
_SELF, _MASTER = 0x02, 0x04
_PERMANENT, _NOARP = 0x80, 0x40
_PUT = netlink.CREATE | netlink.REPLACE
_GONE = (errno.ENOENT, errno.ENODEV, errno.ESRCH)


class Entry(NamedTuple):
    """A row of one of the three tables: ``key`` names it, ``value`` is what it leads to.

    ``tunnel``: hardware address -> address of a node; ``bridge``: hardware address -> b""; ``arp``: address ->
    hardware address. All are packed.
    """

    table: str
    key: bytes
    value: bytes


def entries(neighbours: Iterable[Neighbour]) -> dict[tuple[str, bytes], Entry]:
    """All rows for these neighbours, by what names them."""
    found = []
    for neighbour in neighbours:
        mac = bytes.fromhex(neighbour.mac.replace(":", ""))
        found.append(Entry("tunnel", mac, packed(neighbour.vtep)))
        found.append(Entry("bridge", mac, b""))
        found += [Entry("arp", packed(address), mac) for address in neighbour.addresses]
    return {(entry.table, entry.key): entry for entry in found}


def packed(address: str) -> bytes:
    """The bytes of an IP address."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def change(sock: NetlinkSocket, link: int, old: Iterable[Entry], new: Iterable[Entry]) -> None:
    """Bring the tables of the tunnel ``link`` from ``old`` to ``new``; what is added is there before anything goes.

    Raises KernelError naming the first that failed; all others are done.
    """
    wanted = {(entry.table, entry.key): entry for entry in new}
    had = {(entry.table, entry.key): entry for entry in old}
    puts = [_put(link, entry) for key, entry in wanted.items() if had.get(key) != entry]
    removals = [_remove(link, entry) for key, entry in had.items() if key not in wanted]
    failed = sock.batch(puts + removals)
    if failed:
        message, code = failed[0]
        family = _BODY.unpack_from(message.body)[0]
        what = "forwarding entries" if family == socket.AF_BRIDGE else "neighbours"
        raise KernelError(f"the kernel refused {len(failed)} {what} of link {link}: {os.strerror(code)}")


def present(sock: NetlinkSocket, link: int) -> list[Entry]:
    """The static rows that the tunnel has, whoever made them. Raises OSError."""
    found = []
    for _, body in sock.dump(_GET, _BODY.pack(socket.AF_BRIDGE, link, 0, 0, 0)):
        _, index, state, flags, _ = _BODY.unpack_from(body)
        if index != link or not state & (_PERMANENT | _NOARP):
            continue
        values = dict(attributes(body, _BODY.size))
        mac = values.get(_LLADDR, b"")
        if flags & _SELF:
            found.append(Entry("tunnel", mac, values.get(_DST, b"")))
        elif state & _NOARP:  # those of the bridge that are "permanent" are the link's own address
            found.append(Entry("bridge", mac, b""))
    for family in (socket.AF_INET, socket.AF_INET6):
        body = _BODY.pack(family, 0, 0, 0, 0) + attribute(_IFINDEX, struct.pack("=I", link))
        for _, answer in sock.dump(_GET, body):
            _, index, state, _, _ = _BODY.unpack_from(answer)
            values = dict(attributes(answer, _BODY.size))
            if index == link and state & _PERMANENT:
                found.append(Entry("arp", values.get(_DST, b""), values.get(_LLADDR, b"")))
    return found


def _put(link: int, entry: Entry) -> Message:
    return Message(_NEW, _PUT, _body(link, entry))


def _remove(link: int, entry: Entry) -> Message:
    return Message(_DELETE, 0, _body(link, entry), _GONE)


def _body(link: int, entry: Entry) -> bytes:
    if entry.table == "arp":
        family = socket.AF_INET if len(entry.key) == 4 else socket.AF_INET6
        head = _BODY.pack(family, link, _PERMANENT, 0, 0)
        return head + attribute(_DST, entry.key) + attribute(_LLADDR, entry.value)
    if entry.table == "bridge":
        return _BODY.pack(socket.AF_BRIDGE, link, _NOARP, _MASTER, 0) + attribute(_LLADDR, entry.key)
    head = _BODY.pack(socket.AF_BRIDGE, link, _PERMANENT | _NOARP, _SELF, 0)
    return head + attribute(_LLADDR, entry.key) + attribute(_DST, entry.value)
