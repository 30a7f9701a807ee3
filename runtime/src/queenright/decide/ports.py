# SPDX-License-Identifier: Apache-2.0
"""The numbers under which services are published: those that were asked for, and for the others free ones.

A port that was given a number keeps it through updates, as long as the service publishes the same port of its
containers under the same name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterator

from queenright.model.objects import Service
from queenright.spec.service import Port, ServiceSpec
from queenright.store.store import Store
from queenright.store.tables import held_ports, on_all_nodes, same_port
from queenright.store.tables import published as taken

FIRST = 30000
LAST = 32767
Number = tuple[str, int]  # (protocol, port)


def published(view: Store, service: Service, given: Container[Number] = ()) -> tuple[Port, ...]:
    """The service's ports as they are published; ``given``: numbers that are not to be chosen, besides those in the
    store. Where no number is free it stays 0. Nothing if no port is for all nodes: then its spec says it all.
    """
    wanted = service.spec.endpoint.ports
    if not on_all_nodes(service.spec.endpoint):
        return ()
    earlier: dict[object, list[int]] = {}
    for port in service.ports:
        if _is_dynamic(port):
            earlier.setdefault(same_port(port), []).append(port.published_port or 0)
    named = {(_protocol(port), port.published_port) for port in wanted if port.published_port}
    own: set[Number] = set()
    made: list[Port] = []
    for port in wanted:
        if port.published_port or port.mode == "host":
            made.append(port)
            continue
        number = _kept(view, service, port, earlier, own | named, given) or _free(view, port, own | named, given)
        if number:
            own.add((_protocol(port), number))
        made.append(dataclasses.replace(port, published_port=number))
    return tuple(made)


def clash(view: Store, spec: ServiceSpec, service_id: str = "") -> str:
    """That a port of the specification is another service's, in Swarm's words; nothing if all go together.

    A port of the ingress is taken on every node, also one whose number was chosen. Two services that publish in host
    mode get along: the scheduler gives their tasks different nodes.
    """
    for other, held in rivals(view, spec, service_id):
        word = "a host-published port" if held.mode == "host" else "an ingress port"
        return f"port '{held.published_port}' is already in use by service '{other.name}' ({other.id}) as {word}"
    return ""


def rivals(view: Store, spec: ServiceSpec, service_id: str = "") -> Iterator[tuple[Service, Port]]:
    """Other services that have a port of the specification, each with that port."""
    for wanted in spec.endpoint.ports:
        for key in taken(wanted):
            for other in view.services.by("port", key):
                for held in held_ports(other) if other.id != service_id else ():
                    if key in taken(held) and not (wanted.mode == "host" and held.mode == "host"):
                        yield other, held


def _kept(
    view: Store,
    service: Service,
    port: Port,
    earlier: dict[object, list[int]],
    own: Container[Number],
    given: Container[Number],
) -> int:
    """The number that the port had before, if it is nobody else's by now; else 0."""
    for number in earlier.get(same_port(port), ()):
        key = (_protocol(port), number)
        if key not in own and key not in given and all(one.id == service.id for one in view.services.by("port", key)):
            return number
    return 0


def _free(view: Store, port: Port, own: Container[Number], given: Container[Number]) -> int:
    """The lowest number that is free; 0 if there is none."""
    protocol = _protocol(port)
    for number in range(FIRST, LAST + 1):
        key = (protocol, number)
        if key not in own and key not in given and not view.services.count("port", key):
            return number
    return 0


def _is_dynamic(port: Port) -> bool:
    return port.mode != "host" and FIRST <= (port.published_port or 0) <= LAST


def _protocol(port: Port) -> str:
    return port.protocol or "tcp"
