# SPDX-License-Identifier: Apache-2.0
"""Over real sockets: who asks is answered, from the table or by the resolvers of the host."""

from __future__ import annotations

import asyncio
import itertools
import pathlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from queenright.decide.names import Answer, NameTable
from queenright.edge.dns import forward, message
from queenright.edge.dns.forward import Forwarder
from queenright.edge.dns.server import DnsServer
from queenright.edge.dns.upstream import LOCAL, Upstreams, nameservers
from queenright.model.mesh_rows import Endpoint, Face, Link
from queenright.model.objects import Subnet

HERE = "127.0.0.1"  # where all askers of these tests are
DEADLINE = 20.0

Reply = Callable[[bytes, bool], bytes | None]


def ask(name: str, kind: int = message.A, size: int | None = None, **header: int) -> bytes:
    option = b"" if size is None else b"\0" + struct.pack("!HHIH", message.OPT, size, 0, 0)
    top = struct.pack("!6H", 77, header.get("flags", 0x0100), 1, 0, 0, int(size is not None))
    return top + message.packed_name(name) + struct.pack("!2H", kind, header.get("domain", 1)) + option


def task(number: int, address: str) -> Endpoint:
    return Endpoint(
        network_id="n1",
        holder=f"t{number}",
        task_id=f"t{number}",
        service_id="s",
        name=f"web.{number}.t{number}",
        addresses=(address,),
        serving=True,
    )


def table(tasks: int = 3) -> NameTable:
    names = NameTable()
    subnet = Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1")
    link = Link(network_id="n1", name="mynet", subnets=(subnet,))
    face = Face(network_id="n1", service_id="s", name="web", vips=("10.0.1.9",))
    others = [task(number, f"10.0.1.{number}") for number in range(20, 20 + tasks - 1)]
    names.take((link, face, task(1, HERE), *others), ())
    names.whole = True
    return names


class Resolver(asyncio.DatagramProtocol):
    """A resolver of the host's, at 127.0.0.N. ``reply(question, over udp)``: None is silence."""

    def __init__(self, address: str, reply: Reply) -> None:
        self.address = address
        self.reply = reply
        self.asked: list[bytes] = []
        self._news = asyncio.Event()

    async def open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.address, port))
        self.server = await asyncio.start_server(self._connected, self.address, port)

    def close(self) -> None:
        self.transport.close()
        self.server.close()

    async def times(self, number: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(DEADLINE):
            while len(self.asked) < number:
                self._news.clear()
                await self._news.wait()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked.append(data)
        self._news.set()
        said = self.reply(data, True)
        if said is not None:
            self.transport.sendto(said, addr)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        said = self.reply(await reader.readexactly(length), False)
        if said is not None:
            writer.write(struct.pack("!H", len(said)) + said)
        writer.close()


def says(*addresses: str, code: int = message.NOERROR, cut: bool = False) -> Reply:
    def reply(data: bytes, udp: bool) -> bytes:
        question = message.parse(data)
        records = [message.address_record(address, 60) for address in addresses]
        limit = message.limit_of(question, udp) if cut else message.LARGEST
        return message.compose(question, code, records, limit)

    return reply


def silent(data: bytes, udp: bool) -> None:
    return None


class World:
    """A server with its sockets on the loopback, and the resolvers around it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.names = table()
        self.own: tuple[str, ...] = ()
        self.file = folder / "resolv.conf"
        self.resolvers: list[Resolver] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HERE, 0))
            self.others_port = probe.getsockname()[1]
        numbers = itertools.cycle(range(1000, 60000, 77))
        self.upstreams = Upstreams(asyncio.get_running_loop().time, self.file)
        forwarder = Forwarder(self.upstreams, lambda: next(numbers), port=self.others_port)
        self.server = DnsServer(self.names, forwarder, lambda task_id: self.own, lambda values: values[::-1])

    async def open(self) -> None:
        await self.server.serve("n1", self.sockets())

    def sockets(self) -> tuple[socket.socket, ...]:
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((HERE, 0))
        udp.bind(tcp.getsockname())
        tcp.listen()
        for item in (udp, tcp):
            item.setblocking(False)
        self.port = tcp.getsockname()[1]
        return udp, tcp

    async def resolver(self, number: int, reply: Reply) -> Resolver:
        """Another resolver of the host, the last one to be asked."""
        made = Resolver(f"127.0.0.{number}", reply)
        await made.open(self.others_port)
        self.resolvers.append(made)
        self.name(*(item.address for item in self.resolvers))
        return made

    def name(self, *addresses: str) -> None:
        self.file.write_text("search corp.example\n" + "".join(f"nameserver {item}\n" for item in addresses))

    async def udp(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.bind((HERE, 0))
            async with asyncio.timeout(DEADLINE):
                await loop.sock_sendto(asker, data, (HERE, self.port))
                return await loop.sock_recv(asker, 65535)

    async def tcp(self, *questions: bytes) -> list[bytes]:
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection(HERE, self.port)
            try:
                writer.write(b"".join(struct.pack("!H", len(data)) + data for data in questions))
                answers = []
                for _ in questions:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    answers.append(await reader.readexactly(length))
                return answers
            finally:
                writer.close()

    async def close(self) -> None:
        await self.server.close()
        for resolver in self.resolvers:
            resolver.close()


@pytest.fixture
async def world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(forward, "PATIENCE", 1.0)
    made = World(tmp_path)
    await made.open()
    yield made
    await made.close()


def addresses(said: bytes) -> list[str]:
    """The addresses of an answer whose records all are of the question's name."""
    count = struct.unpack_from("!H", said, 6)[0]
    at = 12
    while said[at]:
        at += 1 + said[at]
    at += 5
    found = []
    for _ in range(count):
        kind, _, _, length = struct.unpack_from("!HHIH", said, at + 2)
        data = said[at + 12 : at + 12 + length]
        family = {message.A: socket.AF_INET, message.AAAA: socket.AF_INET6}[kind]
        found.append(socket.inet_ntop(family, data))
        at += 12 + length
    return found


async def test_a_service_is_found_over_udp_and_tcp(world: World) -> None:
    assert addresses(await world.udp(ask("web"))) == ["10.0.1.9"]
    assert [addresses(said) for said in await world.tcp(ask("WEB"), ask("tasks.web"))] == [
        ["10.0.1.9"],
        ["10.0.1.21", "10.0.1.20", HERE],  # turned around by what stands for the shuffle
    ]


async def test_many_tasks_are_cut_over_udp_and_whole_over_tcp_and_with_edns(world: World) -> None:
    world.names.take(table(60)._networks["n1"].endpoints.values(), ())
    short = await world.udp(ask("tasks.web"))
    assert message.is_truncated(short)
    assert len(addresses(short)) == 30
    assert len(addresses(await world.udp(ask("tasks.web", size=1232)))) == 60
    assert len(addresses((await world.tcp(ask("tasks.web")))[0])) == 60


async def test_a_missing_name_and_a_missing_kind_differ(world: World) -> None:
    assert message.code_of(await world.udp(ask("nosuch"))) == message.NXDOMAIN
    said = await world.udp(ask("web", message.AAAA))
    assert (message.code_of(said), addresses(said)) == (message.NOERROR, [])
    world.names.whole = False
    assert message.code_of(await world.udp(ask("nosuch"))) == message.SERVFAIL


async def test_an_address_has_a_name(world: World) -> None:
    said = await world.udp(ask("9.1.0.10.in-addr.arpa", message.PTR))
    assert message.packed_name("web.mynet") in said


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (ask("web", flags=0x2100), message.NOTIMP),
        (ask("web", domain=3), message.REFUSED),
        (ask("web", message.AXFR), message.REFUSED),
        (ask("web")[:-1], message.FORMERR),
    ],
)
async def test_what_is_no_plain_question_is_refused(world: World, question: bytes, code: int) -> None:
    assert message.code_of(await world.udp(question)) == code
    assert message.code_of((await world.tcp(question))[0]) == code


async def test_an_answer_that_comes_as_a_question_is_not_answered(world: World) -> None:
    with pytest.raises((asyncio.IncompleteReadError, OSError)):
        await world.tcp(ask("web", flags=0x8100))
    assert addresses(await world.udp(ask("web"))) == ["10.0.1.9"]


async def test_other_names_are_asked_of_the_hosts_resolver_under_a_number_of_our_own(world: World) -> None:
    resolver = await world.resolver(2, says("192.0.2.1"))
    said = await world.udp(ask("example.com"))
    assert (addresses(said), said[:2]) == (["192.0.2.1"], struct.pack("!H", 77))
    assert resolver.asked[0][:2] != said[:2]
    assert addresses((await world.tcp(ask("example.com")))[0]) == ["192.0.2.1"]


async def test_single_labels_never_leave(world: World) -> None:
    resolver = await world.resolver(2, says("192.0.2.1"))
    for name in ("nosuch", "tasks.nosuch", "host.docker.internal"):
        assert message.code_of(await world.udp(ask(name))) == message.NXDOMAIN
    assert not resolver.asked


async def test_the_hosts_change_of_resolvers_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queenright.edge.dns.upstream.LOOK_AGAIN", 0.0)
    await world.resolver(2, says("192.0.2.1"))
    assert addresses(await world.udp(ask("example.com"))) == ["192.0.2.1"]
    await world.resolver(3, says("192.0.2.33"))
    world.name("127.0.0.3", "127.0.0.2")
    assert addresses(await world.udp(ask("example.com"))) == ["192.0.2.33"]


async def test_a_silent_resolver_is_passed_over_and_asked_last_from_then_on(world: World) -> None:
    mute = await world.resolver(2, silent)
    await world.resolver(3, says("192.0.2.3"))
    assert addresses(await world.udp(ask("example.com"))) == ["192.0.2.3"]
    assert addresses(await world.udp(ask("example.org"))) == ["192.0.2.3"]
    assert len(mute.asked) == 1


async def test_a_resolver_that_is_not_there_is_passed_over(world: World) -> None:
    await world.resolver(3, says("192.0.2.3"))
    world.name("127.0.0.99", "127.0.0.3")
    assert addresses(await world.udp(ask("example.com"))) == ["192.0.2.3"]


@pytest.mark.parametrize("code", [message.SERVFAIL, message.REFUSED])
async def test_one_that_fails_or_refuses_does_not_have_the_last_word(world: World, code: int) -> None:
    await world.resolver(2, says(code=code))
    assert message.code_of(await world.udp(ask("example.com"))) == code
    await world.resolver(3, says("192.0.2.3"))
    world.upstreams._looked = float("-inf")
    assert addresses(await world.udp(ask("example.com"))) == ["192.0.2.3"]


async def test_nobody_there_is_a_failure_and_not_a_missing_name(world: World) -> None:
    world.name("127.0.0.99")
    assert message.code_of(await world.udp(ask("example.com"))) == message.SERVFAIL
    assert message.code_of((await world.tcp(ask("example.com")))[0]) == message.SERVFAIL
    assert addresses(await world.udp(ask("web"))) == ["10.0.1.9"]


async def test_a_missing_name_of_others_is_a_failure_before_anything_is_known(world: World) -> None:
    await world.resolver(2, says(code=message.NXDOMAIN))
    assert message.code_of(await world.udp(ask("example.com"))) == message.NXDOMAIN
    world.names.take((), ("n1",))
    world.names.whole = False
    assert message.code_of(await world.udp(ask("example.com"))) == message.SERVFAIL


async def test_a_long_answer_is_fetched_over_tcp_for_who_has_room(world: World) -> None:
    await world.resolver(2, says(*(f"192.0.2.{number}" for number in range(100)), cut=True))
    assert message.is_truncated(await world.udp(ask("example.com")))
    assert len(addresses((await world.tcp(ask("example.com")))[0])) == 100


async def test_an_answer_to_another_question_is_not_believed(world: World) -> None:
    def forged(data: bytes, udp: bool) -> bytes:
        return message.compose(message.parse(ask("evil.com")), 0, [message.address_record("192.0.2.66", 60)])

    await world.resolver(2, forged)
    assert message.code_of(await world.udp(ask("example.com"))) == message.SERVFAIL


async def test_a_tasks_own_resolvers_are_asked_instead_of_the_hosts(world: World) -> None:
    host = await world.resolver(2, says("192.0.2.1"))
    await world.resolver(9, says("192.0.2.99"))
    world.own = ("127.0.0.9",)
    assert addresses(await world.udp(ask("example.com"))) == ["192.0.2.99"]
    assert not host.asked


@pytest.mark.parametrize("own", [(), (HERE,)])
async def test_a_resolver_that_is_this_very_server_is_not_asked(
    world: World, monkeypatch: pytest.MonkeyPatch, own: tuple[str, ...]
) -> None:
    monkeypatch.setattr(world.server._forwarder, "_port", world.port)
    world.name(HERE)
    world.own = own
    asked: list[str] = []
    answer = world.names.answer

    def counted(network_id: str, source: str, name: str, kind: str) -> Answer:
        asked.append(name)
        return answer(network_id, source, name, kind)

    monkeypatch.setattr(world.names, "answer", counted)
    assert message.code_of(await world.udp(ask("example.com"))) == message.SERVFAIL
    assert asked == ["example.com"]


async def test_a_task_that_names_the_networks_own_server_gets_the_hosts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.resolver(2, says("192.0.2.1"))
    world.own = (HERE,)
    monkeypatch.setattr(world.server._networks["n1"], "places", {(HERE, world.others_port)})
    assert addresses(await world.udp(ask("example.com"))) == ["192.0.2.1"]


async def test_one_asker_cannot_take_all_the_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "OF_ONE", 2)
    mute = await world.resolver(2, silent)
    loop = asyncio.get_running_loop()
    waiting = [loop.create_task(world.udp(ask("example.com"))) for _ in range(2)]
    await mute.times(2)
    assert message.code_of(await world.udp(ask("example.com"))) == message.SERVFAIL
    assert len(mute.asked) == 2
    assert addresses(await world.udp(ask("web"))) == ["10.0.1.9"]
    for said in await asyncio.gather(*waiting):
        assert message.code_of(said) == message.SERVFAIL


async def test_new_sockets_take_the_place_of_the_old_ones(world: World) -> None:
    old = world.port
    await world.server.serve("n1", world.sockets())
    assert world.port != old
    assert addresses(await world.udp(ask("web"))) == ["10.0.1.9"]
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection(HERE, old)


async def test_a_network_that_is_stopped_is_silent_and_its_connections_end(world: World) -> None:
    reader, writer = await asyncio.open_connection(HERE, world.port)
    data = ask("web")
    writer.write(struct.pack("!H", len(data)) + data)
    async with asyncio.timeout(DEADLINE):
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        await reader.readexactly(length)
        await world.server.stop("n1")
        await world.server.stop("n1")
        assert await reader.read() == b""
    writer.close()


async def test_one_connection_too_many_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queenright.edge.dns.server.CONNECTIONS", 1)
    data = ask("web")
    reader, writer = await asyncio.open_connection(HERE, world.port)
    writer.write(struct.pack("!H", len(data)) + data)
    async with asyncio.timeout(DEADLINE):
        await reader.readexactly(2)
        second, other = await asyncio.open_connection(HERE, world.port)
        assert await second.read() == b""
    for item in (writer, other):
        item.close()


def test_the_first_three_resolvers_of_the_host_count() -> None:
    lines = ("# nameserver 1.1.1.1", "nameserver 9.9.9.9", " nameserver\tfe80::1%eth0", "nameserver", "nameserver a b")
    text = "\n".join((*lines, "nameserver d", ""))
    assert nameservers(text) == ("9.9.9.9", "fe80::1%eth0", "a")


def test_a_host_that_names_no_resolver_has_one_of_its_own(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "resolv.conf"
    now = [0.0]
    upstreams = Upstreams(lambda: now[0], file)
    assert tuple(upstreams.order()) == LOCAL
    file.write_text("nameserver 9.9.9.9\nnameserver 8.8.8.8\n")
    assert tuple(upstreams.order()) == LOCAL  # looked a moment ago
    now[0] = 2.0
    assert upstreams.order() == ["9.9.9.9", "8.8.8.8"]
    upstreams.failed("9.9.9.9")
    assert upstreams.order() == ["8.8.8.8", "9.9.9.9"]
    assert upstreams.order(("1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4")) == ["1.1.1.1", "2.2.2.2", "3.3.3.3"]
    file.unlink()
    now[0] = 20.0
    assert upstreams.order() == ["9.9.9.9", "8.8.8.8"]
