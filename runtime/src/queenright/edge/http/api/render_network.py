# SPDX-License-Identifier: Apache-2.0
"""Overlay networks as the Engine API's JSON: as networks, as what a task is attached to, and as what a service has."""

from __future__ import annotations

from typing import Any

from queenright.edge.http.api.render import ZERO_TIME, timestamp
from queenright.edge.http.messages import ApiVersion
from queenright.model.objects import Attachment, Network, Task
from queenright.model.states import TaskState
from queenright.spec.network import OVERLAY, OWNED_LABEL
from queenright.store.store import Store

PREDEFINED_LABEL = "com.docker.swarm.predefined"
VXLAN = "com.docker.network.driver.overlay.vxlanid_list"
IPV4_SHOWN = (1, 48)  # since then it is said whether a network has IPv4

Json = dict[str, Any]


def network(value: Network, version: ApiVersion | None = None) -> Json:
    """As ``GET /networks/{id}`` shows it."""
    spec = value.spec
    document: Json = {
        "Name": value.name,
        "Id": value.id,
        "Created": timestamp(value.created_at),
        "Scope": "swarm",
        "Driver": OVERLAY,
    }
    if version is None or version >= IPV4_SHOWN:
        document["EnableIPv4"] = True
    return document | {
        "EnableIPv6": bool(spec.ipv6),
        "IPAM": {"Driver": "default", "Options": dict(spec.ipam.options) or None, "Config": _configs(value)},
        "Internal": bool(spec.internal),
        "Attachable": bool(spec.attachable),
        "Ingress": bool(spec.ingress),
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": {**spec.options, VXLAN: str(value.vni)},
        "Labels": dict(spec.labels) or None,
    }


def predefined(name: str) -> Json:
    """A network that each node has of itself, as the swarm sees it. Its id is its name."""
    return {
        "Name": name,
        "Id": name,
        "Created": ZERO_TIME,
        "Scope": "swarm",
        "Driver": name,
        "EnableIPv6": False,
        "IPAM": {"Driver": "", "Options": None, "Config": []},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": None,
        "Labels": {PREDEFINED_LABEL: "true"},
    }


def of_node(document: Json) -> Json:
    """A node's own network, as dockerd shows it, as that network of the swarm which it stands for. For hosts that
    know nothing else of it.
    """
    labels = {key: value for key, value in (document.get("Labels") or {}).items() if key != OWNED_LABEL}
    key = owner(document)
    return {**document, "Id": key, "Scope": "swarm", "Driver": OVERLAY, "Labels": labels or None, "Options": None}


def owner(document: Json) -> str:
    """The id of the network of the swarm for which a node's own network stands, or ""."""
    labels = document.get("Labels")
    found = labels.get(OWNED_LABEL) if isinstance(labels, dict) else None
    return found if isinstance(found, str) else ""


def _configs(value: Network) -> list[Json]:
    found = []
    for one in value.subnets:
        config = {"Subnet": one.subnet, "Gateway": one.gateway}
        found.append(config | ({"IPRange": one.ip_range} if one.ip_range else {}))
    return found


def verbose(store: Store, value: Network) -> Json:
    """Who is in the network: ``Services`` with their virtual addresses and tasks, and the nodes as ``Peers``."""
    services: Json = {}
    for service in sorted(store.services.by("network", value.id), key=lambda one: one.name):
        vip = next((one for one in service.vips if one.network_id == value.id), None)
        tasks = [task for task in store.tasks.by("service", service.id) if task.state == TaskState.RUNNING]
        services[service.name] = {
            "VIP": _bare(vip.addresses[0]) if vip is not None and vip.addresses else "",
            "Ports": [f"Target: {port.target_port}, Publish: {port.published_port}" for port in service.ports],
            "LocalLBIndex": 0,
            "Tasks": [_member(store, task, value) for task in tasks],
        }
    nodes = store.nodes.by("network", value.id)
    return {
        "Services": services,
        "Peers": [{"Name": node.hostname, "IP": node.status.addr} for node in sorted(nodes, key=lambda one: one.id)],
    }


def _member(store: Store, task: Task, value: Network) -> Json:
    held = next((one for one in task.attachments if one.network_id == value.id), None)
    node = store.nodes.get(task.node_id)
    return {
        "Name": task.name,
        "EndpointID": task.id,
        "EndpointIP": _bare(held.addresses[0]) if held is not None and held.addresses else "",
        "Info": {"Host IP": node.status.addr if node is not None else ""},
    }


def _bare(address: str) -> str:
    return address.partition("/")[0]


# -- what tasks have


def attachments(store: Store, held: tuple[Attachment, ...]) -> list[Json]:
    """``NetworksAttachments`` of a task. A network that is gone meanwhile is known by its id alone."""
    return [_attachment(store.networks.get(one.network_id), one) for one in held]


def _attachment(found: Network | None, held: Attachment) -> Json:
    document: Json = {"Network": {"ID": held.network_id} if found is None else _whole(found)}
    if held.aliases:
        document["Aliases"] = list(held.aliases)
    return document | {"Addresses": list(held.addresses)}


def _whole(value: Network) -> Json:
    """A network as it is within other objects."""
    spec: Json = {"Name": value.name, "Labels": dict(value.spec.labels), "DriverConfiguration": {"Name": OVERLAY}}
    if value.spec.options:
        spec["DriverConfiguration"]["Options"] = dict(value.spec.options)
    for key, said in (
        ("IPv6Enabled", value.spec.ipv6),
        ("Internal", value.spec.internal),
        ("Attachable", value.spec.attachable),
        ("Ingress", value.spec.ingress),
    ):
        if said:
            spec[key] = True
    spec |= {"IPAMOptions": {"Driver": {"Name": "default"}, "Configs": _configs(value)}, "Scope": "swarm"}
    return {
        "ID": value.id,
        "Version": {"Index": value.version},
        "CreatedAt": timestamp(value.created_at),
        "UpdatedAt": timestamp(value.updated_at),
        "Spec": spec,
        "DriverState": {"Name": OVERLAY, "Options": {VXLAN: str(value.vni)}},
        "IPAMOptions": {"Driver": {"Name": "default"}, "Configs": _configs(value)},
    }
