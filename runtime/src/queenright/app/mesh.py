# SPDX-License-Identifier: Apache-2.0
"""What a node needs once it has a part in a network: a hand on the kernel, and a server for names. Imported and made
with the first network, since a node without any does not pay for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from queenright.agent.mesh_ports import Bridges, Machinery
from queenright.app import world
from queenright.decide.names import NameTable

log = logging.getLogger(__name__)

CLEAR_SECONDS = 30.0


async def load(names: NameTable, bridges: Bridges, nameservers: Callable[[str], Sequence[str]]) -> Machinery:
    """``nameservers``: the resolvers that a task names itself, by its id. What is imported may take a while: it is done
    on a thread that ends with it.
    """
    return await asyncio.to_thread(_make, names, bridges, nameservers)


def _make(names: NameTable, bridges: Bridges, nameservers: Callable[[str], Sequence[str]]) -> Machinery:
    from queenright.edge.dns.forward import Forwarder
    from queenright.edge.dns.server import DnsServer
    from queenright.edge.dns.upstream import Upstreams
    from queenright.edge.kernel import probe, site  # what the kernel's room would import later, on the loop
    from queenright.edge.kernel.mesh import KernelMesh

    log.debug("loaded %s and %s", probe.__name__, site.__name__)
    dice = random.SystemRandom()
    forwarder = Forwarder(Upstreams(world.SystemClock().mono), lambda: dice.randrange(1 << 16))
    server = DnsServer(names, forwarder, nameservers, lambda values: random.sample(values, len(values)))
    return Machinery(KernelMesh(), bridges, server)


async def clear(cluster_id: str) -> None:
    """Take away what the kernel has of a membership that is over; what resists is logged. Loads nothing where there is
    nothing.
    """
    from queenright.edge.kernel.mesh import KernelMesh

    kernel = KernelMesh()
    try:
        async with asyncio.timeout(CLEAR_SECONDS):
            await kernel.clear(cluster_id)
    except Exception as error:  # of whatever kind: the membership ends all the same
        log.error("parts of the networks may still be there: %s", error)
    finally:
        kernel.close()
