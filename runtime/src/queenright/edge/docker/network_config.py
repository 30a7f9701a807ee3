# SPDX-License-Identifier: Apache-2.0
"""An overlay as a network of the engine's bridge driver, on a bridge that is there before it; and how tasks join it.

The engine's own choice of addresses is kept to the gateway's: the swarm gives addresses, and who comes without one is
refused. The engine makes no links between hosts; that is the kernel's part.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from queenright.edge.docker.container_config import CLUSTER_LABEL
from queenright.model.mesh import Overlay, mac_of, names
from queenright.model.objects import Attachment, Subnet
from queenright.spec.network import OWNED_LABEL

BRIDGE = "com.docker.network.bridge.name"
MTU = "com.docker.network.driver.mtu"

Body = dict[str, Any]


def subnets_of(overlay: Overlay, ipv6: bool) -> tuple[Subnet, ...]:
    """Those that this node can have."""
    return tuple(subnet for subnet in overlay.subnets if ipv6 or ":" not in subnet.subnet)


def create_arguments(overlay: Overlay, cluster_id: str, ipv6: bool) -> Body:
    """Arguments of the SDK's ``create_network``."""
    subnets = subnets_of(overlay, ipv6)
    return {
        "name": overlay.name,
        "driver": "bridge",
        "check_duplicate": True,
        "internal": overlay.internal,
        "enable_ipv6": any(":" in subnet.subnet for subnet in subnets),
        "labels": {OWNED_LABEL: overlay.network_id, CLUSTER_LABEL: cluster_id},
        "ipam": {"Driver": "default", "Config": [_pool(subnet) for subnet in subnets]},
        "options": {
            BRIDGE: names(overlay.network_id).bridge,
            MTU: str(overlay.mtu),
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
        },
    }


def _pool(subnet: Subnet) -> dict[str, str]:
    length = 128 if ":" in subnet.gateway else 32
    return {"Subnet": subnet.subnet, "Gateway": subnet.gateway, "IPRange": f"{subnet.gateway}/{length}"}


def is_as_wanted(found: Body, wanted: Body) -> bool:
    """Whether a network that the engine listed does. The size of packets does not count."""
    options = found.get("Options") or {}
    return bool(
        found.get("Name") == wanted["name"]
        and found.get("Driver") == wanted["driver"]
        and bool(found.get("Internal")) == wanted["internal"]
        and bool(found.get("EnableIPv6")) == wanted["enable_ipv6"]
        and options.get(BRIDGE) == wanted["options"][BRIDGE]
        and _pools(found.get("IPAM") or {}) == _pools(wanted["ipam"])
    )


def _pools(ipam: Body) -> set[tuple[str, str]]:
    return {(item.get("Subnet", ""), item.get("Gateway", "")) for item in ipam.get("Config") or ()}


def clash(wanted: Body, others: Iterable[Body]) -> str:
    """What of the node's own networks is in the way, and what to do; "" if it is none of them."""
    for other in others:
        name, short = other.get("Name", ""), str(other.get("Id", ""))[:12]
        remedy = f"remove it (docker network rm {short}) or give it another"
        if name == wanted["name"]:
            return f"network {name}: this node has a network of its own of that name ({short}): {remedy} name"
        for pool in (other.get("IPAM") or {}).get("Config") or ():
            for mine in wanted["ipam"]["Config"]:
                if _overlap(mine["Subnet"], pool.get("Subnet", "")):
                    return (
                        f"network {wanted['name']} ({mine['Subnet']}) overlaps with network {name} ({pool['Subnet']}) "
                        f"of this node: {remedy} subnet"
                    )
        if (other.get("Options") or {}).get(BRIDGE) == wanted["options"][BRIDGE]:
            return f"network {wanted['name']}: network {name} ({short}) of this node is on the same bridge: {remedy}"
    return ""


def _overlap(one: str, other: str) -> bool:
    try:
        first, second = ipaddress.ip_network(one, strict=False), ipaddress.ip_network(other, strict=False)
    except ValueError:
        return False
    return first.version == second.version and first.overlaps(second)


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """A network that the engine has. ``ipv6``: whether it has that on this node."""

    overlay: Overlay
    ipv6: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How a task's container joins its networks: (name of the network, what the engine is to give it there), in order.

    ``dns``: the server of names that it is to ask.
    """

    endpoints: tuple[tuple[str, Body], ...]
    dns: str

    @property
    def mode(self) -> str:
        return self.endpoints[0][0]

    def into(self, body: Body, *, all_at_once: bool) -> Body:
        """The body with which the container is created. ``all_at_once``: the engine takes more than one network, and
        hardware addresses of each (API 1.44); else the others are joined before the container starts.
        """
        host: Body = {**body.get("HostConfig", {}), "NetworkMode": self.mode, "Dns": [self.dns]}
        # With that option set, to whatever, the engine's own resolver forwards no name of one label any more.
        options = [item for item in host.pop("DnsOptions", ()) if not item.startswith("ndots")]
        if options:
            host["DnsOptions"] = options
        body = {**body, "HostConfig": host}
        if all_at_once:
            return {**body, "NetworkingConfig": {"EndpointsConfig": dict(self.endpoints)}}
        name, first = self.endpoints[0]
        endpoint = {key: value for key, value in first.items() if key != "MacAddress"}
        return {**body, "MacAddress": first["MacAddress"], "NetworkingConfig": {"EndpointsConfig": {name: endpoint}}}


def plan(attachments: Iterable[Attachment], joined: Mapping[str, Joined]) -> Plan:
    """The plan for a task. Raises KeyError with the id of a network that is not there yet.

    The engine is told of no aliases: it would answer a service's name with the container's own address.
    """
    places = [(item, joined[item.network_id]) for item in attachments]
    endpoints = tuple((place.overlay.name, _endpoint(item, place)) for item, place in places)
    overlays = [place.overlay for _, place in places]
    named = next((overlay for overlay in overlays if not overlay.ingress), overlays[0])
    return Plan(endpoints, named.dns[0])


def _endpoint(attachment: Attachment, place: Joined) -> Body:
    addresses = [address.partition("/")[0] for address in attachment.addresses]
    ipv4 = [address for address in addresses if ":" not in address]
    ipv6 = [address for address in addresses if ":" in address and place.ipv6]
    ipam = {}
    if ipv4:
        ipam["IPv4Address"] = ipv4[0]
    if ipv6:
        ipam["IPv6Address"] = ipv6[0]
    return {"IPAMConfig": ipam, "MacAddress": mac_of((ipv4 or ipv6 or addresses)[0])}
