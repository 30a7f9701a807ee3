# SPDX-License-Identifier: Apache-2.0
"""Objects of the swarm -> what nodes are told of them as parts of a network (``model.mesh_rows``)."""

from __future__ import annotations

from collections.abc import Iterable

from queenright.decide.dataplane import DEFAULT_DRAIN
from queenright.decide.standing_spec import reached_by
from queenright.decide.task_step import UNHEALTHY
from queenright.model.mesh import NFTABLES
from queenright.model.mesh_rows import Endpoint, Face, Link
from queenright.model.objects import Attachment, Cluster, Network, Node, Object, Service, Task
from queenright.model.states import NodeState, TaskState
from queenright.store import tables

MTU_OPTION = "com.docker.network.driver.mtu"
UNKNOWN_MTU = 1500  # of a way that no node knows anything of
TUNNEL, TUNNEL6 = 50, 70  # bytes that a tunnel takes of each packet, over IPv4 and IPv6


def bare(addresses: Iterable[str]) -> tuple[str, ...]:
    """Without the length of the prefix."""
    return tuple(address.partition("/")[0] for address in addresses)


def vtep(node: Node) -> str:
    """Where a node takes the tunnels' packets."""
    return node.description.data_addr or node.status.addr


def underlay_mtu(nodes: Iterable[Node]) -> int:
    """What fits through the narrowest of the nodes' ways to each other, in a tunnel."""
    known = UNKNOWN_MTU
    narrow = [node.description.mtu for node in nodes if node.description.mtu]
    if narrow:
        known = min(narrow)
    wide = any(":" in vtep(node) for node in nodes)
    return known - (TUNNEL6 if wide else TUNNEL)


def link(cluster: Cluster, network: Network, node: Node, attachment: Attachment, mtu: int) -> Link:
    """A network, as the node takes part in it that has these addresses there."""
    wish = (network.spec.options or {}).get(MTU_OPTION, "")
    return Link(
        network_id=network.id,
        name=network.name,
        vni=network.vni,
        subnets=network.subnets,
        internal=bool(network.spec.internal),
        ingress=network.ingress,
        mtu=int(wish) if wish.isdecimal() and int(wish) > 0 else mtu,
        addresses=attachment.addresses,
        vtep=vtep(node),
        vxlan_port=cluster.data_path_port,
        backend=node.spec.mesh_backend or cluster.spec.mesh_backend or NFTABLES,
    )


def task_endpoint(network_id: str, task: Task, node: Node) -> Endpoint | None:
    """A task in a network; None once it has ended. ``drained`` is for others to say."""
    attachment = _in(network_id, task.attachments)
    if attachment is None or task.state.terminal or task.node_id != node.id:
        return None
    lost = node.status.state == NodeState.DOWN
    healthy = task.state == TaskState.RUNNING and task.status.err != UNHEALTHY
    return Endpoint(
        network_id=network_id,
        holder=task.id,
        addresses=bare(attachment.addresses),
        node_id=node.id,
        vtep=vtep(node),
        task_id=task.id,
        service_id=task.service_id,
        name=task.name,
        aliases=attachment.aliases,
        serving=healthy and task.wanted and not lost,
        lost=lost,
    )


def sandbox_endpoint(network_id: str, node: Node) -> Endpoint | None:
    """A node's own part in a network, if it has one."""
    attachment = _in(network_id, node.attachments)
    if attachment is None:
        return None
    return Endpoint(
        network_id=network_id,
        holder=node.id,
        addresses=bare(attachment.addresses),
        node_id=node.id,
        vtep=vtep(node),
        name=node.hostname,
        lost=node.status.state == NodeState.DOWN,
    )


def networks_of(service: Service) -> tuple[str, ...]:
    """The networks that a service names or has a virtual address in."""
    named = tables.network_ids(reached_by(service).spec.task)
    return tuple(dict.fromkeys((*named, *(vip.network_id for vip in service.vips))))


def publishes(value: Object | None) -> bool:
    """Whether it is a service that all nodes answer for."""
    return isinstance(value, Service) and tables.publishes(reached_by(value).spec)


def face(network: Network, service: Service) -> Face | None:
    """A service in a network; None if it is not in it."""
    ports = tuple(port for port in service.ports if port.mode != "host" and port.published_port)
    if not (publishes(service) if network.ingress else network.id in networks_of(service)):
        return None
    spec = reached_by(service).spec
    endpoint = spec.endpoint
    vip = _in(network.id, service.vips)
    named = next((one for one in spec.task.networks or () if one.target == network.id), None)
    return Face(
        network_id=network.id,
        service_id=service.id,
        name=service.name,
        aliases=tuple(named.aliases or ()) if named is not None else (),
        vips=bare(vip.addresses) if vip is not None else (),
        dnsrr=endpoint.mode == "dnsrr",
        ports=ports if network.ingress else (),
        drain_ns=endpoint.drain if endpoint.drain is not None else DEFAULT_DRAIN,
    )


def _in(network_id: str, attachments: Iterable[Attachment]) -> Attachment | None:
    return next((one for one in attachments if one.network_id == network_id), None)
