# SPDX-License-Identifier: Apache-2.0
"""The addresses of a link. A sandbox has one for each service, so they too come in bulk."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable

from queenright.edge.kernel import netlink
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.neighbours import packed
from queenright.edge.kernel.netlink import Message, NetlinkSocket, attribute, attributes

_NEW, _DELETE, _GET = 20, 21, 22
_BODY = struct.Struct("=BBBBI")  # family, length of the prefix, flags, scope, link
_ADDRESS, _LOCAL = 1, 2
_NO_DUPLICATES = 0x02  # do not ask the network whether somebody has it: others have, by intention
_LINK_SCOPE = 253


def present(sock: NetlinkSocket, link: int) -> set[str]:
    """The addresses of a link with prefix ("10.0.1.1/24"), without those that are of the link alone. Raises OSError."""
    found = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        for _, body in sock.dump(_GET, _BODY.pack(family, 0, 0, 0, link)):
            _, length, _, scope, index = _BODY.unpack_from(body)
            values = dict(attributes(body, _BODY.size))
            address = values.get(_LOCAL) or values.get(_ADDRESS)
            if index == link and address and not (family == socket.AF_INET6 and scope == _LINK_SCOPE):
                found.add(f"{socket.inet_ntop(family, address)}/{length}")
    return found


def own(sock: NetlinkSocket) -> set[bytes]:
    """All addresses of the namespace, packed. Raises OSError."""
    found = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        for _, body in sock.dump(_GET, _BODY.pack(family, 0, 0, 0, 0)):
            values = dict(attributes(body, _BODY.size))
            found.add(values.get(_LOCAL) or values.get(_ADDRESS, b""))
    return found


def assign(sock: NetlinkSocket, link: int, come: Iterable[str], gone: Iterable[str] = ()) -> None:
    """Give a link addresses and take others. Raises KernelError naming the first that failed; the rest is done."""
    # Shorter prefixes come first: what the host sends by itself then has an address of the network as its source.
    ordered = sorted(come, key=lambda text: (int(text.partition("/")[2]), text))
    puts = [Message(_NEW, netlink.CREATE | netlink.EXCL, _body(link, text), (errno.EEXIST,)) for text in ordered]
    removals = [Message(_DELETE, 0, _body(link, text), (errno.EADDRNOTAVAIL, errno.ENODEV)) for text in sorted(gone)]
    failed = sock.batch(puts + removals)
    if failed:
        code = failed[0][1]
        hint = "; IPv6 is switched off on this node" if code in (errno.EACCES, errno.EOPNOTSUPP) else ""
        raise KernelError(f"the kernel refused {len(failed)} addresses of link {link}: {os.strerror(code)}{hint}")


def _body(link: int, text: str) -> bytes:
    address, _, length = text.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    value = packed(address)
    head = _BODY.pack(family, int(length), _NO_DUPLICATES if family == socket.AF_INET6 else 0, 0, link)
    return head + attribute(_LOCAL, value) + attribute(_ADDRESS, value)
