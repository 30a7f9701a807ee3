"""Relays: both ways, to the end of both sides, and a reset where there is nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from queenright.edge.kernel import relay
from queenright.edge.kernel.reserve import Ports

PATIENCE = 30.0


async def here(make: Callable[[], socket.socket]) -> socket.socket:
    return make()


def bound(kind: socket.SocketKind, port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


@contextlib.asynccontextmanager
async def streams(target: tuple[str, int]) -> AsyncIterator[tuple[str, int]]:
    sock = bound(socket.SOCK_STREAM)
    one = relay.Streams(here, target)
    await one.serve(sock)
    try:
        yield sock.getsockname()
    finally:
        one.close()


async def test_a_connection_is_relayed_until_both_sides_have_ended() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read()  # to the end
        writer.write(asked.upper())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, streams(server.sockets[0].getsockname()) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x" * 1_000_000)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b"X" * 1_000_000
        writer.close()


async def test_a_client_of_nobody_is_reset() -> None:
    nobody = bound(socket.SOCK_DGRAM)  # its number is taken, and nobody listens for TCP there
    async with streams(nobody.getsockname()) as address:
        with pytest.raises(ConnectionError):
            reader, _ = await asyncio.open_connection(*address)
            await asyncio.wait_for(reader.read(), PATIENCE)
            raise AssertionError("ended in peace")
    nobody.close()


async def test_each_udp_client_gets_its_own_answers() -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            self.transport.sendto(data + str(address[1]).encode(), address)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    sock = bound(socket.SOCK_DGRAM)
    one = relay.Datagrams(here, echo.get_extra_info("sockname"))
    await one.serve(sock)
    clients = [bound(socket.SOCK_DGRAM) for _ in range(3)]
    ports = set()
    for number, client in enumerate(clients):
        for _ in range(2):
            await loop.sock_sendto(client, f"{number}:".encode(), sock.getsockname())
            data = await asyncio.wait_for(loop.sock_recv(client, 100), PATIENCE)
            assert data.startswith(f"{number}:".encode())
            ports.add(data)
    assert len(ports) == 3
    one.close()
    echo.close()
    for client in clients:
        client.close()


async def test_ports_are_held_given_back_and_asked_for_again() -> None:
    taken = bound(socket.SOCK_STREAM)
    number = taken.getsockname()[1]
    ports = Ports(here, asyncio.to_thread)
    refused = await ports.bring([("tcp", number)])
    assert f"port {number}/tcp is already in use on this node by " in refused["tcp", number]
    assert f"(process {os.getpid()})" in refused["tcp", number]
    assert "stop that program, or publish another port" in refused["tcp", number]
    taken.close()
    assert await ports.bring([("tcp", number), ("sctp", number)]) == {}
    with pytest.raises(OSError, match="in use"):
        bound(socket.SOCK_STREAM, number)
    assert await ports.bring([]) == {}
    bound(socket.SOCK_STREAM, number).close()
    ports.close()
