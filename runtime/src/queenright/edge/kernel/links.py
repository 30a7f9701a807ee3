# SPDX-License-Identifier: Apache-2.0
"""Links and routes of the namespace of the thread that makes this, through pyroute2.

Ours are told by their alias. A link is made down, marked, and then brought up: one with our name that is down and has
no mark is our own, left by an end in between. Anything else is a stranger and is never touched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from queenright.edge.kernel.errors import KernelError
from queenright.model.mesh import HOST_LINK

NAMES = re.compile(rf"(sw|svx|svb)-[0-9a-f]{{10}}|{HOST_LINK}")
_KINDS = {"sw": "bridge", "svx": "vxlan", "svb": "veth", None: "veth"}
_UP = 0x1
_GONE = (errno.ENODEV, errno.ENOENT, errno.EADDRNOTAVAIL, errno.ESRCH)
_SYSCTL = Path("/proc/sys")


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel has it. ``data``: what is special to its kind, by pyroute2's names of the attributes."""

    index: int
    name: str
    kind: str
    alias: str
    mtu: int
    mac: str
    up: bool
    master: int
    data: Mapping[str, Any]
    port: Mapping[str, Any]


class Links:
    """Used by the thread that made it, and by no other."""

    def __init__(self) -> None:
        self._route = IPRoute()

    def close(self) -> None:
        self._route.close()

    def find(self, name: str) -> Link | None:
        """The link of that name."""
        try:
            found = list(self._route.link("get", ifname=name))
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise _refused(f"looking at link {name}", error)
        return _link(found[0]) if found else None

    def of_kind(self, kind: str) -> list[Link]:
        """All links of a kind."""
        return [_link(message) for message in self._route.get_links(kind=kind)]

    def own(self, name: str, kind: str, mark: str) -> Link | None:
        """Our link of that name, None if there is none; one that was left half made is marked. Raises KernelError for a
        stranger.
        """
        link = self.find(name)
        if link is None or (link.alias == mark and link.kind == kind):
            return link
        if link.kind == kind and half_made(link):
            self.set(link, ifalias=mark)
            return self.find(name)
        if link.alias == mark:  # ours by its mark, and of a kind that we would never have made
            self.remove(link)
            return None
        owner = f"it is marked {link.alias!r}" if link.alias else "it has no mark of this cluster"
        raise KernelError(
            f"a network interface {name} ({link.kind or 'no virtual one'}) is there that is not ours ({owner}): "
            f"remove it (ip link delete {name}), the network needs this name"
        )

    def add(self, name: str, kind: str, mark: str, **options: Any) -> Link:
        """Make a link, down and marked. ``options`` as pyroute2 has them; those that are None are left out."""
        given = {key: value for key, value in options.items() if value is not None}
        try:
            self._route.link("add", ifname=name, kind=kind, **given)
        except NetlinkError as error:
            raise _refused(f"making {kind} {name}", error)
        link = self.find(name)
        if link is None:
            raise KernelError(f"{kind} {name} was made and is gone: something else removes it")
        self.set(link, ifalias=mark)
        return link

    def add_pair(self, name: str, mark: str, namespace: Path, inside: str, *, mac: str, peer_mac: str) -> Link:
        """Make a pair of links; the other end is at once in the namespace, under the name ``inside``."""
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            peer = {"ifname": inside, "address": peer_mac, "net_ns_fd": descriptor}
            return self.add(name, "veth", mark, address=mac, peer=peer)
        finally:
            os.close(descriptor)

    def set(self, link: Link, **options: Any) -> None:
        """Change a link. Raises KernelError."""
        try:
            self._route.link("set", index=link.index, **options)
        except NetlinkError as error:
            raise _refused(f"setting {', '.join(sorted(options))} of link {link.name}", error)

    def set_port(self, link: Link, **options: int) -> None:
        """Change how a bridge treats one of its ports. Raises KernelError."""
        try:
            self._route.brport("set", index=link.index, **options)
        except NetlinkError as error:
            raise _refused(f"setting {', '.join(sorted(options))} of bridge port {link.name}", error)

    def remove(self, link: Link) -> None:
        """Remove a link; one that is gone is fine. Raises KernelError."""
        try:
            self._route.link("del", index=link.index)
        except NetlinkError as error:
            if error.code not in _GONE:
                raise _refused(f"removing link {link.name}", error)

    def route_by(self, gateway: str) -> None:
        """The default route of one family. Raises KernelError."""
        family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        try:
            self._route.route("replace", dst="default", gateway=gateway, family=family)
        except NetlinkError as error:
            raise _refused(f"setting the route by {gateway}", error)


def half_made(link: Link) -> bool:
    """Whether this is a link of ours of which an end came between its making and its mark."""
    name = NAMES.fullmatch(link.name)
    return name is not None and link.kind == _KINDS[name[1]] and not link.alias and not link.up


def set_sysctl(name: str, value: int, *, least: bool = False) -> None:
    """Set a switch of the calling thread's namespace ("net/ipv4/ip_forward"), if it differs (``least``: is less).

    One that the kernel does not have is left. Raises KernelError.
    """
    path = _SYSCTL / name
    try:
        present = int(path.read_text().split()[0])
        if present != value and not (least and present > value):
            path.write_text(f"{value}\n")
    except FileNotFoundError:
        return
    except (OSError, ValueError, IndexError) as error:
        raise KernelError(f"{path} cannot be set to {value} ({error}): is /proc/sys mounted read-only?")


def read_sysctl(name: str) -> int | None:
    """What a switch of the calling thread's namespace is; None if the kernel does not have it, or it is no number."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((_SYSCTL / name).read_text().split()[0])
    return None


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_DATA") if info else None
    port = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        kind=(info.get_attr("IFLA_INFO_KIND") if info else "") or "",
        alias=message.get_attr("IFLA_IFALIAS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        mac=message.get_attr("IFLA_ADDRESS") or "",
        up=bool(message["flags"] & _UP),
        master=message.get_attr("IFLA_MASTER") or 0,
        data=_attributes(data),
        port=_attributes(port),
    )


def _attributes(nested: Any) -> dict[str, Any]:
    """The plain values among the attributes of a nest."""
    if nested is None or not hasattr(nested, "get"):
        return {}
    return {cell[0]: cell[1] for cell in nested["attrs"] if not isinstance(cell[1], dict)}


def _refused(doing: str, error: NetlinkError) -> KernelError:
    if error.code in (errno.EPERM, errno.EACCES):
        return KernelError(f"{doing} is not allowed: the agent needs root in the host's network namespace")
    if error.code == errno.EOPNOTSUPP:
        return KernelError(
            f"{doing}: the kernel does not know how; load the module of that kind (modprobe), or build it"
        )
    return KernelError(f"{doing} failed: {os.strerror(error.code)}")
