# SPDX-License-Identifier: Apache-2.0
"""Rows that a node was told of its networks -> the picture of what its kernel shall do.

What did not change is taken from the picture before, the very objects, so that a change costs what it touches. The
picture depends on the rows alone, not on the way they came.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from queenright.model.mesh import (
    NFTABLES,
    Backend,
    Balanced,
    MeshPicture,
    Neighbour,
    Overlay,
    Published,
    mac_of,
)
from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, Row

DEFAULT_DRAIN = 5_000_000_000


class NetworkRows:
    """The rows of one network, as they now are; for all but :class:`Tables` to read only.

    ``endpoints`` by holder, ``faces`` by service id, ``tasks`` the endpoints of each service by holder. ``revision``
    grows with each change.
    """

    def __init__(self, node_id: str, link: Link) -> None:
        self._node_id = node_id
        self.link = link
        self.endpoints: dict[str, Endpoint] = {}
        self.faces: dict[str, Face] = {}
        self.tasks: dict[str, dict[str, Endpoint]] = {}
        self.revision = 0
        self._neighbours: dict[str, Neighbour] = {}
        self._balanced: dict[str, Balanced] = {}
        self._published: dict[str, tuple[Published, ...]] = {}
        self._services: set[str] = set()  # whose part of the picture is to be made anew
        self._overlay: Overlay | None = None
        self._sorted: tuple[Neighbour, ...] | None = ()

    @property
    def rows(self) -> Iterator[Row]:
        yield self.link
        yield from self.endpoints.values()
        yield from self.faces.values()

    def put(self, row: Row) -> None:
        if isinstance(row, Link):
            changed = row != self.link
            self.link = row
        elif isinstance(row, Endpoint):
            changed = self._put_endpoint(row)
        else:
            changed = self.faces.get(row.service_id) != row
            self.faces[row.service_id] = row
            self._services.add(row.service_id)
        if changed:
            self._changed()

    def remove(self, holder: str) -> bool:
        """Take away the endpoint, or the face, of that holder or service; whether there was one."""
        endpoint = self.endpoints.pop(holder, None)
        if endpoint is not None:
            self._forget(endpoint)
            self._set_neighbour(holder, None)
        elif self.faces.pop(holder, None) is not None:
            self._services.add(holder)
        else:
            return False
        self._changed()
        return True

    def _changed(self) -> None:
        self.revision += 1
        self._overlay = None

    def _put_endpoint(self, row: Endpoint) -> bool:
        before = self.endpoints.get(row.holder)
        if before == row:
            return False
        if before is not None and before.service_id != row.service_id:
            self._forget(before)
        self.endpoints[row.holder] = row
        if row.task_id:
            self.tasks.setdefault(row.service_id, {})[row.holder] = row
            if before is None or _as_backend(before) != _as_backend(row):
                self._services.add(row.service_id)
        self._set_neighbour(row.holder, self._neighbour(row))
        return True

    def _forget(self, endpoint: Endpoint) -> None:
        """The service has that task no more."""
        tasks = self.tasks.get(endpoint.service_id, {})
        if tasks.pop(endpoint.holder, None) is not None:
            self._services.add(endpoint.service_id)
            if not tasks:
                del self.tasks[endpoint.service_id]

    def _neighbour(self, row: Endpoint) -> Neighbour | None:
        if row.node_id == self._node_id or not row.vtep or not row.addresses:
            return None
        return Neighbour(mac_of(row.addresses[0]), row.addresses, row.vtep)

    def _set_neighbour(self, holder: str, neighbour: Neighbour | None) -> None:
        if self._neighbours.get(holder) == neighbour:
            return
        if neighbour is None:
            del self._neighbours[holder]
        else:
            self._neighbours[holder] = neighbour
        self._sorted = None

    # -- its part of the picture

    def overlay(self) -> Overlay:
        if self._overlay is None:
            self._overlay = self._make()
        return self._overlay

    def _make(self) -> Overlay:
        link = self.link
        for service_id in self._services:
            self._weigh(service_id)
        self._services.clear()
        if self._sorted is None:
            self._sorted = tuple(self._neighbours[holder] for holder in sorted(self._neighbours))
        return Overlay(
            network_id=link.network_id,
            name=link.name,
            vni=link.vni,
            mtu=link.mtu,
            subnets=link.subnets,
            dns=tuple(subnet.dns for subnet in link.subnets),
            internal=link.internal,
            ingress=link.ingress,
            addresses=link.addresses,
            vtep=link.vtep,
            vxlan_port=link.vxlan_port,
            neighbours=self._sorted,
            balanced=tuple(self._balanced[key] for key in sorted(self._balanced)),
            published=tuple(
                sorted(
                    (port for ports in self._published.values() for port in ports),
                    key=lambda port: (port.protocol, port.port),
                )
            )
            if link.ingress
            else (),
        )

    def weigh(self, at_most: int) -> bool:
        """Make what there is of so many changed services, before :meth:`overlay` asks for all. False: none."""
        some = list(itertools.islice(self._services, at_most))
        for service_id in some:
            self._weigh(service_id)
        self._services.difference_update(some)
        return bool(some)

    def _weigh(self, service_id: str) -> None:
        """Make what there is of a service in the picture."""
        face = self.faces.get(service_id)
        self._balanced.pop(service_id, None)
        self._published.pop(service_id, None)
        if face is None:
            return
        tasks = self.tasks.get(service_id, {})
        backends = tuple(
            Backend(task.task_id, task.addresses, task.serving, task.node_id == self._node_id)
            for _, task in sorted(tasks.items())
            if task.addresses and not task.lost
        )
        if face.ports:
            self._published[service_id] = tuple(
                Published(
                    port.protocol or "tcp",
                    port.published_port,
                    port.target_port or port.published_port,
                    service_id,
                    backends,
                    bool(port.local_first),
                )
                for port in face.ports
                if port.published_port
            )
        if face.vips and not face.dnsrr and not face.ports:
            # Nobody knows the virtual address that a service has for the sake of its published ports.
            self._balanced[service_id] = Balanced(service_id, face.vips, backends)


def _as_backend(row: Endpoint) -> tuple[object, ...]:
    return row.service_id, row.addresses, row.serving, row.node_id, row.lost


class Tables:
    """All rows of a node, by network."""

    def __init__(self, cluster_id: str, node_id: str) -> None:
        self._cluster_id = cluster_id
        self._node_id = node_id
        self._networks: dict[str, NetworkRows] = {}
        self.complete = False  # whether a manager has told all of it since this began
        self.token = ""  # of the state that the rows make

    @property
    def networks(self) -> Mapping[str, NetworkRows]:
        """By id, those that the node takes part in."""
        return self._networks

    @property
    def rows(self) -> Iterator[Row]:
        for network in self._networks.values():
            yield from network.rows

    def load(self, rows: Iterable[Row]) -> None:
        """Take what was remembered, until a manager tells."""
        self._put(rows)

    def take(self, told: NetworksSet) -> tuple[list[Row], list[str]]:
        """Take what was told; gives (rows that are new or different, keys that are gone). A difference must build on
        what is held: the caller compares tokens.
        """
        put: list[Row] = []
        gone: list[str] = []
        for some, lost in self.steps(told):
            put += some
            gone += lost
        return put, gone

    def steps(self, told: NetworksSet, at_once: int = 0) -> Iterator[tuple[list[Row], list[str]]]:
        """The same in steps of so many rows (0: in one), each with what it did. Until the last one was asked for, the
        rows are neither what was held before nor what was told; links come before what needs them.
        """
        known = {row.key: row for row in self.rows} if told.complete else {}
        if told.complete:
            wanted = {row.key for row in told.rows}
            removes = [key for key in known if key not in wanted]
        else:
            removes = list(told.removes)
        put = [row for row in told.rows if known.get(row.key) != row]
        put.sort(key=lambda row: not isinstance(row, Link))
        size = at_once or max(len(put), len(removes), 1)
        for begin in range(0, len(removes), size):
            yield [], [gone for key in removes[begin : begin + size] for gone in self._remove(key)]
        for begin in range(0, len(put), size):
            some = put[begin : begin + size]
            self._put(some)
            yield some, []
        self.complete = True
        self.token = told.results_in

    def _put(self, rows: Iterable[Row]) -> None:
        later: list[Row] = []
        for row in rows:
            network = self._networks.get(row.network_id)
            if network is not None:
                network.put(row)
            elif isinstance(row, Link):
                self._networks[row.network_id] = NetworkRows(self._node_id, row)
            else:
                later.append(row)
        for row in later:  # its link came after it; without one it is of no use
            network = self._networks.get(row.network_id)
            if network is not None:
                network.put(row)

    def _remove(self, key: str) -> list[str]:
        """The keys that went: with a link all of its network."""
        network_id, _, holder = key.partition("/")
        network = self._networks.get(network_id)
        if network is None:
            return []
        if holder:
            return [key] if network.remove(holder) else []
        del self._networks[network_id]
        return [row.key for row in network.rows]

    def prepare(self, at_once: int) -> Iterator[None]:
        """The work of :meth:`picture` in steps of so many changed services. The rows must not change meanwhile."""
        for network in self._networks.values():
            while network.weigh(at_once):
                yield

    def picture(self) -> MeshPicture:
        """What the kernel shall do."""
        overlays = tuple(self._networks[key].overlay() for key in sorted(self._networks))
        backends = [network.link.backend for _, network in sorted(self._networks.items())]
        return MeshPicture(self._cluster_id, next(iter(backends), "") or NFTABLES, overlays)

    def drained(self, task_id: str, network_ids: Iterable[str]) -> bool:
        """Whether no node sends that task connections any more."""
        for network_id in network_ids:
            network = self._networks.get(network_id)
            row = network.endpoints.get(task_id) if network is not None else None
            if row is None or not row.drained:
                return False
        return True

    def drain(self, service_id: str, network_ids: Iterable[str]) -> int | None:
        """Nanoseconds for which a task of the service waits at most to be let go; None: the service is not known."""
        for network_id in network_ids:
            network = self._networks.get(network_id)
            face = network.faces.get(service_id) if network is not None else None
            if face is not None:
                return face.drain_ns
        return None
