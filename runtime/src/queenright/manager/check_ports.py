# SPDX-License-Identifier: Apache-2.0
"""Whether a service may publish its ports beside the other services of the swarm."""

from __future__ import annotations

from queenright.model.errors import InvalidArgument
from queenright.spec.service import Port, ServiceSpec
from queenright.store.store import Store
from queenright.store.tables import published


def check_ports(store: Store, spec: ServiceSpec, service_id: str = "") -> None:
    """Refuse a port that another service has, in Swarm's words. ``service_id`` is the service's own, if it exists.

    A port of the ingress is taken on every node. Two services that publish in host mode get along: the scheduler gives
    their tasks different nodes.
    """
    for port in spec.endpoint.ports:
        for key in published(port):
            for other in store.services.by("port", key):
                if other.id != service_id:
                    for held in other.spec.endpoint.ports:
                        if key in published(held):
                            _check_pair(port, held, f"'{other.name}' ({other.id})")


def _check_pair(wanted: Port, held: Port, owner: str) -> None:
    if wanted.mode == "host" and held.mode == "host":
        return
    word = "a host-published port" if held.mode == "host" else "an ingress port"
    raise InvalidArgument(f"port '{held.published_port}' is already in use by service {owner} as {word}")
