# SPDX-License-Identifier: Apache-2.0
"""Which networks are in force where, and which published ports answer on which nodes: as nodes said to the leader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from queenright.model.mesh_rows import NetworksState
from queenright.model.objects import Node, Service
from queenright.model.states import NodeState
from queenright.store import tables
from queenright.store.store import Store

NodeStates = Callable[[], Iterable[tuple[str, NetworksState, bool]]]
"""(node id, what it said last, whether it has applied all that it was told)."""
SILENT = "the node has not said yet that the port answers there"
AWAY = "the node is {state}"


def no_states() -> Iterable[tuple[str, NetworksState, bool]]:
    return ()


class MeshView:
    """Of the leader; others have heard nothing."""

    def __init__(self, store: Store, states: NodeStates) -> None:
        self._store = store
        self._states = states

    def describe(self, service_ref: str = "") -> dict[str, Any]:
        """``nodes``: the networks of each and its errors; ``ports``: each published port and where it answers.

        Raises NotFound for a service that is not there.
        """
        said = {node_id: (state, applied) for node_id, state, applied in self._states()}
        if service_ref:
            services: Iterable[Service] = (self._store.service(service_ref),)
        else:
            services = sorted(self._store.services.by("ingress", True), key=lambda service: service.name)
        nodes = sorted(self._store.nodes, key=lambda node: (node.hostname, node.id))
        return {
            "nodes": [self._node(node, said.get(node.id)) for node in nodes if node.attachments],
            "ports": [port for service in services for port in self._ports(service, nodes, said)],
        }

    def ports(self, service: Service) -> list[dict[str, Any]]:
        """Each port that the service publishes on all nodes, and where it answers."""
        if not self._store.services.count("ingress", True):
            return []
        said = {node_id: (state, applied) for node_id, state, applied in self._states()}
        nodes = sorted(self._store.nodes, key=lambda node: (node.hostname, node.id))
        return list(self._ports(service, nodes, said))

    def _node(self, node: Node, said: tuple[NetworksState, bool] | None) -> dict[str, Any]:
        state, applied = said if said is not None else (NetworksState(), False)
        networks = []
        for attachment in node.attachments:
            network = self._store.networks.get(attachment.network_id)
            networks.append(
                {
                    "id": attachment.network_id,
                    "name": network.name if network is not None else "",
                    "addresses": list(attachment.addresses),
                    "error": state.errors.get(attachment.network_id, ""),
                }
            )
        return {
            "id": node.id,
            "hostname": node.hostname,
            "applied": applied,
            "networks": networks,
            "error": state.errors.get("", ""),  # of no network alone
        }

    def _ports(
        self, service: Service, nodes: Iterable[Node], said: dict[str, tuple[NetworksState, bool]]
    ) -> Iterator[dict[str, Any]]:
        for port in service.ports:
            if port.mode == "host" or not tables.published(port):
                continue
            [key] = tables.published(port)
            found = [(node, _problem(node, said.get(node.id), key)) for node in nodes]
            yield {
                "service": service.name,
                "service_id": service.id,
                "protocol": key[0],
                "port": key[1],
                "target_port": port.target_port,
                "ready": not any(problem for _, problem in found),
                "nodes": [
                    {"id": node.id, "hostname": node.hostname, "ready": not problem, "error": problem}
                    for node, problem in found
                ],
            }


def _problem(node: Node, said: tuple[NetworksState, bool] | None, key: tuple[str, int]) -> str:
    """Why a port does not answer on a node; "" if it does."""
    if node.status.state == NodeState.DOWN:
        return AWAY.format(state=node.status.state.value)
    return said[0].ports.get(key, SILENT) if said is not None else SILENT
