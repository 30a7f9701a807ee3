"""Containers ask for names, each in its own network, over the sockets that the kernel's side opens for the server."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
import struct
from collections.abc import AsyncIterator

from kernel import kit

from queenright.decide.names import NameTable
from queenright.edge.dns import message
from queenright.edge.dns.forward import Forwarder
from queenright.edge.dns.server import DnsServer
from queenright.edge.dns.upstream import Upstreams
from queenright.model.mesh_rows import Endpoint, Face, Link

DNS, DNS6 = "10.1.0.2", "fd01::2"


def ask(name: str, kind: int = message.A) -> bytes:
    return struct.pack("!6H", 77, 0x0100, 1, 0, 0, 0) + message.packed_name(name) + struct.pack("!2H", kind, 1)


async def by_udp(place: kit.Place, server: str, data: bytes) -> bytes:
    """The answer, which has to come from the address that was asked."""
    loop = asyncio.get_running_loop()
    sock = await place.socket(kit.family(server), socket.SOCK_DGRAM)
    with contextlib.closing(sock):
        sock.connect((server, 53))
        async with asyncio.timeout(kit.PATIENCE):
            while True:
                await loop.sock_sendall(sock, data)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        return await loop.sock_recv(sock, 65535)


async def by_tcp(place: kit.Place, server: str, data: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    sock = await place.socket(kit.family(server), socket.SOCK_STREAM)
    async with asyncio.timeout(kit.PATIENCE):
        await loop.sock_connect(sock, (server, 53))
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(struct.pack("!H", len(data)) + data)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = await reader.readexactly(length)
        writer.close()
        return answer


def has(said: bytes, address: str) -> bool:
    return socket.inet_pton(kit.family(address), address) in said


def table(host: kit.Host, *containers: kit.Container) -> NameTable:
    """What a host knows: service ``web`` with those tasks."""
    shown = kit.dual(host)
    names = NameTable()
    link = Link(network_id="n1", name="mynet", subnets=shown.subnets)
    face = Face(network_id="n1", service_id="s1", name="web", vips=("10.1.0.10", "fd01::10"))
    tasks = [
        Endpoint(
            network_id="n1",
            holder=container.task_id,
            task_id=container.task_id,
            service_id="s1",
            name=f"web.1.{container.task_id}",
            addresses=container.addresses,
            serving=True,
        )
        for container in containers
    ]
    names.take((link, face, *tasks), ())
    names.whole = True
    return names


@contextlib.asynccontextmanager
async def server(host: kit.Host, names: NameTable) -> AsyncIterator[DnsServer]:
    upstreams = Upstreams(asyncio.get_running_loop().time, pathlib.Path("/nowhere"))
    made = DnsServer(names, Forwarder(upstreams, lambda: 5), lambda task_id: (), lambda values: values)
    await made.serve("n1", await host.mesh.dns_sockets("n1"))
    try:
        yield made
    finally:
        await made.close()


async def test_every_host_answers_at_the_same_address_over_both_families_and_protocols(folder: pathlib.Path) -> None:
    async with kit.lab(folder, 2) as lab:
        one, two = lab.hosts
        for host in lab.hosts:
            await kit.bring(host, kit.dual(host))
        a = await lab.container(one, "n1", "a", "10.1.0.11/24", "fd01::11/64")
        b = await lab.container(two, "n1", "b", "10.1.0.12/24", "fd01::12/64")
        for host in lab.hosts:
            await kit.bring(host, kit.dual(host, neighbours=kit.neighbours(lab, host)))
        # Each host's table has another service's address, so that it shows who answered.
        seen = table(two, a, b)
        seen.take((Face(network_id="n1", service_id="s1", name="web", vips=("10.1.0.99",)),), ())
        async with server(one, table(one, a, b)), server(two, seen):
            for place, address in ((a, "10.1.0.10"), (b, "10.1.0.99")):
                for asked in (DNS, DNS6):
                    assert has(await by_udp(place, asked, ask("web")), address)
                    assert has(await by_tcp(place, asked, ask("web")), address)
            assert has(await by_udp(a, DNS, ask("tasks.web")), "10.1.0.12")
            assert has(await by_udp(a, DNS, ask("web", message.AAAA)), "fd01::10")
            assert message.packed_name("web.1.b.mynet") in await by_udp(
                a, DNS, ask("12.0.1.10.in-addr.arpa", message.PTR)
            )
            assert message.code_of(await by_udp(a, DNS, ask("nosuch"))) == message.NXDOMAIN


async def test_the_asker_is_known_by_its_own_address_whatever_stands_between(folder: pathlib.Path) -> None:
    """Whom the server does not know it tells no name to be missing: it has to see containers, not the sandbox."""
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.dual(host))
        known = await lab.container(host, "n1", "a", "10.1.0.11/24", "fd01::11/64")
        other = await lab.container(host, "n1", "b", "10.1.0.12/24", "fd01::12/64")
        await kit.bring(host, kit.dual(host, balanced=(kit.service(host, known),)))
        async with server(host, table(host, known)):
            for asked in (DNS, DNS6):
                assert message.code_of(await by_udp(known, asked, ask("nosuch"))) == message.NXDOMAIN
                assert message.code_of(await by_udp(other, asked, ask("nosuch"))) == message.SERVFAIL


async def test_names_are_answered_while_the_kernel_changes_and_by_the_agents_successor(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.dual(host))
        a = await lab.container(host, "n1", "a", "10.1.0.11/24", "fd01::11/64")
        async with server(host, table(host, a)) as first:
            for number in range(5):
                backends = (kit.service(host, a),) if number % 2 else ()
                await kit.bring(host, kit.dual(host, balanced=backends))
                assert has(await by_udp(a, DNS, ask("web")), "10.1.0.10")
            await first.stop("n1")
            host.restart()
            await kit.bring(host, kit.dual(host))
            await first.serve("n1", await host.mesh.dns_sockets("n1"))
            assert has(await by_udp(a, DNS, ask("web")), "10.1.0.10")
            assert has(await by_tcp(a, DNS6, ask("web")), "10.1.0.10")
