# SPDX-License-Identifier: Apache-2.0
"""The kernel behind the agent's Protocol. A node without networks has none of it: no thread, no socket, no library."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from queenright.agent.mesh_ports import Applied, Probe
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.netlink import NETFILTER, NetlinkSocket
from queenright.edge.kernel.nft import has_table
from queenright.edge.kernel.worker import Worker
from queenright.model.mesh import HOST_LINK, HOST_TABLE, MeshPicture

if TYPE_CHECKING:
    from queenright.edge.kernel.site import Site

FOLDER = Path("/run/netns")
SWITCHES = Path("/run/queenright/sysctls.json")
_OURS = re.compile(rf"(sw|svx|svb)-[0-9a-f]{{10}}|{HOST_LINK}|swns-[0-9a-f]{{10}}")


class KernelMesh:
    """Fulfils :class:`agent.mesh_ports.Kernel`.

    ``namespace``: where the host's part is, if not where the process is (tests have several hosts); ``folder``: where
    namespaces have their names; ``switches``: the file that remembers what the host's switches were.
    """

    def __init__(self, *, namespace: str | None = None, folder: Path = FOLDER, switches: Path = SWITCHES) -> None:
        self._namespace = namespace
        self._folder = folder
        self._switches = switches
        self._site: Site | None = None
        self._one_at_a_time = asyncio.Lock()
        self._touched = asyncio.Event()

    async def apply(self, picture: MeshPicture) -> Applied:
        return await self._bring(picture, full=False)

    async def audit(self, picture: MeshPicture) -> Applied:
        return await self._bring(picture, full=True)

    async def changed(self) -> None:
        await self._touched.wait()
        self._touched.clear()

    async def dns_sockets(self, network_id: str) -> tuple[socket.socket, ...]:
        async with self._one_at_a_time:
            if self._site is None:
                raise OSError(errno.ENODEV, f"network {network_id} is not on this node")
            return await self._site.dns_sockets(network_id)

    async def clear(self, cluster_id: str) -> None:
        applied = await self._bring(MeshPicture(cluster_id), full=True)
        await self._end()
        if applied.errors:
            raise OSError(errno.EBUSY, "; ".join(sorted(applied.errors.values())))

    async def probe(self, backend: str) -> Probe:
        from queenright.edge.kernel.probe import examine

        worker = Worker("kernel-probe")
        try:
            return await worker.run(lambda: examine(backend))
        finally:
            worker.close()

    def close(self) -> None:
        site, self._site = self._site, None
        if site is not None:
            site.close()

    async def _end(self) -> None:
        """As :meth:`close`, for a loop that goes on."""
        site, self._site = self._site, None
        if site is not None:
            await site.end()

    async def _bring(self, picture: MeshPicture, *, full: bool) -> Applied:
        async with self._one_at_a_time:
            if self._site is not None and self._site.cluster_id != picture.cluster_id:
                await self._end()
            if self._site is None:
                if not picture.overlays and not self._leftovers():
                    return Applied()
                from queenright.edge.kernel.site import Site  # nothing of it is loaded before there is a network
                from queenright.edge.kernel.switches import Switches

                switches = Switches(self._switches)
                self._site = Site(picture.cluster_id, self._namespace, self._folder, switches, self._touched.set)
            try:
                applied = await self._site.bring(picture, full=full)
            except (KernelError, OSError) as error:  # nothing works at all; the next call begins anew
                await self._end()
                return _all_failed(picture, str(error))
            if not picture.overlays and not applied.errors:
                await self._end()
            return applied

    def _leftovers(self) -> bool:
        """Whether there may be something that an earlier life of the agent made. Asks for names only."""
        if self._namespace is not None:
            return True
        names = [name for _, name in socket.if_nameindex()]
        with contextlib.suppress(FileNotFoundError):
            names += [path.name for path in self._folder.iterdir()]
        return any(_OURS.fullmatch(name) for name in names) or self._switches.exists() or _table()


def _table() -> bool:
    """Whether the table that leads to published ports is there, though all links are gone."""
    with contextlib.suppress(KernelError), NetlinkSocket(NETFILTER) as asking:
        return has_table(asking, HOST_TABLE)
    return False


def _all_failed(picture: MeshPicture, text: str) -> Applied:
    ports = {(port.protocol, port.port): text for overlay in picture.overlays for port in overlay.published}
    return Applied({overlay.network_id: text for overlay in picture.overlays} or {"": text}, ports)
