# SPDX-License-Identifier: Apache-2.0
"""Connections are listed first and forgotten then. Whatever changes in between, none is forgotten that shall live."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from kernel import kit

from queenright.edge.kernel.netlink import NetlinkSocket

VIP, PORT, CLIENT_PORT = "10.1.0.10", 90, 45678
LIST = (1 << 8) | 1
Between = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """Lets something happen, once, when the connections have been listed and none is forgotten yet."""
    waiting: list[tuple[Callable[[], Awaitable[None]], asyncio.AbstractEventLoop]] = []
    dump = NetlinkSocket.dump

    def dump_and_happen(self: NetlinkSocket, listed: int, body: bytes) -> Any:
        found = dump(self, listed, body)
        if listed == LIST and waiting:
            happen, loop = waiting.pop()
            asyncio.run_coroutine_threadsafe(_awaited(happen), loop).result(kit.PATIENCE)
        return found

    def will(happen: Callable[[], Awaitable[None]]) -> None:
        waiting.append((happen, asyncio.get_running_loop()))

    monkeypatch.setattr(NetlinkSocket, "dump", dump_and_happen)
    yield will
    assert not waiting, "nothing was listed"


async def _awaited(happen: Callable[[], Awaitable[None]]) -> None:
    await happen()


class Server:
    """Says its name to whoever comes. Asked to ``end``, it is the first to close; else it goes on when it is told."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def serve(self, place: kit.Container) -> None:
        sock = await place.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", PORT))
        sock.listen(64)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{place.name}\n".encode())
            if await reader.readline() != b"end\n":
                await self.go.wait()
                writer.write(b"further\n")
                await reader.readline()
            writer.close()

        place.servers.append(await asyncio.start_server(talk, sock=sock))


async def connect(client: kit.Place) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """Always from the same port: the kernel takes a new connection for the old one's successor."""
    sock = await client.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", CLIENT_PORT))
    async with asyncio.timeout(kit.PATIENCE):
        await asyncio.get_running_loop().sock_connect(sock, (VIP, PORT))
        reader, writer = await asyncio.open_connection(sock=sock)
        return (await reader.readline()).decode().strip(), reader, writer


async def ended_by_the_server(client: kit.Place) -> str:
    name, reader, writer = await connect(client)
    writer.write(b"end\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    return name


async def ended_by_a_reset(client: kit.Place) -> str:
    name, _, writer = await connect(client)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    writer.close()
    await writer.wait_closed()
    return name


ENDS = [(kind, ended_by_the_server) for kind in kit.backends()]
ENDS += [("nftables", ended_by_a_reset)] if "nftables" in kit.backends() else []  # IPVS forgets those by itself


@pytest.mark.parametrize(("kind", "ended"), ENDS)
async def test_the_successor_of_a_connection_that_led_to_who_is_gone_lives(
    folder: pathlib.Path, kind: str, between: Between, ended: Callable[[kit.Place], Awaitable[str]]
) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        b = await lab.container(host, "n1", "b", "10.1.0.12/24")
        client = await lab.container(host, "n1", "c", "10.1.0.13/24", port=81)
        server = Server()
        await server.serve(a)
        await server.serve(b)
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, a),)), kind=kind)
        made: list[tuple[str, asyncio.StreamReader, asyncio.StreamWriter]] = []

        async def again() -> None:
            made.append(await connect(client))
            made[0][2].write(b"wait\n")

        assert await ended(client) == "a"
        between(again)
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, b),)), kind=kind)
        ((name, reader, writer),) = made
        assert name == "b"
        server.go.set()
        async with asyncio.timeout(kit.PATIENCE):
            assert await reader.readline() == b"further\n"
        writer.close()


@pytest.mark.parametrize("kind", kit.backends())
async def test_a_connection_that_is_answered_at_the_last_moment_lives(
    folder: pathlib.Path, kind: str, between: Between
) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        b = await lab.container(host, "n1", "b", "10.1.0.12/24")
        client = await lab.container(host, "n1", "c", "10.1.0.13/24", port=81)
        server = Server()
        await server.serve(a)
        await server.serve(b)
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, a),)), kind=kind)
        hook = "type filter hook input priority 0;"
        await a.sh(f"nft 'table inet deaf {{ chain c {{ {hook} tcp dport {PORT} counter drop; }}; }}'")
        connecting = asyncio.create_task(connect(client))

        async def knocked() -> bool:
            return "packets 0 " not in await a.sh("nft list table inet deaf")

        await kit.until(knocked)

        async def hear() -> None:
            await a.sh("nft delete table inet deaf")
            await asyncio.shield(connecting)

        between(hear)
        leaving = dataclasses.replace(
            kit.service(host, a, b), backends=(kit.backend(a, host, serving=False), kit.backend(b, host))
        )
        await kit.bring(host, kit.overlay(host, balanced=(leaving,)), kind=kind)
        name, reader, writer = await connecting
        assert name == ("b" if kind == "ipvs" else "a"), "IPVS takes a repeated question for a new one"
        writer.write(b"wait\n")
        server.go.set()
        async with asyncio.timeout(kit.PATIENCE):
            assert await reader.readline() == b"further\n"
        writer.close()
