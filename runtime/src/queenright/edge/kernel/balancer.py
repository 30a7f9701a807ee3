# SPDX-License-Identifier: Apache-2.0
"""What a backend of the load balancer is: it hands connections on, in the sandbox of one network.

A sandbox is a namespace with one link into the network, ``eth0``, which has the sandbox's own address, all virtual
addresses and those of the names' service; the one of the ingress network has a second link, ``eth1``, through which
the host hands over what comes to its published ports, at ``LINK4`` and ``LINK6``, the port being the published one.
Links, addresses, routes and sysctls are there before a backend is asked for anything, and are not its business.

What a backend has to do is the same for each of them:

- new connections to a virtual address, any port, tcp, udp and sctp: to a serving backend, port unchanged;
- those that come in by ``eth1`` to a published port: to a serving backend's address of the same family and ``target``;
- what it hands over leaves by ``eth0`` with the sandbox's own address as its source, also back to the client itself;
- a backend that no longer serves keeps the connections it has; no serving backend: the client is refused at once;
- nothing else may pass from ``eth0`` to ``eth1``.

Flows of backends that are gone are cut by the sandbox (``conntrack``), after the backend has been asked to apply.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Protocol

from queenright.edge.kernel.nft import Nft
from queenright.model.mesh import Backend, Overlay

INSIDE, OUTSIDE = "eth0", "eth1"
LINK4_HOST, LINK4 = "169.254.77.1", "169.254.77.2"
LINK4_LENGTH = 30
LINK6_HOST, LINK6 = "fd71:7565:656e:77::1", "fd71:7565:656e:77::2"
LINK6_LENGTH = 126


class Balancer(Protocol):
    """One sandbox's backend. Made, called and closed on the sandbox's thread, inside of its namespace."""

    def apply(self, overlay: Overlay) -> None:
        """Bring the kernel from what this object applied last to ``overlay``; the first time, from whatever is there.

        At no moment may a connection find less than before and after. Raises KernelError; the next call then takes
        nothing for granted.
        """
        ...

    def audit(self, overlay: Overlay) -> bool:
        """The same, all of it compared with what the kernel has. Whether another hand had changed something."""
        ...

    def retire(self) -> bool:
        """Another kind has put its table in the place of ours: take away the rest, unless connections still use it.
        Whether nothing is left; if something is, this is asked again later. Raises KernelError.
        """
        ...

    def close(self) -> None:
        """Let go of sockets; the kernel keeps what it has."""
        ...


MakeBalancer = Callable[[Nft], Balancer]
"""How a sandbox makes its backend; the nft context is the sandbox's and stays open as long as the backend."""


def family_of(address: str) -> int:
    """4 or 6."""
    return 6 if ":" in address else 4


def of_family(addresses: Iterable[str], family: int) -> str:
    """The first address of that family, "" if there is none."""
    return next((address for address in addresses if family_of(address) == family), "")


def serving(backends: Iterable[Backend], family: int) -> tuple[str, ...]:
    """The addresses of one family that may get new connections, each once, in numerical order."""
    found = {of_family(backend.addresses, family) for backend in backends if backend.serving} - {""}
    return tuple(sorted(found, key=lambda address: int(ipaddress.ip_address(address))))


def own_address(overlay: Overlay, family: int) -> str:
    """The sandbox's own address of that family, without prefix; "" if it has none."""
    return of_family(overlay.addresses, family).partition("/")[0]
