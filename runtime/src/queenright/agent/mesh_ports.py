# SPDX-License-Identifier: Apache-2.0
"""What the data path needs of the world: a kernel that is programmed from a picture, and networks of the engine."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Collection, Mapping
from typing import Protocol

from queenright.model.mesh import MeshPicture, Overlay


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """What came of a picture. ``errors``: networks that are not as they shall be, with the reason and what to do.

    ``ports``: each published port, by protocol and number: "" once it answers, else the reason why not. ``renewed``:
    networks whose sandbox was made anew, so that sockets in the old one are dead.
    """

    errors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ports: Mapping[tuple[str, int], str] = dataclasses.field(default_factory=dict)
    renewed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """What the machine can do. ``mesh``: what can balance, "" for nothing; ``error`` says why not, and what to do.

    ``mtu`` (bytes) is that of the way to the other nodes, 0 if not known; ``prefixes`` what the machine routes itself.
    """

    mesh: str = ""
    error: str = ""
    mtu: int = 0
    prefixes: tuple[str, ...] = ()


class Kernel(Protocol):
    """Links, tables and sandboxes of one node (``edge/kernel``). Calls are put one after the other.

    None raises for what fails in a single network or port: that is in the answer.
    """

    async def apply(self, picture: MeshPicture) -> Applied:
        """Bring the kernel from what was applied last to the picture. What did not change costs nothing."""
        ...

    async def audit(self, picture: MeshPicture) -> Applied:
        """The same, but all of it is compared with what the kernel has: what another hand changed is mended."""
        ...

    async def changed(self) -> None:
        """Return when another hand changed something of ours."""
        ...

    async def dns_sockets(self, network_id: str) -> tuple[socket.socket, ...]:
        """New sockets at port 53 of the addresses of the names' service, UDP and TCP (listening), not blocking.

        The caller closes them. Raises OSError if the network is not there.
        """
        ...

    async def clear(self, cluster_id: str) -> None:
        """Take away everything of the cluster: the machine is as it was before."""
        ...

    async def probe(self, backend: str) -> Probe:
        """What this machine can do, found by doing it in a namespace that is thrown away."""
        ...

    def close(self) -> None:
        """End threads and sockets. The data path goes on as it is."""
        ...


class Bridges(Protocol):
    """The engine's networks on our bridges (``edge/docker``)."""

    async def ensure(self, overlay: Overlay) -> None:
        """A network of the engine on the overlay's bridge; one that is there and as it shall be is left alone."""
        ...

    async def remove(self, network_id: str) -> None:
        """Take it away; what is gone is fine."""
        ...

    async def sweep(self, keep: Collection[str]) -> None:
        """Take away all of this cluster but these."""
        ...


class NameServer(Protocol):
    """Answers for names out of the table that it was made with (``edge/dns``)."""

    async def serve(self, network_id: str, sockets: tuple[socket.socket, ...]) -> None:
        """Answer for that network at these sockets, which it closes; earlier ones of the network are given up."""
        ...

    async def stop(self, network_id: str) -> None: ...

    async def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Machinery:
    """What a node needs once it has a part in a network, and is not made (or imported) before."""

    kernel: Kernel
    bridges: Bridges
    name_server: NameServer
