# SPDX-License-Identifier: Apache-2.0
"""Tracked connections: those that lead to a backend that is gone are cut, so that their clients go elsewhere.

Without that a UDP client that keeps its port sends into the void for ever, and a TCP client until it gives up.

The list of a namespace's connections is had by a walk through the table of the whole machine. So their number is asked
for first, which costs nothing: where there are none there is nothing to list. Where it is known to what the connections
were sent, the kernel is told (since Linux 5.8; an older one sends more than was asked for).

While a list is read connections go on: one that was not answered is, and where one ended a client begins the next one
from the same port. So each is looked at again right before it is forgotten.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from queenright.edge.kernel import netlink
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.netlink import Message, NetlinkSocket, attribute, attributes

_GET, _DELETE, _STATISTICS = (1 << 8) | 1, (1 << 8) | 2, (1 << 8) | 5
_ENTRIES = 1  # of the statistics: how many connections the namespace has
_HEAD = struct.Struct("=BBH")  # family, version, resource
_ORIGINAL, _REPLY, _STATUS, _ID, _ZONE, _FILTER, _STATUS_MASK = 1, 2, 3, 12, 18, 25, 26
_FILTER_ORIGINAL, _FILTER_REPLY = 1, 2
_BY_NUMBER, _BY_TARGET_PORT = 1 << 3, 1 << 5  # of the filter: what it looks at
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_SOURCE, _TARGET = (1, 3), (2, 4)  # of IPv4, of IPv6
_PROTOCOL_STATE, _OF_TCP, _TCP_STATE = 4, 1, 1
_TIME_WAIT = 7
_NUMBER, _TARGET_PORT = 1, 3
_PORT = struct.Struct(">H")
ANSWERED = 0x02
"""Of the status: a packet came back."""
TRANSLATED = 0x20  # of the status: its destination was changed by nftables or iptables

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


class Flow(NamedTuple):
    """Where a connection was sent to and who answers it (addresses packed), and whether it has done so yet."""

    protocol: int
    target: bytes
    port: int
    answered_by: bytes
    answered: bool = True


class Sent(NamedTuple):
    """What connections were sent to: a protocol, and a port (0: any)."""

    protocol: int
    port: int = 0


def cut(
    sock: NetlinkSocket, lost: Callable[[Flow], bool], *, status: int = 0, mask: int = 0, sent: Sent | None = None
) -> int:
    """Forget all flows that are ``lost``; how many there were. With a mask only those of that status are looked at,
    with ``sent`` only those that were sent there.

    Raises KernelError if the kernel has no such interface.
    """
    wishes = b""
    if mask:
        wishes = attribute(_STATUS, struct.pack(">I", status)) + attribute(_STATUS_MASK, struct.pack(">I", mask))
    try:
        found = _list(sock, wishes, sent) if number(sock) else []
    except OSError as error:
        raise KernelError(
            f"connections cannot be listed ({os.strerror(error.errno or 0)}), so flows to backends that are gone "
            "cannot be cut: the kernel needs CONFIG_NF_CT_NETLINK (modprobe nf_conntrack_netlink)"
        )

    def doomed(values: dict[int, bytes]) -> bool:
        flow = _flow(values)
        if flow is None or not lost(flow) or _ends_by_itself(values):
            return False
        # An older kernel sends those of any status.
        return not mask or int.from_bytes(values.get(_STATUS, b""), "big") & mask == status

    entries = ((answer[0], dict(attributes(answer, _HEAD.size))) for _, answer in found)
    chosen = [_named(family, values) for family, values in entries if doomed(values)]
    return sum(_forget(sock, named, doomed) for named in chosen)


def _forget(sock: NetlinkSocket, named: bytes, doomed: Callable[[dict[int, bytes]], bool]) -> bool:
    """Forget one connection, unless it has changed its state since it was listed, or made room for another one.

    Its number is not enough to tell: the next connection between the same ends often gets the same, since the kernel
    makes the number of the ends and of the place in memory, and gives that out again first.
    """
    try:
        values = dict(attributes(sock.ask(_GET, named), _HEAD.size))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise KernelError(f"a connection cannot be looked at again ({os.strerror(error.errno or 0)})")
    if not doomed(values):
        return False
    failed = sock.batch([Message(_DELETE, 0, named, (errno.ENOENT,))])
    if failed:
        raise KernelError(f"the kernel refused to forget a connection: {os.strerror(failed[0][1])}")
    return True


def number(sock: NetlinkSocket) -> int:
    """How many connections the socket's namespace has. Raises OSError."""
    answer = sock.ask(_STATISTICS, _HEAD.pack(0, 0, 0))
    return int.from_bytes(dict(attributes(answer, _HEAD.size)).get(_ENTRIES, b"\1"), "big")


def _list(sock: NetlinkSocket, wishes: bytes, sent: Sent | None) -> list[tuple[int, bytes]]:
    if sent is not None:
        try:
            return [
                entry
                for family in (socket.AF_INET, socket.AF_INET6)  # not for both at once
                for entry in sock.dump(_GET, _HEAD.pack(family, 0, 0) + wishes + _sent(sent))
            ]
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    return sock.dump(_GET, _HEAD.pack(0, 0, 0) + wishes)


def _sent(sent: Sent) -> bytes:
    looks = _BY_NUMBER
    protocol = attribute(_NUMBER, bytes([sent.protocol]))
    if sent.port:
        looks |= _BY_TARGET_PORT
        protocol += attribute(_TARGET_PORT, _PORT.pack(sent.port))
    original = attribute(_TUPLE_PROTOCOL | netlink.NESTED, protocol)
    flags = attribute(_FILTER_ORIGINAL, struct.pack("=I", looks)) + attribute(_FILTER_REPLY, struct.pack("=I", 0))
    return attribute(_ORIGINAL | netlink.NESTED, original) + attribute(_FILTER | netlink.NESTED, flags)


def _named(family: int, values: dict[int, bytes]) -> bytes:
    """What names an entry to the kernel: its own words, given back."""
    body = _HEAD.pack(family, 0, 0) + attribute(_ORIGINAL | netlink.NESTED, values[_ORIGINAL])
    for kind in (_ID, _ZONE):
        if kind in values:
            body += attribute(kind, values[kind])
    return body


def _ends_by_itself(values: dict[int, bytes]) -> bool:
    """Whether both ends of a TCP connection have closed it: nothing comes any more, and a new one between the same ends
    is told where to go anew.
    """
    state = dict(attributes(values.get(_PROTOCOL_STATE, b"")))
    return dict(attributes(state.get(_OF_TCP, b""))).get(_TCP_STATE, b"") == bytes([_TIME_WAIT])


def _flow(values: dict[int, bytes]) -> Flow | None:
    if _ORIGINAL not in values or _REPLY not in values:
        return None
    there, back = dict(attributes(values[_ORIGINAL])), dict(attributes(values[_REPLY]))
    address = dict(attributes(there.get(_TUPLE_IP, b"")))
    answer = dict(attributes(back.get(_TUPLE_IP, b"")))
    protocol = dict(attributes(there.get(_TUPLE_PROTOCOL, b"")))
    family = 0 if _TARGET[0] in address else 1
    port = protocol.get(_TARGET_PORT, b"\0\0")
    return Flow(
        protocol.get(_NUMBER, b"\0")[0],
        address.get(_TARGET[family], b""),
        _PORT.unpack(port)[0],
        answer.get(_SOURCE[family], b""),
        bool(int.from_bytes(values.get(_STATUS, b""), "big") & ANSWERED),
    )
