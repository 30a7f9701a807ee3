# SPDX-License-Identifier: Apache-2.0
"""The host's part of published ports: the link into the ingress network's sandbox, and the table that leads there.

Runs on the host's worker.
"""

from __future__ import annotations

from pathlib import Path

from queenright.edge.kernel import addresses, conntrack, families, flows, tables
from queenright.edge.kernel.balancer import (
    LINK4,
    LINK4_HOST,
    LINK4_LENGTH,
    LINK6_HOST,
    LINK6_LENGTH,
    OUTSIDE,
    own_address,
)
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.links import Link, Links, half_made, set_sysctl
from queenright.edge.kernel.netlink import NetlinkSocket
from queenright.edge.kernel.nft import Nft, has_table, open_nft
from queenright.edge.kernel.switches import Switches
from queenright.model.mesh import HOST_LINK, HOST_TABLE, Overlay, Published, alias_of, mac_of

_NEIGHBOURS = {1: 8192, 2: 49152, 3: 65536}  # gc_thresh: a node talks to every task of its networks


class Gateway:
    """What leads from the host into the sandbox of the ingress network."""

    def __init__(
        self, links: Links, route: NetlinkSocket, filters: NetlinkSocket, cluster_id: str, switches: Switches
    ) -> None:
        self._links = links
        self._route = route
        self._filter = filters
        self._cluster = cluster_id
        self._switches = switches
        self._nft: Nft | None = None
        self._ports: tuple[Published, ...] | None = None
        self._text = ""
        self._listing = ""  # the table as nft listed it after we had written it

    def link(self, overlay: Overlay, namespace: Path, *, inside: bool) -> None:
        """The pair of links into the sandbox; ``inside``: whether the sandbox has its end. Raises KernelError."""
        mark = alias_of(self._cluster, overlay.network_id)
        link = self._links.own(HOST_LINK, "veth", mark)
        if link is not None and not inside:
            self._links.remove(link)
            link = None
        if link is None:
            link = self._links.add_pair(
                HOST_LINK, mark, namespace, OUTSIDE, mac=mac_of(LINK4_HOST), peer_mac=mac_of(LINK4)
            )
        if link.mtu != overlay.mtu:  # who sends too much is told here, by an address that is the host's
            self._links.set(link, mtu=overlay.mtu)
        if not link.up:
            self._links.set(link, state="up")
        wanted = {f"{LINK4_HOST}/{LINK4_LENGTH}"}
        if own_address(overlay, 6):
            wanted.add(f"{LINK6_HOST}/{LINK6_LENGTH}")
        have = addresses.present(self._route, link.index)
        addresses.assign(self._route, link.index, wanted - have, have - wanted)
        self._sysctls(overlay)

    def apply(self, overlay: Overlay, ports: tuple[Published, ...], *, full: bool) -> None:
        """Hand these ports to the sandbox; ``full``: what is there is compared. Raises KernelError."""
        text = tables.host(overlay, ports)
        before, self._ports = self._ports, None
        if before is None or text != self._text or (full and self._list() != self._listing):
            self._write(text)
        if before is None or before != ports:
            self._flows(ports, before)
        self._ports = ports

    def is_there(self) -> bool:
        """Whether an earlier life of the agent left anything of this."""
        return self._own_link() is not None or has_table(self._filter, HOST_TABLE) or self._switches.are_kept()

    def remove(self) -> None:
        """Take everything away; the link comes last: while it is there something may be left. Raises KernelError."""
        before, self._ports = self._ports or (), None
        self._text, self._listing = "", ""
        self._open().run(tables.removal(HOST_TABLE))
        conntrack.cut(
            self._filter, flows.lost_on_host((), before), status=conntrack.TRANSLATED, mask=conntrack.TRANSLATED
        )
        self._switches.put_back()
        link = self._own_link()
        if link is not None:
            self._links.remove(link)

    def _own_link(self) -> Link | None:
        link = self._links.find(HOST_LINK)
        mine = link is not None and (link.alias.startswith(alias_of(self._cluster)) or half_made(link))
        return link if mine else None

    def close(self) -> None:
        """Let go of what is held open; the kernel keeps what it has."""
        if self._nft is not None:
            self._nft.close()
            self._nft = None

    def _open(self) -> Nft:
        if self._nft is None:
            self._nft = open_nft()
        return self._nft

    def _write(self, text: str) -> None:
        self._open().run(f"{tables.removal(HOST_TABLE)}table inet {HOST_TABLE} {{\n{text}}}\n")
        self._text, self._listing = text, self._list()

    def _list(self) -> str:
        try:
            return self._open().run(f"list table inet {HOST_TABLE}")
        except KernelError:  # there is none
            return ""

    def _flows(self, ports: tuple[Published, ...], before: tuple[Published, ...] | None) -> None:
        translated = conntrack.TRANSLATED
        gone = flows.lost_ports(ports, before or ())
        if before is None or gone:
            lost = flows.lost_on_host(ports, before or ())
            sent = None if before is None else flows.sent_to(gone)
            conntrack.cut(self._filter, lost, status=translated, mask=translated, sent=sent)
        had = {(port.protocol, port.port) for port in before or ()}
        added = [port for port in ports if port.protocol == "udp" and (port.protocol, port.port) not in had]
        if added:
            unbound = flows.unbound_on_host(added, addresses.own(self._route))
            sent = flows.sent_to({conntrack.Sent(conntrack.PROTOCOLS["udp"], port.port) for port in added})
            conntrack.cut(self._filter, unbound, status=0, mask=translated, sent=sent)

    def _sysctls(self, overlay: Overlay) -> None:
        self._switches.set("net/ipv4/ip_forward", 1)
        set_sysctl(f"net/ipv4/conf/{HOST_LINK}/route_localnet", 1)  # clients on 127.0.0.1
        set_sysctl(f"net/ipv4/conf/{HOST_LINK}/rp_filter", 2)
        if own_address(overlay, 6):
            families.forward_ipv6(self._switches)
        for number, least in _NEIGHBOURS.items():
            for family in ("ipv4", "ipv6"):
                self._switches.set(f"net/{family}/neigh/default/gc_thresh{number}", least, least=True)
