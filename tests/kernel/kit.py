"""Hosts, containers and clients as network namespaces, with real packets between them.

Everything lives below one folder of its own and ends with it; the machine's own namespace is only ever looked at. A
:class:`Place` is a namespace with a thread in it; its sockets are used from the test's event loop, because a socket
stays where it was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import os
import pathlib
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from queenright.edge.kernel import namespaces
from queenright.edge.kernel.mesh import KernelMesh
from queenright.edge.kernel.worker import Worker
from queenright.model.mesh import (
    Backend,
    Balanced,
    MeshPicture,
    Neighbour,
    Overlay,
    Published,
    mac_of,
    names,
)
from queenright.model.objects import Subnet

CLUSTER = "c1uster"
PATIENCE = 60.0  # seconds for anything that shall come true; a quiet machine needs a thousandth
REFUSED = 5.0  # seconds within which a refusal must come: silence is no refusal
MTU = 1450


def backends() -> list[str]:
    """The balancers that the suite runs with: all that this kernel shall be tested for."""
    return os.environ.get("QUEENRIGHT_KERNEL_BACKENDS", "nftables").split(",")


def stride() -> int:
    """Of all the moments at which something may be cut off, every so many are tried: 1 is all of them."""
    return int(os.environ.get("QUEENRIGHT_KERNEL_STRIDE", "1"))


class Place:
    """A namespace and a thread in it."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        self.name = name
        self.path = folder / name
        self._worker = Worker(f"place-{name}", lambda: namespaces.enter(name, folder))

    async def run(self, function: Callable[[], Any]) -> Any:
        return await self._worker.run(function)

    async def sh(self, text: str, *, check: bool = True) -> str:
        """Run a shell command in there; its output."""

        def call() -> subprocess.CompletedProcess[str]:
            return subprocess.run(["/bin/sh", "-ec", text], capture_output=True, text=True)

        done = await self.run(call)
        assert not check or done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    async def socket(self, family: int, kind: int) -> socket.socket:
        return await self.run(lambda: socket.socket(family, kind | socket.SOCK_NONBLOCK))

    def close(self) -> None:
        self._worker.close()
        self._worker.join(PATIENCE)


class Container(Place):
    """A task's network: one link on a bridge of its host, as the engine makes it."""

    addresses: tuple[str, ...] = ()
    task_id = ""
    host: Host

    async def serve(self, port: int) -> None:
        """Say our name and the client's address to whoever comes, then echo; over TCP and UDP, all families."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = await self.socket(socket.AF_INET6, kind)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                sock.listen(512)
                self.servers.append(await asyncio.start_server(self._talk, sock=sock))
            else:
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_datagram_endpoint(lambda: _Answers(self.name), sock=sock)
                self.servers.append(transport)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            writer.write(f"{self.name} {_plain(writer.get_extra_info('peername')[0])}\n".encode())
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def die(self) -> None:
        """Vanish as a machine does whose power is cut: nobody is told."""
        for server in self.servers:
            server.close()
        for writer in self.writers:
            writer.transport.pause_reading()

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        super().__init__(name, folder)
        self.servers: list[Any] = []
        self.writers: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        for server in self.servers:
            server.close()
        for writer in list(self.writers):
            writer.transport.abort()
        super().close()


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._transport.sendto(f"{self._name} {_plain(address[0])}\n".encode(), address)


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


@dataclasses.dataclass
class Host:
    """A node: a place, its address on the wire, and the kernel that is tested."""

    place: Place
    address: str
    address6: str
    folder: pathlib.Path
    mesh: KernelMesh
    containers: list[Container] = dataclasses.field(default_factory=list)

    def restart(self) -> None:
        """The agent dies without a word, and another one starts: nothing but the kernel remembers."""
        self.mesh.close()
        self.mesh = _mesh(self.folder)


def _mesh(folder: pathlib.Path) -> KernelMesh:
    return KernelMesh(namespace="host", folder=folder, switches=folder.with_suffix(".sysctls"))


class Lab:
    """A wire with hosts on it, and a client outside of all of them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.hosts: list[Host] = []
        self._places: list[Place] = []
        self.wire = self._place(Place("wire", folder))

    async def start(self, hosts: int) -> None:
        await self.wire.sh("ip link add br0 type bridge mcast_snooping 0; ip link set br0 up; ip link set lo up")
        for number in range(1, hosts + 1):
            folder = self.folder / f"h{number}"
            place = self._place(Place("host", folder))
            await self._plug(place, f"h{number}", f"192.0.2.{number}", f"2001:db8::{number:x}")
            self.hosts.append(Host(place, f"192.0.2.{number}", f"2001:db8::{number:x}", folder, _mesh(folder)))
        self.client = self._place(Place("client", self.folder))
        await self._plug(self.client, "client", "192.0.2.99", "2001:db8::99")

    async def container(self, host: Host, network_id: str, name: str, *addresses: str, port: int = 80) -> Container:
        """A task on a host's bridge; ``addresses`` with prefix, the gateway is the first of the subnet."""
        container = self._place(Container(name, self.folder))
        await container.run(lambda: None)  # it has entered
        bridge = names(network_id).bridge
        link = f"v{len(self._places)}"
        mac = mac_of(addresses[0])
        await host.place.sh(
            f"ip link add {link} type veth peer name eth0 address {mac} netns {container.path};"
            f"ip link set {link} mtu {MTU} master {bridge} up"
        )
        commands = [f"ip link set lo up; ip link set eth0 mtu {MTU} up"]
        for address in addresses:
            commands.append(
                f"ip addr add {address} dev eth0 nodad" if ":" in address else f"ip addr add {address} dev eth0"
            )
        commands.append(f"ip route add default via {addresses[0].rpartition('.')[0]}.1")
        await container.sh("; ".join(commands))
        container.addresses = tuple(address.partition("/")[0] for address in addresses)
        container.task_id, container.host = name, host
        host.containers.append(container)
        await container.serve(port)
        return container

    async def stop(self) -> None:
        for host in self.hosts:
            host.mesh.close()
        for place in reversed(self._places):
            place.close()
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.is_file():
                namespaces.remove(path.name, path.parent)
        for path in [*sorted((path for path in self.folder.rglob("*")), reverse=True), self.folder]:
            ctypes.CDLL(None).umount2(os.fsencode(path), 2)
            with contextlib.suppress(OSError):
                path.rmdir()

    async def _plug(self, place: Place, name: str, address: str, address6: str) -> None:
        await place.run(lambda: None)  # it has entered
        await self.wire.sh(
            f"ip link add {name} type veth peer name up0 netns {place.path}; ip link set {name} master br0 up"
        )
        await place.sh(
            f"ip link set lo up; ip link set up0 up; ip addr add {address}/24 dev up0;"
            f"ip addr add {address6}/64 dev up0 nodad"
        )

    def _place(self, place: Any) -> Any:
        self._places.append(place)
        return place


@contextlib.asynccontextmanager
async def lab(folder: pathlib.Path, hosts: int = 1) -> AsyncIterator[Lab]:
    """A lab with so many hosts; everything of it is gone afterwards."""
    made = Lab(folder)
    try:
        await made.start(hosts)
        yield made
    finally:
        await made.stop()


# -- pictures


def overlay(host: Host, network_id: str = "n1", **changes: Any) -> Overlay:
    """Network ``n1`` as this host has it: 10.1.0.0/24, its sandbox at .200 and the host's number."""
    number = int(host.address.rpartition(".")[2])
    values: dict[str, Any] = {
        "network_id": network_id,
        "name": network_id,
        "vni": 4097,
        "mtu": MTU,
        "subnets": (Subnet(subnet="10.1.0.0/24", gateway="10.1.0.1"),),
        "dns": ("10.1.0.2",),
        "internal": False,
        "ingress": False,
        "addresses": (f"10.1.0.{200 + number}/24",),
        "vtep": host.address,
        "vxlan_port": 4789,
    }
    return Overlay(**{**values, **changes})


def dual(host: Host, **changes: Any) -> Overlay:
    """The same with IPv6."""
    number = int(host.address.rpartition(".")[2])
    return overlay(
        host,
        **{
            "subnets": (
                Subnet(subnet="10.1.0.0/24", gateway="10.1.0.1"),
                Subnet(subnet="fd01::/64", gateway="fd01::1"),
            ),
            "dns": ("10.1.0.2", "fd01::2"),
            "addresses": (f"10.1.0.{200 + number}/24", f"fd01::{200 + number}/64"),
            **changes,
        },
    )


def neighbours(lab: Lab, here: Host) -> tuple[Neighbour, ...]:
    """What a host has to know of the others: their containers and their sandboxes."""
    found = []
    for host in lab.hosts:
        if host is not here:
            number = int(host.address.rpartition(".")[2])
            own = f"10.1.0.{200 + number}"
            found.append(Neighbour(mac_of(own), (own, f"fd01::{200 + number}"), host.address))
            found += [Neighbour(mac_of(c.addresses[0]), c.addresses, host.address) for c in host.containers]
    return tuple(found)


def backend(container: Container, here: Host, *, serving: bool = True) -> Backend:
    return Backend(container.task_id, container.addresses, serving, container.host is here)


def service(here: Host, *containers: Container, vips: tuple[str, ...] = ("10.1.0.10",), **more: Any) -> Balanced:
    return Balanced("web", vips, tuple(backend(container, here) for container in containers), **more)


def published(here: Host, *containers: Container, port: int = 8080, protocol: str = "tcp", **more: Any) -> Published:
    return Published(protocol, port, 80, "web", tuple(backend(container, here) for container in containers), **more)


def picture(*overlays: Overlay, kind: str = "nftables") -> MeshPicture:
    return MeshPicture(CLUSTER, kind, overlays)


async def bring(host: Host, *overlays: Overlay, kind: str = "nftables") -> None:
    """Apply, and accept no error."""
    applied = await host.mesh.apply(picture(*overlays, kind=kind))
    assert not applied.errors, applied.errors
    assert not [text for text in applied.ports.values() if text], applied.ports


# -- clients


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def connect(place: Place, address: str, port: int) -> Connection:
    """A TCP connection; OSError if it is refused, TimeoutError if nobody says anything."""
    sock = await place.socket(family(address), socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
            reader, writer = await asyncio.open_connection(sock=sock)
            name, _, peer = (await reader.readline()).decode().strip().partition(" ")
            if not name:
                raise ConnectionResetError("closed without a word")
    except BaseException:
        sock.close()
        raise
    return Connection(name, peer, reader, writer)


@dataclasses.dataclass
class Connection:
    """``name`` is who answered, ``peer`` where they saw the client."""

    name: str
    peer: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, text: str) -> bool:
        """Whether the other side still echoes; OSError if the connection was reset."""
        self.writer.write(f"{text}\n".encode())
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readline()).decode().strip() == text

    def close(self) -> None:
        self.writer.transport.abort()


async def ask(place: Place, address: str, port: int) -> tuple[str, str]:
    """Connect, hear who answers and whom they saw, and close."""
    connection = await connect(place, address, port)
    connection.close()
    return connection.name, connection.peer


async def asked(place: Place, address: str, port: int, times: int = 30) -> set[str]:
    """Who answered, of many connections one after the other."""
    return {(await ask(place, address, port))[0] for _ in range(times)}


async def is_refused(place: Place, address: str, port: int) -> bool:
    """Whether a connection is refused at once."""
    try:
        async with asyncio.timeout(REFUSED):
            await ask(place, address, port)
    except ConnectionError:
        return True
    return False


class Udp:
    """A UDP client that keeps its port."""

    @classmethod
    async def at(cls, place: Place, address: str, port: int) -> Udp:
        client = cls()
        client.sock = await place.socket(family(address), socket.SOCK_DGRAM)
        client.sock.connect((address, port))
        return client

    async def ask(self) -> tuple[str, str]:
        """Who answers; asked again until somebody does."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(1):
                        await loop.sock_sendall(self.sock, b"x")
                        name, _, peer = (await loop.sock_recv(self.sock, 100)).decode().strip().partition(" ")
                        return name, peer

    def close(self) -> None:
        self.sock.close()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so; the test fails if it never is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await true():
                return
            await asyncio.sleep(0.02)
