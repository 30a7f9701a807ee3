# SPDX-License-Identifier: Apache-2.0
"""A network's sandbox: the namespace that has the virtual addresses and hands their connections on.

All of this runs on the sandbox's own thread, inside of the namespace, except where it says otherwise.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from queenright.edge.kernel import addresses, conntrack, flows, namespaces, netlink
from queenright.edge.kernel.balancer import (
    INSIDE,
    LINK4,
    LINK4_HOST,
    LINK4_LENGTH,
    LINK6,
    LINK6_HOST,
    LINK6_LENGTH,
    OUTSIDE,
    Balancer,
    MakeBalancer,
    own_address,
)
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.links import Link, Links, set_sysctl
from queenright.edge.kernel.netlink import NetlinkSocket
from queenright.edge.kernel.nft import Nft, open_nft
from queenright.model.mesh import Overlay, mac_of

DNS_PORT = 53
_DNS_BACKLOG = 128
_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    # Taking away an address must not take away its successor.
    "net/ipv4/conf/all/promote_secondaries": 1,
    # A late packet must not be taken for a stranger's: it would be refused, and with it the connection it belongs to.
    "net/netfilter/nf_conntrack_tcp_be_liberal": 1,
}
_LINK_SYSCTLS = {"send_redirects": 0, "rp_filter": 0, "accept_redirects": 0}
_SYSCTLS6 = {
    "net/ipv6/conf/all/disable_ipv6": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/all/forwarding": 1,
}


class Sandbox:
    """The inside of one sandbox. Remembers what it gave the kernel, and applies differences."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._links: Links | None = None
        self._route: NetlinkSocket | None = None
        self._filter: NetlinkSocket | None = None
        self._nft: Nft | None = None
        self._balancer: Balancer | None = None
        self._made_by: MakeBalancer | None = None
        self._former: Balancer | None = None  # that balanced before, and whose connections go on
        self._applied: Overlay | None = None
        self._addresses: dict[str, set[str]] = {}

    def enter(self) -> None:
        """The thread's first step: into the namespace, which is made if it is not there. Raises KernelError."""
        namespaces.enter(self._name, self._folder)
        self._links = Links()
        self._route, self._filter = NetlinkSocket(netlink.ROUTE), NetlinkSocket(netlink.NETFILTER)
        self._nft = open_nft()
        loopback = self._links.find("lo")
        if loopback is not None and not loopback.up:
            self._links.set(loopback, state="up")

    def leave(self) -> None:
        """The thread's last step: nothing holds the namespace any more but its name."""
        held = (self._balancer, self._former, self._nft, self._filter, self._route, self._links)
        self._balancer = self._former = self._nft = self._filter = self._route = self._links = None
        for opened in held:
            if opened is not None:
                with contextlib.suppress(Exception):
                    opened.close()

    def seen(self) -> tuple[bool, set[str]]:
        """Whether this is still the namespace of its name, and which links are in it."""
        here = namespaces.is_here(self._name, self._folder)
        return here, {name for _, name in socket.if_nameindex()}

    def apply(self, overlay: Overlay, make: MakeBalancer, *, full: bool) -> None:
        """Make what is missing and mend what differs; ``full``: nothing is taken for granted. Raises KernelError."""
        before, self._applied = self._applied, None  # after an error nothing is known
        if full or before is None:
            self._addresses = {}
        self._prepare(overlay, again=full or before is None)
        if self._balancer is None or self._made_by is not make:
            self._change(overlay, make)
        elif full:
            self._balancer.audit(overlay)
        else:
            self._balancer.apply(overlay)
        if self._former is not None and self._former.retire():
            self._former.close()
            self._former = None
        self._assign(overlay)
        if full or before is None or flows.somebody_left(before, overlay):
            assert self._filter is not None
            conntrack.cut(self._filter, flows.lost_in_sandbox(overlay))
        self._applied = overlay

    def dns_sockets(self, dns: tuple[str, ...]) -> tuple[socket.socket, ...]:
        """See :class:`agent.mesh_ports.Kernel`."""
        opened: list[socket.socket] = []
        try:
            for address in dns:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    opened.append(_listen(address, kind))
        except OSError:
            for sock in opened:
                sock.close()
            raise
        return tuple(opened)

    def _prepare(self, overlay: Overlay, *, again: bool) -> None:
        if not again:
            return
        for name, value in _SYSCTLS.items():
            set_sysctl(name, value)
        if own_address(overlay, 6):
            for name, value in _SYSCTLS6.items():
                set_sysctl(name, value)
        for name in (INSIDE, OUTSIDE) if overlay.ingress else (INSIDE,):
            for switch, value in _LINK_SYSCTLS.items():
                set_sysctl(f"net/ipv4/conf/{name}/{switch}", value)
            link = self._link(name)
            if link.mtu != overlay.mtu:
                self._own_links().set(link, mtu=overlay.mtu)
            mac = mac_of(overlay.addresses[0] if name == INSIDE else LINK4)
            if link.mac != mac:  # the other nodes know it by its address
                self._own_links().set(link, address=mac)
            if not link.up:
                self._own_links().set(link, state="up")

    def _change(self, overlay: Overlay, make: MakeBalancer) -> None:
        """Let another backend balance: it takes over in one step, and what the present one has handed on goes on."""
        assert self._nft is not None
        successor = make(self._nft)  # if the kernel cannot do that, the present one stays
        try:
            successor.audit(overlay)
        except BaseException:
            successor.close()
            raise
        if self._former is not None:  # of the successor's kind: what it left is the successor's now
            self._former.close()
        self._former, self._balancer, self._made_by = self._balancer, successor, make

    def _assign(self, overlay: Overlay) -> None:
        """Give the links their addresses: after the tables know them, so that nobody is refused in between."""
        single = {4: 32, 6: 128}
        shared = [*overlay.dns, *(vip for service in overlay.balanced for vip in service.vips)]
        inside = set(overlay.addresses) | {f"{address}/{single[6 if ':' in address else 4]}" for address in shared}
        self._bring(INSIDE, inside)
        if overlay.ingress:
            outside = {f"{LINK4}/{LINK4_LENGTH}"}
            families6 = bool(own_address(overlay, 6))
            if families6:
                outside.add(f"{LINK6}/{LINK6_LENGTH}")
            if self._bring(OUTSIDE, outside):
                for gateway in (LINK4_HOST, LINK6_HOST) if families6 else (LINK4_HOST,):
                    self._own_links().route_by(gateway)

    def _bring(self, name: str, wanted: set[str]) -> bool:
        """Give one link its addresses. Whether it may have had others before."""
        assert self._route is not None
        known = self._addresses.pop(name, None)
        if known == wanted:
            self._addresses[name] = known
            return False
        link = self._link(name)
        have = addresses.present(self._route, link.index) if known is None else known
        addresses.assign(self._route, link.index, wanted - have, have - wanted)
        self._addresses[name] = wanted
        return True

    def _link(self, name: str) -> Link:
        link = self._own_links().find(name)
        if link is None:
            raise KernelError(f"link {name} is gone from namespace {self._name}: something else removes it")
        return link

    def _own_links(self) -> Links:
        assert self._links is not None
        return self._links


def _listen(address: str, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, DNS_PORT))
        if kind == socket.SOCK_STREAM:
            sock.listen(_DNS_BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{error.strerror}: port {DNS_PORT} of {address}")
    return sock
