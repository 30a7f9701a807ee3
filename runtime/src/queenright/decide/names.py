# SPDX-License-Identifier: Apache-2.0
"""Names of services and tasks -> addresses, from the rows that a node was told of its networks.

Who asks is known by the network that the question came in by and the address it came from: a task is answered from all
its networks, that of the question first. In a network there are, in this order: the names and aliases of its services
(virtual addresses, or the tasks' where there are none), ``tasks.NAME`` (tasks that serve), names and aliases of tasks;
each also with the network's name behind it (``web.mynet``). The ingress network has no names.
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
from collections.abc import Iterable, Iterator

from queenright.model.mesh_rows import Endpoint, Face, Link, Row

VIP_TTL = 10  # seconds; a virtual address lasts as long as its service
TASK_TTL = 1  # tasks come and go
REVERSE = (".in-addr.arpa", ".ip6.arpa")
INSIDE = ".docker.internal"  # what only an engine knows

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Verdict(enum.Enum):
    """FOUND: the name is there, though perhaps not with what was asked for. ABSENT: there is no such name. UNSURE: it
    is not known, and that may only be because not all has been heard yet. FORWARD: others are to be asked.
    """

    FOUND = enum.auto()
    ABSENT = enum.auto()
    UNSURE = enum.auto()
    FORWARD = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """``values``: addresses, or names if it was asked for the name of an address; in no order that means something.

    ``ttl`` in seconds. ``asker``: the id of the task, or node, that asks; "" if it is not known. ``doubt``: of a name
    for others to find, that it may yet turn out to be one of ours.
    """

    verdict: Verdict
    values: tuple[str, ...] = ()
    ttl: int = TASK_TTL
    asker: str = ""
    doubt: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _Hit:
    addresses: tuple[str, ...]
    ttl: int


class NameTable:
    """The names of all networks of a node; a change costs what it touches.

    ``whole``: a manager has told all there is. Until then what is not known may exist.
    """

    def __init__(self) -> None:
        self.whole = False
        self._remembered = False
        self._networks: dict[str, _Network] = {}
        self._seats: dict[str, set[str]] = {}  # networks of each task and node

    def remember(self, rows: Iterable[Row]) -> None:
        """Take what was known before the daemon started."""
        self._remembered = True
        self.take(rows, ())

    def take(self, put: Iterable[Row], gone: Iterable[str]) -> None:
        """Rows that are new or different, and keys of rows that are gone. A row without its link is of no use."""
        for key in gone:
            self._remove(key)
        later: list[Face | Endpoint] = []
        for row in put:
            if isinstance(row, Link):
                self._put_link(row)
            else:
                later.append(row)
        for row in later:
            network = self._networks.get(row.network_id)
            if network is None:
                continue
            network.put(row)
            if isinstance(row, Endpoint):
                self._seats.setdefault(row.holder, set()).add(row.network_id)

    def _put_link(self, link: Link) -> None:
        network = self._networks.get(link.network_id)
        if network is None:
            self._networks[link.network_id] = _Network(link)
        else:
            network.link = link

    def _remove(self, key: str) -> None:
        network_id, _, part = key.partition("/")
        network = self._networks.get(network_id)
        if network is None:
            return
        if part:
            gone = [part] if network.remove(part) else []
        else:
            gone = list(network.endpoints)
            del self._networks[network_id]
        for holder in gone:
            _discard(self._seats, holder, network_id)

    def answer(self, network_id: str, source: str, name: str, kind: str) -> Answer:
        """What to say to the question for ``name`` (labels with dots between them, in any case) that came from the
        address ``source`` in a network. ``kind``: A, AAAA, PTR or ANY; whatever else no name of ours has.
        """
        name = name.lower().removesuffix(".")
        asker, known = self._asker(network_id, source)
        networks = self._networks_of(network_id, asker)
        doubt = not (self.whole and known)
        if name.endswith(REVERSE):
            found = self._reverse(networks, name, kind, doubt)
        else:
            found = self._forward(networks, name, kind, doubt)
        return dataclasses.replace(found, asker=asker)

    def _asker(self, network_id: str, source: str) -> tuple[str, bool]:
        """(who asks, whether all its networks are known)."""
        network = self._networks.get(network_id)
        if network is None:
            return "", False
        holder = network.holder(source)
        return holder, bool(holder) or network.is_gateway(source)

    def _networks_of(self, network_id: str, asker: str) -> list[_Network]:
        order = [network_id, *sorted(self._seats.get(asker, set()) - {network_id})]
        return [self._networks[key] for key in order if key in self._networks]

    def _forward(self, networks: list[_Network], name: str, kind: str, doubt: bool) -> Answer:
        hit = _find(networks, name)
        if hit is not None:
            return Answer(Verdict.FOUND, _of_kind(hit.addresses, kind), hit.ttl)
        if name and not _leaves(name):
            return Answer(Verdict.UNSURE if doubt else Verdict.ABSENT)
        return Answer(Verdict.FORWARD, doubt=doubt and not self._remembered)

    def _reverse(self, networks: list[_Network], name: str, kind: str, doubt: bool) -> Answer:
        address = address_of(name)
        if address is None or not any(network.holds(address) for network in networks):
            return Answer(Verdict.FORWARD)
        names = [text for network in networks for text in network.names_of(str(address))]
        if names:
            return Answer(Verdict.FOUND, tuple(names) if kind in ("PTR", "ANY") else (), VIP_TTL)
        return Answer(Verdict.UNSURE if doubt else Verdict.ABSENT)


def _find(networks: Iterable[_Network], name: str) -> _Hit | None:
    """The first network that has the name says what it is; a network's own name behind it picks that network."""
    named = [network for network in networks if network.has_names]
    for network in named:
        hit = network.find(name)
        if hit is not None:
            return hit
    for network in named:
        hit = network.find(name.removesuffix(network.suffix)) if name.endswith(network.suffix) else None
        if hit is not None:
            return hit
    if name == "localhost" or name.endswith(".localhost"):
        return _Hit(("127.0.0.1", "::1"), VIP_TTL)
    return None


def _leaves(name: str) -> bool:
    """Whether others than us may know the name."""
    if "." not in name or name.endswith(INSIDE):
        return False
    head, _, rest = name.partition(".")
    return head != "tasks" or "." in rest


def _of_kind(addresses: Iterable[str], kind: str) -> tuple[str, ...]:
    if kind == "ANY":
        return tuple(addresses)
    if kind not in ("A", "AAAA"):
        return ()
    return tuple(address for address in addresses if (":" in address) == (kind == "AAAA"))


def address_of(name: str) -> Address | None:
    """``5.1.0.10.in-addr.arpa`` -> 10.0.1.5; None for what is not a whole address."""
    try:
        if name.endswith(REVERSE[0]):
            labels = name.removesuffix(REVERSE[0]).split(".")
            return ipaddress.IPv4Address(".".join(reversed(labels))) if len(labels) == 4 else None
        labels = name.removesuffix(REVERSE[1]).split(".")
        if len(labels) != 32 or any(len(label) != 1 for label in labels):
            return None
        return ipaddress.IPv6Address(int("".join(reversed(labels)), 16))
    except ValueError:
        return None


def _plain(address: str) -> str:
    """An address as it is written everywhere: no prefix, no zone, IPv6 in its short form."""
    address = address.partition("/")[0].partition("%")[0]
    return str(ipaddress.IPv6Address(address)) if ":" in address else address


class _Network:
    """The rows of one network and the ways to find them."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.endpoints: dict[str, Endpoint] = {}
        self._faces: dict[str, Face] = {}
        self._services: dict[str, set[str]] = {}  # by name and alias
        self._tasks: dict[str, set[str]] = {}  # tasks of each service
        self._named: dict[str, set[str]] = {}  # tasks by name and alias
        self._holders: dict[str, str] = {}  # by address
        self._vips: dict[str, str] = {}  # services by virtual address

    @property
    def has_names(self) -> bool:
        return not self.link.ingress

    @property
    def suffix(self) -> str:
        return "." + self.link.name.lower()

    def put(self, row: Face | Endpoint) -> None:
        if isinstance(row, Face):
            self._put_face(row)
        else:
            self._put_endpoint(row)

    def remove(self, part: str) -> bool:
        """Take away the service's face, or the endpoint, with that id; whether it was an endpoint."""
        face = self._faces.pop(part, None)
        if face is not None:
            for name in _names_of_face(face):
                _discard(self._services, name, part)
            for vip in map(_plain, face.vips):
                if self._vips.get(vip) == part:
                    del self._vips[vip]
            return False
        endpoint = self.endpoints.pop(part, None)
        if endpoint is None:
            return False
        for name in _names_of_endpoint(endpoint):
            _discard(self._named, name, part)
        _discard(self._tasks, endpoint.service_id, part)
        for address in endpoint.addresses:
            if self._holders.get(_plain(address)) == part:
                del self._holders[_plain(address)]
        return True

    def _put_face(self, face: Face) -> None:
        self.remove(face.service_id)
        self._faces[face.service_id] = face
        for name in _names_of_face(face):
            self._services.setdefault(name, set()).add(face.service_id)
        for vip in face.vips:
            self._vips[_plain(vip)] = face.service_id

    def _put_endpoint(self, endpoint: Endpoint) -> None:
        holder = endpoint.holder
        self.remove(holder)
        self.endpoints[holder] = endpoint
        for address in endpoint.addresses:
            self._holders[_plain(address)] = holder
        if endpoint.task_id:
            self._tasks.setdefault(endpoint.service_id, set()).add(holder)
            for name in _names_of_endpoint(endpoint):
                self._named.setdefault(name, set()).add(holder)

    # -- questions

    def find(self, name: str) -> _Hit | None:
        """The addresses that a name stands for; None if nothing is called so."""
        services = self._services.get(name)
        if services:
            return self._of_services(services)
        head, _, rest = name.partition(".")
        if head == "tasks" and rest in self._services:
            addresses = tuple(a for service in sorted(self._services[rest]) for a in self._serving(service))
            return _Hit(addresses, TASK_TTL)
        holders = self._named.get(name)
        if holders:
            endpoints = [self.endpoints[holder] for holder in sorted(holders)]
            there = [item for item in endpoints if not item.lost and (item.serving or item.name.lower() == name)]
            return _Hit(tuple(_plain(address) for item in there for address in item.addresses), TASK_TTL)
        return None

    def _of_services(self, services: set[str]) -> _Hit:
        addresses: list[str] = []
        ttl = VIP_TTL
        for service in sorted(services):
            face = self._faces[service]
            if face.vips and not face.dnsrr:
                addresses.extend(map(_plain, face.vips))
            else:
                addresses.extend(self._serving(service))
                ttl = TASK_TTL
        return _Hit(tuple(addresses), ttl)

    def _serving(self, service: str) -> Iterator[str]:
        for holder in sorted(self._tasks.get(service, ())):
            endpoint = self.endpoints[holder]
            if endpoint.serving and not endpoint.lost:
                yield from map(_plain, endpoint.addresses)

    def holder(self, address: str) -> str:
        return self._holders.get(_plain(address), "")

    def is_gateway(self, address: str) -> bool:
        return any(_plain(address) == subnet.gateway for subnet in self.link.subnets)

    def holds(self, address: Address) -> bool:
        """Whether the address is one of the network's."""
        return any(address in ipaddress.ip_network(subnet.subnet) for subnet in self.link.subnets)

    def names_of(self, address: str) -> Iterator[str]:
        """What is called by that address, with the network's name behind it."""
        face = self._faces.get(self._vips.get(address, ""))
        endpoint = self.endpoints.get(self._holders.get(address, ""))
        for item in (face, endpoint):
            if item is not None and item.name and (self.has_names or item is endpoint):
                yield f"{item.name}.{self.link.name}"


def _names_of_face(face: Face) -> set[str]:
    return {name.lower() for name in (face.name, *face.aliases) if name}


def _names_of_endpoint(endpoint: Endpoint) -> set[str]:
    return {name.lower() for name in (endpoint.name, *endpoint.aliases) if name} if endpoint.task_id else set()


def _discard(index: dict[str, set[str]], key: str, value: str) -> None:
    held = index.get(key)
    if held is not None:
        held.discard(value)
        if not held:
            del index[key]
