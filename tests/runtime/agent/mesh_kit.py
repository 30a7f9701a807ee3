# SPDX-License-Identifier: Apache-2.0
"""A kernel, an engine's networks and a name server that live in memory and fail on demand."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

from runtime.sealers import sealer

from queenright.agent.database import TaskDatabase
from queenright.agent.dataplane import Dataplane
from queenright.agent.mesh_ports import Applied, Machinery, Probe
from queenright.agent.ports import TemporaryError
from queenright.decide.names import NameTable
from queenright.model.mesh import MeshPicture, Overlay
from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, NetworksState, Row
from queenright.model.objects import Attachment, Subnet
from queenright.wire.codec import decode_task, encode_task


class FakeKernel:
    """A ``Kernel``. ``has`` is what it was told last; ``calls`` what it and the others were asked, in order."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.has: dict[str, Overlay] = {}
        self.pictures: list[MeshPicture] = []
        self.errors: dict[str, str] = {}
        self.ports: dict[tuple[str, int], str] = {}
        self.renewed: tuple[str, ...] = ()
        self.faults: list[Exception] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.touched = asyncio.Event()
        self.cleared: list[str] = []
        self.closed = False

    async def apply(self, picture: MeshPicture) -> Applied:
        return await self._take("apply", picture)

    async def audit(self, picture: MeshPicture) -> Applied:
        return await self._take("audit", picture)

    async def _take(self, call: str, picture: MeshPicture) -> Applied:
        self.calls.append(call)
        await self.hold.wait()
        if self.faults:
            raise self.faults.pop(0)
        self.pictures.append(picture)
        self.has = {overlay.network_id: overlay for overlay in picture.overlays}
        renewed, self.renewed = self.renewed, ()
        return Applied({key: text for key, text in self.errors.items() if key in self.has}, dict(self.ports), renewed)

    async def changed(self) -> None:
        await self.touched.wait()
        self.touched.clear()

    async def dns_sockets(self, network_id: str) -> tuple[socket.socket, ...]:
        self.calls.append(f"sockets {network_id}")
        if network_id not in self.has:
            raise OSError(f"no sandbox of {network_id}")
        return ()

    async def clear(self, cluster_id: str) -> None:
        self.calls.append("clear")
        self.cleared.append(cluster_id)
        self.has = {}

    async def probe(self, backend: str) -> Probe:
        return Probe(mesh=backend, mtu=1500)

    def close(self) -> None:
        self.closed = True


class FakeBridges:
    """A ``Bridges``: the engine's networks by id."""

    def __init__(self, kernel: FakeKernel) -> None:
        self.kernel = kernel
        self.has: set[str] = set()
        self.faults: list[Exception] = []
        self.down = False

    def _enter(self, call: str) -> None:
        self.kernel.calls.append(call)
        if self.down:
            raise TemporaryError("the engine does not answer")
        if self.faults:
            raise self.faults.pop(0)

    async def ensure(self, overlay: Overlay) -> None:
        self._enter(f"ensure {overlay.network_id}")
        assert overlay.network_id in self.kernel.has, "the bridge comes first"
        self.has.add(overlay.network_id)

    async def remove(self, network_id: str) -> None:
        self._enter(f"remove {network_id}")
        assert network_id in self.kernel.has, "the bridge goes last"
        self.has.discard(network_id)

    async def sweep(self, keep: Collection[str]) -> None:
        self._enter("sweep")
        self.has &= set(keep)


class FakeNameServer:
    def __init__(self) -> None:
        self.served: dict[str, int] = {}  # how often each network got sockets

    async def serve(self, network_id: str, sockets: Iterable[socket.socket]) -> None:
        self.served[network_id] = self.served.get(network_id, 0) + 1

    async def stop(self, network_id: str) -> None:
        del self.served[network_id]

    async def close(self) -> None:
        self.served.clear()


class FakeLink:
    """The part of a manager's link that is of networks."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[NetworksSet | Exception] = asyncio.Queue()
        self.heard: list[NetworksState] = []

    async def networks(self, session_id: str) -> AsyncIterator[NetworksSet]:
        while True:
            told = await self.told.get()
            if isinstance(told, Exception):
                raise told
            yield told

    async def networks_applied(self, session_id: str, state: NetworksState) -> None:
        self.heard.append(state)


class MeshNode:
    """A data path over a kernel that outlives it; :meth:`start` begins anew."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "tasks.db"
        self.calls: list[str] = []
        self.kernel = FakeKernel(self.calls)
        self.bridges = FakeBridges(self.kernel)
        self.server = FakeNameServer()
        self.loads = 0
        self.load_faults: list[Exception] = []
        self.users: set[str] = set()
        self.plane: Dataplane
        self.names: NameTable
        self._follows: asyncio.Task[None] | None = None

    async def load(self, names: NameTable) -> Machinery:
        self.loads += 1
        self.names = names
        if self.load_faults:
            raise self.load_faults.pop(0)
        return Machinery(self.kernel, self.bridges, self.server)

    async def start(self) -> None:
        self.database = TaskDatabase(self.path, sealer(), encode=encode_task, decode=decode_task)
        await self.database.open()
        self.plane = Dataplane("c", "here", self.database, self.load, lambda key: key in self.users)
        await self.plane.start()

    async def connect(self) -> FakeLink:
        link: Any = FakeLink()
        self._follows = asyncio.create_task(self.plane.follow(link, "s", ("m", "addr")))
        found: FakeLink = link
        return found

    @property
    def follows(self) -> asyncio.Task[None]:
        assert self._follows is not None
        return self._follows

    async def stop(self) -> None:
        if self._follows is not None:
            self._follows.cancel()
            await asyncio.gather(self._follows, return_exceptions=True)
        await self.plane.stop()
        await self.database.close()


@contextlib.asynccontextmanager
async def mesh_node(folder: pathlib.Path) -> AsyncIterator[MeshNode]:
    node = MeshNode(folder)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


def whole(*rows: Row, token: str = "1") -> NetworksSet:
    return NetworksSet(True, "", token, rows)


def part(*rows: Row, removes: tuple[str, ...] = (), before: str = "1", token: str = "2") -> NetworksSet:
    return NetworksSet(False, before, token, rows, removes)


def link_row(network_id: str = "n", **more: Any) -> Link:
    subnets = (Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"),)
    values = {"network_id": network_id, "name": f"net-{network_id}", "vni": 4097, "subnets": subnets, "mtu": 1450}
    values |= {"addresses": ("10.0.1.9/24",), "vtep": "1.1.1.1", "vxlan_port": 4789, "backend": "nftables"}
    return Link(**(values | more))


def task_row(task_id: str = "t1", network_id: str = "n", **more: Any) -> Endpoint:
    values = {"network_id": network_id, "holder": task_id, "task_id": task_id, "service_id": "svc", "serving": True}
    values |= {"addresses": ("10.0.1.5",), "node_id": "here", "vtep": "1.1.1.1", "name": f"web.1.{task_id}"}
    return Endpoint(**(values | more))


def face_row(network_id: str = "n", **more: Any) -> Face:
    values = {"network_id": network_id, "service_id": "svc", "name": "web", "vips": ("10.0.1.3",)}
    return Face(**(values | {"drain_ns": 5_000_000_000} | more))


def attached(*network_ids: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(network_id=key, addresses=("10.0.1.5/24",)) for key in network_ids)
