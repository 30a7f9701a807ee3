# SPDX-License-Identifier: Apache-2.0
"""The host's part of a network: a bridge for the containers of this node, and a tunnel to the other nodes on it.

Runs on the host's worker. The bridge is made before the engine gets a network on it, so its hardware address and its
MTU are ours; the gateway's address is on it always, the engine gives it only once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from queenright.edge.kernel import addresses
from queenright.edge.kernel.balancer import INSIDE
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.links import Link, Links, half_made
from queenright.edge.kernel.neighbours import Entry, change, entries, present
from queenright.edge.kernel.netlink import NetlinkSocket
from queenright.model.mesh import Names, Overlay, alias_of, mac_of, names

VETH_MAC = "02:71:75:65:65:6e"
"""Of every pair's end on a bridge: nobody ever sends to it, and the bridge must not take it for its own."""


class HostSide:
    """Bridge, tunnel and neighbours of one network. Remembers what it gave the kernel, and applies differences."""

    def __init__(self, links: Links, sock: NetlinkSocket, cluster_id: str, network_id: str) -> None:
        self._links = links
        self._sock = sock
        self._mark = alias_of(cluster_id, network_id)
        self._names: Names = names(network_id)
        self._applied: Overlay | None = None
        self._tunnel: Link | None = None
        self._entries: list[Entry] = []

    def apply(self, overlay: Overlay, *, full: bool) -> None:
        """Make what is missing and mend what differs; ``full``: nothing is taken for granted. Raises KernelError."""
        before, self._applied = self._applied, None  # after an error nothing is known
        tunnel, self._tunnel = self._tunnel, None
        again = full or before is None or tunnel is None or _skeleton(before) != _skeleton(overlay)
        if again or tunnel is None:
            tunnel = self._vxlan(overlay, self._bridge(overlay))
            self._entries = present(self._sock, tunnel.index)
        if again or before is None or before.neighbours != overlay.neighbours:
            wanted = list(entries(overlay.neighbours).values())
            change(self._sock, tunnel.index, self._entries, wanted)
            self._entries = wanted
        self._tunnel, self._applied = tunnel, overlay

    def attach(self, overlay: Overlay, namespace: Path, *, inside: bool) -> None:
        """Join the sandbox to the bridge; ``inside``: whether it has its end of the pair. Raises KernelError."""
        link = self._links.own(self._names.veth, "veth", self._mark)
        if link is not None and not inside:
            self._links.remove(link)  # it leads into a namespace that is no longer the sandbox
            link = None
        if link is None:
            own = overlay.addresses[0]
            link = self._links.add_pair(
                self._names.veth, self._mark, namespace, INSIDE, mac=VETH_MAC, peer_mac=mac_of(own)
            )
        if link.mtu != overlay.mtu:
            self._links.set(link, mtu=overlay.mtu)
        bridge = self._links.find(self._names.bridge)
        if bridge is not None and link.master != bridge.index:
            self._links.set(link, master=bridge.index)
        if not link.up:
            self._links.set(link, state="up")

    def detach(self) -> None:
        """Take the pair of links away. Raises KernelError."""
        self._take(self._names.veth)

    def remove(self) -> None:
        """Take bridge and tunnel away; what is gone, and what is not ours, is left. Raises KernelError."""
        self._applied, self._tunnel, self._entries = None, None, []
        for name in (self._names.veth, self._names.vxlan, self._names.bridge):
            self._take(name)

    def _take(self, name: str) -> None:
        link = self._links.find(name)
        if link is not None and link.alias == self._mark:
            self._links.remove(link)

    @property
    def names(self) -> Names:
        return self._names

    @property
    def mark(self) -> str:
        return self._mark

    def _bridge(self, overlay: Overlay) -> Link:
        name, mac = self._names.bridge, mac_of(overlay.subnets[0].gateway)
        self._take_over(overlay)
        link = self._links.own(name, "bridge", self._mark)
        if link is None:
            link = self._links.add(name, "bridge", self._mark, address=mac, br_mcast_snooping=0)
        if link.mac != mac:
            self._links.set(link, address=mac)
        if link.data.get("IFLA_BR_MCAST_SNOOPING", 0):
            self._links.set(link, kind="bridge", br_mcast_snooping=0)  # neighbour solicitations reach the tunnel
        if link.mtu != overlay.mtu:
            self._links.set(link, mtu=overlay.mtu)
        if not link.up:
            self._links.set(link, state="up")
        addresses.assign(self._sock, link.index, _gateways(overlay) - addresses.present(self._sock, link.index))
        return link

    def _take_over(self, overlay: Overlay) -> None:
        """Mark a bridge that the engine made: after a reboot it is up before us, and makes what its networks lack.

        It is told by the network's gateway, which the engine gives its bridges, and no stranger's has.
        """
        link = self._links.find(self._names.bridge)
        if link is None or link.kind != "bridge" or link.alias:
            return
        if _gateways(overlay) & addresses.present(self._sock, link.index):
            self._links.set(link, ifalias=self._mark)

    def _vxlan(self, overlay: Overlay, bridge: Link) -> Link:
        name = self._names.vxlan
        wanted = _vxlan_data(overlay)
        link = self._links.own(name, "vxlan", self._mark)
        if link is not None and any(_plain(link.data.get(key)) != value for key, value in wanted.items()):
            self._links.remove(link)  # none of these can be changed
            link = None
        if link is None:
            self._free_number(overlay)
            given: dict[str, Any] = {key.removeprefix("IFLA_").lower(): value for key, value in wanted.items()}
            link = self._links.add(name, "vxlan", self._mark, mtu=overlay.mtu, **given)
        if link.mtu != overlay.mtu:
            self._links.set(link, mtu=overlay.mtu)
        if link.master != bridge.index:
            self._links.set(link, master=bridge.index)
        if not link.up:
            self._bring_up(link, overlay)
        if link.master != bridge.index or link.port.get("IFLA_BRPORT_LEARNING", 1) or _floods(link):
            # Only unicast: a question for a neighbour is a broadcast, and the tunnel answers it by itself.
            self._links.set_port(link, learning=0, unicast_flood=0)
        return link

    def _bring_up(self, link: Link, overlay: Overlay) -> None:
        try:
            self._links.set(link, state="up")
        except KernelError as error:
            self._links.remove(link)
            raise KernelError(
                f"the tunnel of network {overlay.name} cannot use UDP port {overlay.vxlan_port} on this node: {error}; "
                "stop what holds the port, or choose another data path port for the swarm"
            )

    def _free_number(self, overlay: Overlay) -> None:
        """Remove our own tunnel of the same number that lost its network. Raises KernelError for a stranger's."""
        cluster = self._mark[: self._mark.rindex(":") + 1]
        for link in self._links.of_kind("vxlan"):
            if link.data.get("IFLA_VXLAN_ID") != overlay.vni or link.data.get("IFLA_VXLAN_PORT") != overlay.vxlan_port:
                continue
            if not link.alias.startswith(cluster) and not half_made(link):
                raise KernelError(
                    f"VXLAN interface {link.name} of this host, which is not ours, uses number {overlay.vni} and UDP "
                    f"port {overlay.vxlan_port}, as network {overlay.name} does: remove it (ip link delete "
                    f"{link.name}), or choose another data path port for the swarm"
                )
            self._links.remove(link)


def _skeleton(overlay: Overlay) -> tuple[object, ...]:
    return overlay.vni, overlay.mtu, overlay.subnets, overlay.vtep, overlay.vxlan_port


def _gateways(overlay: Overlay) -> set[str]:
    return {f"{subnet.gateway}/{subnet.subnet.partition('/')[2]}" for subnet in overlay.subnets}


def _vxlan_data(overlay: Overlay) -> dict[str, Any]:
    local = "IFLA_VXLAN_LOCAL6" if ":" in overlay.vtep else "IFLA_VXLAN_LOCAL"
    return {
        "IFLA_VXLAN_ID": overlay.vni,
        local: overlay.vtep,
        "IFLA_VXLAN_LEARNING": 0,
        "IFLA_VXLAN_PROXY": 1,
        "IFLA_VXLAN_PORT": overlay.vxlan_port,
    }


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _floods(link: Link) -> bool:
    return bool(link.port.get("IFLA_BRPORT_UNICAST_FLOOD", 1))
