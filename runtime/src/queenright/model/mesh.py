# SPDX-License-Identifier: Apache-2.0
"""What the kernel of one node shall do for the networks: a picture, made whole each time, compared and applied.

Addresses stand without the length of their prefix, except a sandbox's own. Everything is in an order that depends on
nothing but the state, so that equal pictures are equal values.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress

from queenright.model.objects import Subnet

NFTABLES, IPVS = "nftables", "ipvs"

HOST_LINK = "swgw0"
"""The host's end of the pair of links that leads into the sandbox of the ingress network."""
HOST_TABLE = "swmesh"
SANDBOX_TABLE = "swlb"


@dataclasses.dataclass(frozen=True, slots=True)
class Neighbour:
    """An endpoint or a sandbox on another node: ``vtep`` is the address there that takes the tunnel's packets."""

    mac: str
    addresses: tuple[str, ...]
    vtep: str


@dataclasses.dataclass(frozen=True, slots=True)
class Backend:
    """A task that connections are handed to. One that is not ``serving`` gets no new ones and keeps those it has."""

    task_id: str
    addresses: tuple[str, ...]
    serving: bool
    local: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Balanced:
    """A service behind virtual addresses, at most one of each family. ``sticky``: a client stays with a backend."""

    service_id: str
    vips: tuple[str, ...]
    backends: tuple[Backend, ...]
    sticky: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """A port of every node, handed to ``target`` of the backends. ``local_first``: to those on this node, if any."""

    protocol: str  # "tcp", "udp" or "sctp"
    port: int
    target: int
    service_id: str
    backends: tuple[Backend, ...]
    local_first: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Overlay:
    """One network on this node. ``addresses``: of this node's sandbox, with prefix ("10.0.1.7/24"), one a family.

    ``vtep`` is this node's end of the tunnels, ``mtu`` that inside of them (bytes); ``dns`` the addresses of the names'
    service, the same on every node.
    """

    network_id: str
    name: str
    vni: int
    mtu: int
    subnets: tuple[Subnet, ...]
    dns: tuple[str, ...]
    internal: bool
    ingress: bool
    addresses: tuple[str, ...]
    vtep: str
    vxlan_port: int
    neighbours: tuple[Neighbour, ...] = ()
    balanced: tuple[Balanced, ...] = ()
    published: tuple[Published, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class MeshPicture:
    """All networks that this node has a part in. ``backend``: what balances, ``nftables`` or ``ipvs``."""

    cluster_id: str
    backend: str = NFTABLES
    overlays: tuple[Overlay, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """What the parts of a network are called on a node; a link's name has 15 characters at most."""

    bridge: str
    vxlan: str
    veth: str
    namespace: str


def names(network_id: str) -> Names:
    """The names for a network, the same on every node and at any time."""
    short = hashlib.sha256(network_id.encode()).hexdigest()[:10]
    return Names(f"sw-{short}", f"svx-{short}", f"svb-{short}", f"swns-{short}")


def alias_of(cluster_id: str, network_id: str = "") -> str:
    """The mark on every link that is ours; without a network, what all marks of a cluster begin with."""
    return f"swarm:{cluster_id}:{network_id}"


def mac_of(address: str) -> str:
    """The hardware address that goes with an IPv4 address, as Docker has it: 02:42 and its four bytes.

    Of an IPv6 address the last four bytes are taken. A prefix length does not matter.
    """
    packed = ipaddress.ip_address(address.partition("/")[0]).packed[-4:]
    return "02:42:" + ":".join(f"{byte:02x}" for byte in packed)
