# SPDX-License-Identifier: Apache-2.0
"""Whether a service may publish its ports beside the other services of the swarm."""

from __future__ import annotations

from queenright.decide import ports
from queenright.model.errors import FailedPrecondition, InvalidArgument
from queenright.model.objects import Service
from queenright.spec.service import Port, ServiceSpec
from queenright.store.store import Store
from queenright.store.tables import published


def check_ports(store: Store, spec: ServiceSpec, service_id: str = "") -> None:
    """Refuse a port that another service has, in Swarm's words, and one that is to be chosen where none is left.
    ``service_id`` is the service's own, if it exists.

    A port of the ingress is taken on every node, also one whose number was chosen. Two services that publish in host
    mode get along: the scheduler gives their tasks different nodes.
    """
    for port in spec.endpoint.ports:
        for key in published(port):
            for other in store.services.by("port", key):
                if other.id != service_id:
                    _check_beside(port, key, other)
    _check_choice(store, spec, store.services.get(service_id))


def _check_beside(wanted: Port, key: tuple[str, int], other: Service) -> None:
    for held in (*other.spec.endpoint.ports, *other.ports):
        if key in published(held):
            _check_pair(wanted, held, f"'{other.name}' ({other.id})")


def _check_pair(wanted: Port, held: Port, owner: str) -> None:
    if wanted.mode == "host" and held.mode == "host":
        return
    word = "a host-published port" if held.mode == "host" else "an ingress port"
    raise InvalidArgument(f"port '{held.published_port}' is already in use by service {owner} as {word}")


def _check_choice(store: Store, spec: ServiceSpec, present: Service | None) -> None:
    """Whether the numbers that are to be chosen are there, so that who asks is told at once."""
    asked = Service(id="", spec=spec) if present is None else present
    wanted = Service(id=asked.id, spec=spec, ports=asked.ports)
    for port in ports.published(store, wanted):
        if port.mode != "host" and not port.published_port:
            raise FailedPrecondition(
                f"no port is left for target port {port.target_port}: all of {ports.FIRST}-{ports.LAST}/"
                f"{port.protocol or 'tcp'} are in use; name another one (--publish published=PORT,target=PORT)"
            )
