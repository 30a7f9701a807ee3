# SPDX-License-Identifier: Apache-2.0
"""The network interfaces of this host, read with the standard library alone.

IPv4 addresses come from the SIOCGIFCONF ioctl (it lists secondary addresses too; asking one interface by SIOCGIFADDR
would hide them), flags from SIOCGIFFLAGS, IPv6 addresses from ``/proc/net/if_inet6``.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from queenright.lib.addresses import Interface

_SIOCGIFCONF = 0x8912
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_RECORD = 40 if struct.calcsize("P") == 8 else 32  # size of struct ifreq
_NAME = 16


def host_interfaces(if_inet6: Path = Path("/proc/net/if_inet6")) -> tuple[Interface, ...]:
    """All interfaces in the order of their index, with their addresses. Raises OSError when the kernel refuses."""
    found: dict[str, list[IPv4Address | IPv6Address]] = {name: [] for _, name in socket.if_nameindex()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for name, ip in _ipv4(probe):
            found.setdefault(name, []).append(ip)
        for name, ip6 in _ipv6(if_inet6):
            found.setdefault(name, []).append(ip6)
        flags = {name: _flags(probe, name) for name in found}
    return tuple(
        Interface(name, tuple(addresses), loopback=bool(flags[name] & _IFF_LOOPBACK), up=bool(flags[name] & _IFF_UP))
        for name, addresses in found.items()
    )


def _ipv4(probe: socket.socket) -> list[tuple[str, IPv4Address]]:
    room = 64 * _RECORD
    while True:
        buffer = array.array("B", bytes(room))
        request = bytearray(struct.pack("iP", room, buffer.buffer_info()[0]))
        fcntl.ioctl(probe.fileno(), _SIOCGIFCONF, request)
        used = struct.unpack("iP", request)[0]
        if used < room:
            break
        room *= 2  # the kernel filled all of it: there may be more
    records = buffer.tobytes()[:used]
    result = []
    for start in range(0, used, _RECORD):
        # An alias (eth0:1) is a label on an address of the interface before the colon.
        label = records[start : start + _NAME].split(b"\0")[0]
        name = os.fsdecode(label).split(":")[0]
        result.append((name, IPv4Address(records[start + _NAME + 4 : start + _NAME + 8])))
    return result


def _ipv6(path: Path) -> list[tuple[str, IPv6Address]]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:  # the kernel runs without IPv6
        return []
    rows = [line.split() for line in lines]
    return [(row[5], IPv6Address(bytes.fromhex(row[0]))) for row in rows if len(row) >= 6]


def _flags(probe: socket.socket, name: str) -> int:
    try:
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFFLAGS, struct.pack(f"{_RECORD}s", os.fsencode(name)))
    except OSError:  # gone in the meantime
        return 0
    return int(struct.unpack_from("H", answer, _NAME)[0])
