# SPDX-License-Identifier: Apache-2.0
"""What must hold of addresses and ports after each single change."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from laws.broken import Broken
from queenright.model.objects import Attachment, Network, Node, Object, Service, Task
from queenright.model.states import TaskState
from queenright.store.addressing import number
from queenright.store.store import Store
from queenright.store.tables import held_ports, targets


def check(view: Store, before: Object | None, after: Task | Node | Service) -> None:
    """Check what an object holds, and what it may have to itself."""
    for one in _held(after):
        network = view.networks.get(one.network_id)
        if network is not None:
            _check_addresses(view, network, one, after.id)
    if len({one.network_id for one in _held(after)}) < len(_held(after)):
        raise Broken(f"{after.kind} {after.id} is in a network twice")
    if isinstance(after, Task):
        _check_task(view, before, after)
    if isinstance(after, Service):
        _check_ports(view, after)


def _held(row: Task | Node | Service) -> tuple[Attachment, ...]:
    if isinstance(row, Task):
        return row.attachments if not row.state.terminal else ()
    return row.attachments if isinstance(row, Node) else row.vips


def _check_addresses(view: Store, network: Network, one: Attachment, holder: str) -> None:
    if len(one.addresses) != len(network.subnets):
        raise Broken(
            f"{holder} has {one.addresses} in network {network.name}, which has {len(network.subnets)} subnets"
        )
    for text, subnet in zip(one.addresses, network.subnets, strict=True):
        address, whole = ip_interface(text), ip_network(subnet.subnet)
        if address.network != whole or (subnet.ip_range and address.ip not in ip_network(subnet.ip_range)):
            raise Broken(f"{holder} has {text}, which is not of {subnet}")
        kept = [whole.network_address, ip_address(subnet.gateway), ip_address(subnet.dns)]
        if address.ip in kept or (whole.version == 4 and address.ip == whole.broadcast_address):
            raise Broken(f"{holder} has {text}, which is nobody's own in {subnet}")
        if view.addresses(network.id).held.get(number(text)) != 1:
            raise Broken(f"{text} of network {network.name} has more than one holder, {holder} among them")


def _check_task(view: Store, before: Object | None, task: Task) -> None:
    if isinstance(before, Task) and before.attachments and before.attachments != task.attachments:
        raise Broken(f"addresses of task {task.id} changed")
    if task.state < TaskState.PENDING or task.state.terminal:
        return
    wanted = targets(task.spec, task.endpoint)
    if len(task.attachments) != len(wanted):
        raise Broken(f"task {task.id} is {task.state.text} with addresses {task.attachments} of {len(wanted)}")


def _check_ports(view: Store, service: Service) -> None:
    published = [port for port in held_ports(service) if port.published_port and port.mode != "host"]
    keys = [(port.protocol or "tcp", port.published_port or 0) for port in published]
    if len(set(keys)) < len(keys):  # those of the specification were checked before they came here
        raise Broken(f"service {service.name} publishes a port twice: {keys}")
    for key in keys:
        others = [one.name for one in view.services.by("port", key) if one.id != service.id]
        if others:
            raise Broken(f"port {key} is that of {service.name} and of {others}")
