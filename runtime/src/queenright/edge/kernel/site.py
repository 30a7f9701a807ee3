# SPDX-License-Identifier: Apache-2.0
"""All that a node has of the mesh, once it has something: the host's worker, the networks, the published ports."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import re
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from queenright.agent.mesh_ports import Applied
from queenright.edge.kernel import families, firewall, namespaces, netlink, watch
from queenright.edge.kernel.balancer import MakeBalancer, own_address, serving
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.host import Gateway
from queenright.edge.kernel.links import NAMES as LINKS
from queenright.edge.kernel.links import Links, half_made
from queenright.edge.kernel.netlink import NetlinkSocket
from queenright.edge.kernel.nftables import Nftables
from queenright.edge.kernel.overlay import HostSide
from queenright.edge.kernel.reserve import Key, Ports
from queenright.edge.kernel.sandbox import Sandbox
from queenright.edge.kernel.switches import Switches
from queenright.edge.kernel.worker import Worker
from queenright.model.mesh import (
    HOST_LINK,
    IPVS,
    MeshPicture,
    Overlay,
    Published,
    alias_of,
    names,
)

T = TypeVar("T")
Held = TypeVar("Held", Links, NetlinkSocket)

NAMESPACE = re.compile(r"swns-[0-9a-f]{10}")
_END = 5.0  # seconds that a thread may take to end

_log = logging.getLogger(__name__)


class Host:
    """The host's worker and what it holds open: used on its thread, except ``worker``."""

    def __init__(self, namespace: str | None, folder: Path) -> None:
        self._namespace = namespace
        self._folder = folder
        self._held: list[Links | NetlinkSocket] = []
        self.worker = Worker("kernel-host", self._enter)

    def _enter(self) -> None:
        if self._namespace is not None:
            namespaces.enter(self._namespace, self._folder)
        self.links = self._hold(Links())
        self.route = self._hold(NetlinkSocket(netlink.ROUTE))
        self.filters = self._hold(NetlinkSocket(netlink.NETFILTER))

    def _hold(self, opened: Held) -> Held:
        self._held.append(opened)
        return opened

    def leave(self) -> None:
        """Let go of everything, also of what one that did not come in had opened."""
        while self._held:
            self._held.pop().close()


class Network:
    """One network on this node: its part on the host, and its sandbox with a thread of its own."""

    def __init__(self, host: Host, cluster_id: str, network_id: str, folder: Path) -> None:
        self.names = names(network_id)
        self.side = HostSide(host.links, host.route, cluster_id, network_id)
        self.path = folder / self.names.namespace
        self.applied: Overlay | None = None
        self.made_by: MakeBalancer | None = None
        self._folder = folder
        self.open()
        self._renewed = False

    def open(self) -> None:
        """A thread in the namespace of the name, which is made if it is not there."""
        self.sandbox = Sandbox(self.names.namespace, self._folder)
        self._renewed = True
        self.worker = Worker(f"kernel-{self.names.namespace}", self.sandbox.enter)

    def take_renewed(self) -> bool:
        """Whether the sandbox was made anew since the last time somebody asked."""
        renewed, self._renewed = self._renewed, False
        return renewed

    async def end(self) -> None:
        """End the thread; the namespace stays, if it has a name."""
        leave = self.sandbox.leave
        with contextlib.suppress(Exception):  # one that never came in leaves at its end
            await self.worker.run(leave)
        self.worker.close(leave)


class Site:
    """Applies pictures. Belongs to the loop; one call at a time."""

    def __init__(
        self, cluster_id: str, namespace: str | None, folder: Path, switches: Switches, told: Callable[[], None]
    ) -> None:
        self.cluster_id = cluster_id
        self._folder = folder
        self._switches = switches
        self._told = told
        self._in_place = namespace is None
        self._host = Host(namespace, folder)
        self._networks: dict[str, Network] = {}
        self._gateway: Gateway | None = None
        self._published: tuple[str, tuple[Published, ...]] | None = None  # as the gateway has them
        self._accepted: dict[int, list[firewall.Rule]] | None = None
        self._ports = Ports(self._open_socket, self._host.worker.run)
        self._watch: watch.Watch | None = None
        self._swept = False

    async def bring(self, picture: MeshPicture, *, full: bool) -> Applied:
        """Bring the kernel to the picture. ``full``: nothing is taken for granted."""
        if self._watch is None:
            self._watch = watch.Watch(*await self._host.worker.run(watch.open_sockets), self._told)
        self._watch.pause()
        try:
            return await self._bring(picture, full=full or not self._swept)
        finally:
            self._watch.go_on()

    async def dns_sockets(self, network_id: str) -> tuple[socket.socket, ...]:
        network = self._networks.get(network_id)
        if network is None or network.applied is None:
            raise OSError(errno.ENODEV, f"network {network_id} is not on this node")
        dns = network.applied.dns
        return await network.worker.run(lambda: network.sandbox.dns_sockets(dns))

    async def end(self) -> None:
        """End the threads and go on meanwhile: the kernel takes its time to close some sockets."""
        if self._watch is not None:
            self._watch.close()
        self._ports.close()
        for network in self._networks.values():
            await network.end()
        with contextlib.suppress(Exception):  # one that never came in has nothing to leave
            await self._host.worker.run(self._leave)
        self._host.worker.close(self._leave)

    def close(self) -> None:
        """End the threads, and wait for that; the data path goes on."""
        if self._watch is not None:
            self._watch.close()
        self._ports.close()
        for network in self._networks.values():
            network.worker.close(network.sandbox.leave)
        self._host.worker.close(self._leave)
        for worker in (*(network.worker for network in self._networks.values()), self._host.worker):
            worker.join(_END)

    def _leave(self) -> None:
        if self._gateway is not None:
            self._gateway.close()
        self._host.leave()

    async def _bring(self, picture: MeshPicture, *, full: bool) -> Applied:
        if not await self._host.worker.run(families.has_ipv6):
            picture = dataclasses.replace(picture, overlays=tuple(map(families.without_ipv6, picture.overlays)))
        wanted = {overlay.network_id: overlay for overlay in picture.overlays}
        ingress = next((overlay for overlay in picture.overlays if overlay.ingress), None)
        errors: dict[str, str] = {}
        if ingress is None:
            await self._caught(errors, self._published[0] if self._published else "", self._no_ports())
        for network_id in [known for known in self._networks if known not in wanted]:
            await self._caught(errors, network_id, self._remove(network_id))
        if full:
            await self._caught(errors, "", self._sweep(set(wanted)))
        await self._caught(errors, "", self._forwarding(picture, full=full))
        make = _backend(picture.backend)
        steps = [self._caught(errors, key, self._network(overlay, make, full)) for key, overlay in wanted.items()]
        await asyncio.gather(*steps)
        ports = await self._publish(ingress, errors, full=full) if ingress is not None else {}
        if full:
            self._swept = "" not in errors
        renewed = tuple(sorted(key for key, network in self._networks.items() if network.take_renewed()))
        return Applied(errors, ports, renewed)

    async def _caught(self, errors: dict[str, str], network_id: str, step: object) -> None:
        """Await one network's step; what it raises is put down, and the others go on."""
        try:
            await step  # type: ignore[misc]
        except (KernelError, OSError) as error:
            errors[network_id] = str(error)
        except Exception as error:
            _log.exception("network %s", network_id)
            errors[network_id] = f"unexpected: {error!r}"

    async def _network(self, overlay: Overlay, make: MakeBalancer, full: bool) -> None:
        host = self._host
        network = self._networks.get(overlay.network_id)
        if network is None:
            await host.worker.run(lambda: None)  # it has entered, or this says why not
            network = self._networks[overlay.network_id] = Network(
                host, self.cluster_id, overlay.network_id, self._folder
            )
        if network.worker.failed:
            await network.end()
            network.open()
        if network.applied == overlay and network.made_by is make and not full:
            return
        again = full or network.applied is None or _links(network.applied) != _links(overlay)
        network.applied = None  # after an error nothing is known
        side, path = network.side, network.path
        await host.worker.run(lambda: side.apply(overlay, full=full))
        if again:
            here, inside = await network.worker.run(network.sandbox.seen)
            if not here:  # somebody took the name away, or gave it to another
                await network.end()
                await host.worker.run(side.detach)
                network.open()
                _, inside = await network.worker.run(network.sandbox.seen)
            await host.worker.run(lambda: side.attach(overlay, path, inside="eth0" in inside))
            if overlay.ingress:
                gateway = await self._open_gateway()
                await host.worker.run(lambda: gateway.link(overlay, path, inside="eth1" in inside))
        sandbox = network.sandbox
        await network.worker.run(lambda: sandbox.apply(overlay, make, full=again))
        network.applied, network.made_by = overlay, make

    async def _publish(self, overlay: Overlay, errors: dict[str, str], *, full: bool) -> dict[Key, str]:
        """Hold the ports and lead them to the sandbox; of each, why it does not answer."""
        refused = await self._ports.bring((port.protocol, port.port) for port in overlay.published)
        held = tuple(port for port in overlay.published if (port.protocol, port.port) not in refused)
        network_id = overlay.network_id
        if full or self._published != (network_id, held):
            self._published = None
            try:
                gateway = await self._open_gateway()
                await self._host.worker.run(lambda: gateway.apply(overlay, held, full=full))
                self._published = network_id, held
            except (KernelError, OSError) as error:
                errors.setdefault(network_id, str(error))
        said: dict[Key, str] = {}
        for port in overlay.published:
            key = port.protocol, port.port
            said[key] = refused.get(key) or errors.get(network_id) or _silence(port)
        return said

    async def _forwarding(self, picture: MeshPicture, *, full: bool) -> None:
        """Have the host's filter let through what is ours."""
        mark = alias_of(self.cluster_id)
        wanted = {family: _accepts(mark, picture.overlays, family) for family in (4, 6)}
        if full or wanted != self._accepted:
            self._accepted = None
            for family, rules in wanted.items():
                await self._host.worker.run(partial(firewall.ensure, family, mark, rules))
            self._accepted = wanted

    async def _no_ports(self) -> None:
        """No network publishes ports any more."""
        if self._gateway is not None or not self._swept:
            await self._ports.bring(())
            known, gateway = self._gateway is not None, await self._open_gateway()
            if known or await self._host.worker.run(gateway.is_there):
                await self._host.worker.run(gateway.remove)
            await self._host.worker.run(gateway.close)
        self._published, self._gateway = None, None

    async def _remove(self, network_id: str) -> None:
        network = self._networks[network_id]
        network.applied = None
        await network.end()
        side, name = network.side, network.names.namespace
        await self._host.worker.run(side.detach)
        await self._host.worker.run(lambda: namespaces.remove(name, self._folder))
        await self._host.worker.run(side.remove)
        del self._networks[network_id]

    async def _sweep(self, wanted: set[str]) -> None:
        """Take away what is ours of networks that are no longer: an earlier life of the agent made it."""
        keep = {part for network_id in wanted for part in _all_names(network_id)}

        def strangers() -> None:
            links = self._host.links
            mark = alias_of(self.cluster_id)
            for _, name in socket.if_nameindex():
                if name in keep or not LINKS.fullmatch(name) or name == HOST_LINK:
                    continue
                link = links.find(name)
                if link is not None and (link.alias.startswith(mark) or half_made(link)):
                    links.remove(link)
            for name in namespaces.present("swns-", self._folder):
                if name not in keep and NAMESPACE.fullmatch(name):
                    namespaces.remove(name, self._folder)

        await self._host.worker.run(strangers)

    async def _open_gateway(self) -> Gateway:
        if self._gateway is None:
            host = self._host
            self._gateway = await host.worker.run(
                lambda: Gateway(host.links, host.route, host.filters, self.cluster_id, self._switches)
            )
        return self._gateway

    async def _open_socket(self, make: Callable[[], socket.socket]) -> socket.socket:
        return make() if self._in_place else await self._host.worker.run(make)


def _backend(name: str) -> MakeBalancer:
    if name == IPVS:
        from queenright.edge.kernel.ipvs import Ipvs

        return Ipvs
    return Nftables


def _accepts(mark: str, overlays: Sequence[Overlay], family: int) -> list[firewall.Rule]:
    """The rules of one family that these networks need."""
    having = [overlay for overlay in overlays if own_address(overlay, family)]
    bridges = [names(overlay.network_id).bridge for overlay in having]
    ingress = [overlay for overlay in having if overlay.ingress]
    direct = [names(overlay.network_id).bridge for overlay in ingress if _is_direct(overlay.published)]
    return firewall.accepts(mark, bridges, gateway=bool(ingress), direct=direct)


def _is_direct(ports: Sequence[Published]) -> bool:
    """Whether a container may get connections straight from the host."""
    return any(port.local_first and any(backend.local for backend in port.backends) for port in ports)


def _all_names(network_id: str) -> tuple[str, ...]:
    own = names(network_id)
    return own.bridge, own.vxlan, own.veth, own.namespace


def _links(overlay: Overlay) -> tuple[object, ...]:
    """What the links between host and sandbox depend on."""
    return overlay.mtu, overlay.addresses, overlay.ingress


def _silence(port: Published) -> str:
    """Why nobody answers on a port that is well led; "" if somebody does."""
    if any(serving(port.backends, family) for family in (4, 6)):
        return ""
    return "no task of the service takes connections"
