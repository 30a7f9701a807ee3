# SPDX-License-Identifier: Apache-2.0
"""The engine's networks on our bridges: made when a node takes part in an overlay, removed when it no longer does."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from typing import Any

from docker.api.client import APIClient
from docker.errors import APIError, NotFound

from queenright.agent.ports import TemporaryError
from queenright.edge.docker import calls
from queenright.edge.docker.client import Engine, translate
from queenright.edge.docker.container_config import CLUSTER_LABEL, TASK_LABEL
from queenright.edge.docker.network_config import MTU, Joined, Plan, clash, create_arguments, is_as_wanted, plan
from queenright.model.mesh import Overlay
from queenright.model.objects import Task
from queenright.spec.network import OWNED_LABEL

log = logging.getLogger(__name__)

CONFLICTS = (400, 403, 409)  # what engines answer where a name or a subnet is taken
IN_USE = 403
STALE = "ep-"  # what the engine puts before the id of an endpoint whose container is gone
Listed = dict[str, Any]


class DockerNetworks:
    """Fulfils ``agent.mesh_ports.Bridges`` for one cluster. Belongs to the event loop's thread; calls of one network
    are not made at the same time.
    """

    def __init__(
        self,
        engine: Engine,
        cluster_id: str,
        has_ipv6: Callable[[], bool] = lambda: os.path.exists("/proc/net/if_inet6"),
    ) -> None:
        self._engine = engine
        self._cluster_id = cluster_id
        self._has_ipv6 = has_ipv6
        self._joined: dict[str, Joined] = {}

    async def ensure(self, overlay: Overlay) -> None:
        """A network of the engine on the overlay's bridge; one that is there and as it shall be is left alone.

        Raises TemporaryError, with what is in the way, or EngineLostError.
        """
        ipv6 = self._has_ipv6()
        arguments = create_arguments(overlay, self._cluster_id, ipv6)
        await self._engine.call(lambda client: _ensure(client, arguments))
        self._joined[overlay.network_id] = Joined(overlay, ipv6)

    async def remove(self, network_id: str) -> None:
        """Take it away; what is gone is fine. Raises TemporaryError while containers are in it."""
        self._joined.pop(network_id, None)
        labels = [f"{OWNED_LABEL}={network_id}", f"{CLUSTER_LABEL}={self._cluster_id}"]

        def work(client: APIClient) -> None:
            for item in _listed(client, labels):
                _remove(client, item)

        await self._engine.call(work)

    async def sweep(self, keep: Collection[str]) -> None:
        """Take away all of this cluster but these. Containers that joined one by hand lose it; those of tasks keep it.
        Raises TemporaryError with what could not be removed, once all others are.
        """
        kept = frozenset(keep)
        for network_id in [key for key in self._joined if key not in kept]:
            del self._joined[network_id]
        labels = [OWNED_LABEL, f"{CLUSTER_LABEL}={self._cluster_id}"]
        errors = await self._engine.call(lambda client: _sweep(client, labels, kept))
        if errors:
            raise TemporaryError("; ".join(errors))

    def plan(self, task: Task) -> Plan | None:
        """How a task's container joins its networks; None if it has none. Raises TemporaryError until they are made."""
        if not task.attachments:
            return None
        try:
            return plan(task.attachments, self._joined)
        except KeyError as error:
            raise TemporaryError(f"network {error.args[0]} is not made on this node yet") from None


def _listed(client: APIClient, labels: list[str]) -> list[Listed]:
    found: list[Listed] = client.networks(filters={"label": labels})
    return found


def _ensure(client: APIClient, arguments: dict[str, Any]) -> None:
    labels = [f"{label}={value}" for label, value in arguments["labels"].items()]
    found = _listed(client, labels)
    good = [item for item in found if _is_good(client, item, arguments)]
    for item in found:
        if item not in good[:1]:
            log.info("a network of the engine is not as it shall be: making it anew", extra={"network": item["Name"]})
            _remove(client, item)
    if good:
        return
    try:
        client.create_network(**arguments)
    except APIError as error:
        others = client.networks() if error.status_code in CONFLICTS or error.status_code >= 500 else []
        text = clash(arguments, others) or f"network {arguments['name']}: {translate(error)}"
        raise TemporaryError(text) from error  # whoever mends it need not say so


def _is_good(client: APIClient, found: Listed, arguments: dict[str, Any]) -> bool:
    """Whether it can stay. The size of packets concerns who joins: while containers are in it, it is not made anew."""
    if not is_as_wanted(found, arguments):
        return False
    return (found.get("Options") or {}).get(MTU) == arguments["options"][MTU] or bool(_members(client, found))


def _remove(client: APIClient, network: Listed) -> None:
    try:
        client.remove_network(network["Id"])
    except NotFound:
        return
    except APIError as error:
        if error.status_code != IN_USE:
            raise
        names = ", ".join(_members(client, network).values()) or "containers"
        text = f"network {network['Name']} cannot be removed from this node while {names} is in it"
        raise TemporaryError(text) from error


def _members(client: APIClient, network: Listed) -> dict[str, str]:
    """Names of the containers that are in it, by id."""
    try:
        found = client.inspect_network(network["Id"]).get("Containers") or {}
    except NotFound:
        return {}
    return {key: str(item.get("Name") or key[:12]) for key, item in found.items()}


def _sweep(client: APIClient, labels: list[str], keep: frozenset[str]) -> list[str]:
    errors = []
    for item in _listed(client, labels):
        if (item.get("Labels") or {}).get(OWNED_LABEL) in keep:
            continue
        try:
            for member, name in _members(client, item).items():
                if _is_of_task(client, member):
                    continue
                log.warning("container %s is taken out of network %s, which goes", name, item["Name"])
                _disconnect(client, member, item)
            _remove(client, item)
        except (APIError, TemporaryError) as error:
            errors.append(f"network {item['Name']}: {error}")
    return errors


def _is_of_task(client: APIClient, container_id: str) -> bool:
    inspected = None if container_id.startswith(STALE) else calls.inspect(client, container_id)
    return inspected is not None and TASK_LABEL in calls.labels(inspected)


def _disconnect(client: APIClient, container_id: str, network: Listed) -> None:
    """What is gone meanwhile is fine. What a crash left has no container's id, but still its name."""
    reference = container_id
    if container_id.startswith(STALE):
        reference = _members(client, network).get(container_id, container_id)
    try:
        client.disconnect_container_from_network(reference, network["Id"], force=True)
    except NotFound:
        return


def create(client: APIClient, name: str, body: dict[str, Any], wanted: Plan | None) -> str | None:
    """Create a container in its networks; its id, or None if the name is taken."""
    if wanted is None:
        return calls.create(client, name, body)
    all_at_once = takes_all_at_once(client)
    container_id = calls.create(client, name, wanted.into(body, all_at_once=all_at_once))
    if container_id is not None and not all_at_once:
        join_missing(client, container_id, wanted)
    return container_id


def join_missing(client: APIClient, container_id: str, wanted: Plan) -> None:
    """Let a container that was created join what it has not joined of its networks."""
    inspected = calls.inspect(client, container_id)
    if inspected is None:
        return
    there = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    for name, endpoint in wanted.endpoints:
        if name in there:
            continue
        ipam = endpoint["IPAMConfig"]
        client.connect_container_to_network(
            container_id,
            name,
            ipv4_address=ipam.get("IPv4Address"),
            ipv6_address=ipam.get("IPv6Address"),
            mac_address=endpoint["MacAddress"],
        )


def takes_all_at_once(client: APIClient) -> bool:
    """Whether a container can be created with more than one network, each with its hardware address."""
    major, _, minor = str(client.api_version).partition(".")
    return (int(major), int(minor)) >= (1, 44)
