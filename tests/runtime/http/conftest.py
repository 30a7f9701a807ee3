# SPDX-License-Identifier: Apache-2.0
"""A fake dockerd and a raw client around a server of the host socket, all speaking bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from queenright.edge.http import listener
from queenright.edge.http.errors import ApiError
from queenright.edge.http.router import Router
from queenright.edge.http.server import Server
from queenright.edge.http.upstream import Upstream

DEADLINE = 30.0
VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Components": [{"Name": "Engine", "Version": "20.10"}]}
IDENTITY = "Api-Version: 1.41\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10 (linux)\r\n"


class Wire:
    """One end of a connection, read and written as bytes; every wait has a deadline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def sock(self) -> socket.socket:
        return self._writer.get_extra_info("socket")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(DEADLINE):
            await self._writer.drain()

    async def head(self) -> bytes:
        """The next head with its empty line; what there is if the other end closes before."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                return error.partial

    async def line(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self._reader.readline()

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self._reader.readexactly(count)

    async def rest(self) -> bytes:
        """Everything until the other end has closed its sending side."""
        async with asyncio.timeout(DEADLINE):
            return await self._reader.read()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """(status, headers by lower-case name, body) of a response with a length or in chunks."""
        lines = (await self.head()).decode().split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunks()
        return status, headers, await self.read(int(headers.get("content-length", 0)))

    async def _chunks(self) -> bytes:
        body = b""
        async with asyncio.timeout(DEADLINE):
            while size := int(await self._reader.readline(), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readline()
        return body

    def end(self) -> None:
        """Close the sending side only."""
        self._writer.write_eof()

    def abandon(self) -> None:
        """Close without waiting; what was sent is still delivered."""
        self._writer.close()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


Script = Callable[[Wire], Awaitable[None]]


def reply(body: bytes = b"", status: str = "200 OK", headers: str = "") -> bytes:
    """A response of dockerd with a length."""
    return f"HTTP/1.1 {status}\r\n{IDENTITY}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


class FakeEngine:
    """A dockerd that tells its version, and otherwise follows ``script``, which gets a connection with its first
    head read already (in ``heads``)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.script: Script | None = None
        self.heads: list[bytes] = []
        self.connections = 0
        self.version = dict(VERSION)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task] = set()
        self._wires: set[Wire] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """Close everything, as when dockerd is stopped."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        wire = Wire(reader, writer)
        try:
            while head := await wire.head():
                target = [*head.split(), b"", b""][1].decode("latin-1")
                if target.endswith("/version"):
                    await wire.send(
                        reply(json.dumps(self.version).encode(), headers="Content-Type: application/json\r\n")
                    )
                    continue
                self.heads.append(head)
                if self.script is not None:
                    await self.script(wire)
                    return
                await wire.send(reply(target.encode()))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(asyncio.current_task())
            wire.abandon()


class Site:
    """A running server: its parts, and `connect` for raw clients."""

    def __init__(self, folder: pathlib.Path, engine: FakeEngine) -> None:
        self.path = str(folder / "q.sock")
        self.engine = engine
        self.router = Router()
        self.upstream = Upstream(engine.path)
        self.server = Server(self.router, self.upstream)
        self._clients: list[Wire] = []

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_unix_connection(self.path))
        self._clients.append(wire)
        return wire

    async def ask(self, target: str, method: str = "GET", body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own."""
        wire = await self.connect()
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        await wire.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\n{length}\r\n".encode() + body)
        answer = await wire.answer()
        await wire.close()
        return answer

    async def close_clients(self) -> None:
        for wire in self._clients:
            await wire.close()


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    """A folder with a path short enough for unix sockets."""
    path = tempfile.mkdtemp(prefix="qr")
    yield pathlib.Path(path)
    shutil.rmtree(path)


@pytest.fixture
async def engine(folder: pathlib.Path) -> AsyncIterator[FakeEngine]:
    engine = FakeEngine(str(folder / "d.sock"))
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def site(folder: pathlib.Path, engine: FakeEngine) -> AsyncIterator[Site]:
    site = Site(folder, engine)
    site.server.start(listener.bind(site.path))
    yield site
    await site.close_clients()
    await site.server.stop(own_grace=1.0, stream_grace=0.1)


@pytest.fixture
async def mapped_site(folder: pathlib.Path, engine: FakeEngine) -> AsyncIterator[Site]:
    """A site that knows an answer to `KeyError`."""
    site = Site(folder, engine)
    site.server = Server(
        site.router,
        site.upstream,
        map_error=lambda error: ApiError(418, "mapped") if isinstance(error, KeyError) else None,
    )
    site.server.start(listener.bind(site.path))
    yield site
    await site.close_clients()
    await site.server.stop(own_grace=1.0, stream_grace=0.1)


@pytest.fixture
def respond() -> Callable[..., bytes]:
    """`reply`, for scripts of the fake dockerd."""
    return reply


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until a condition holds."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    return wait
