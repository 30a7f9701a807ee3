# SPDX-License-Identifier: Apache-2.0
"""Whether a service may publish its ports beside the other services of the swarm."""

from __future__ import annotations

from queenright.decide import ports
from queenright.model.errors import FailedPrecondition, InvalidArgument
from queenright.model.objects import Service
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store


def check_ports(store: Store, spec: ServiceSpec, service_id: str = "") -> None:
    """Refuse a port that another service has, in Swarm's words, and one that is to be chosen where none is left.
    ``service_id`` is the service's own, if it exists.
    """
    refusal = ports.clash(store, spec, service_id)
    if refusal:
        raise InvalidArgument(refusal)
    _check_choice(store, spec, store.services.get(service_id))


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
