# SPDX-License-Identifier: Apache-2.0
"""Tracked connections: those that lead to a backend that is gone are cut, so that their clients go elsewhere.

Without that a UDP client that keeps its port sends into the void for ever, and a TCP client until it gives up.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from typing import NamedTuple

from queenright.edge.kernel import netlink
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.netlink import Message, NetlinkSocket, attribute, attributes

_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_HEAD = struct.Struct("=BBH")  # family, version, resource
_ORIGINAL, _REPLY, _STATUS, _ID, _ZONE, _STATUS_MASK = 1, 2, 3, 12, 18, 26
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_SOURCE, _TARGET = (1, 3), (2, 4)  # of IPv4, of IPv6
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


def cut(sock: NetlinkSocket, lost: Callable[[Flow], bool], *, status: int = 0, mask: int = 0) -> int:
    """Forget all flows that are ``lost``; how many there were. With a mask only those of that status are looked at.

    Raises KernelError if the kernel has no such interface.
    """
    body = _HEAD.pack(0, 0, 0)
    if mask:
        body += attribute(_STATUS, struct.pack(">I", status)) + attribute(_STATUS_MASK, struct.pack(">I", mask))
    try:
        found = sock.dump(_GET, body)
    except OSError as error:
        raise KernelError(
            f"connections cannot be listed ({os.strerror(error.errno or 0)}), so flows to backends that are gone "
            "cannot be cut: the kernel needs CONFIG_NF_CT_NETLINK (modprobe nf_conntrack_netlink)"
        )
    removals = []
    for _, answer in found:
        values = dict(attributes(answer, _HEAD.size))
        flow = _flow(values)
        if flow is None or not lost(flow):
            continue
        if mask and int.from_bytes(values.get(_STATUS, b""), "big") & mask != status:
            continue  # an older kernel sends all
        removals.append(Message(_DELETE, 0, _named(answer[0], values), (errno.ENOENT,)))
    failed = sock.batch(removals)
    if failed:
        raise KernelError(f"the kernel refused to forget {len(failed)} connections: {os.strerror(failed[0][1])}")
    return len(removals)


def _named(family: int, values: dict[int, bytes]) -> bytes:
    """What names an entry to the kernel: its own words, given back. Its number keeps a successor from harm."""
    body = _HEAD.pack(family, 0, 0) + attribute(_ORIGINAL | netlink.NESTED, values[_ORIGINAL])
    for number in (_ID, _ZONE):
        if number in values:
            body += attribute(number, values[number])
    return body


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
