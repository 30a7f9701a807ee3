# SPDX-License-Identifier: Apache-2.0
"""Many handshakes at once while the server's certificate changes: a rotation must not drop, or crash, any of them."""

from __future__ import annotations

import asyncio

from runtime.grpc.kit import MANAGER, WORKER, Identity
from security.table import Made, Site, outcome, requests

AT_ONCE = 100
HEARTBEAT = "/queenright.v1.Dispatcher/Heartbeat"


class Changing(Site):
    """A control port whose certificate is another one whenever ``turn`` was called."""

    def __init__(self) -> None:
        self._now: Identity | None = None
        super().__init__()
        self._now = self.manager
        self.server._certificates = self.served  # type: ignore[assignment]
        self.turns = 0

    def served(self) -> tuple[bytes, bytes, bytes]:
        """Asked on threads of gRPC's: one frozen value each time."""
        assert self._now is not None
        return self._now.for_grpc()

    def turn(self) -> None:
        self._now = Made(self.root, MANAGER, "manager")
        self.turns += 1


async def storm(site: Changing, rounds: int) -> list[tuple[str, str]]:
    """Outcomes of ``rounds`` times AT_ONCE new connections, one call each, while the certificate keeps changing."""
    assert site.own is not None
    request, over = requests(site.own.id)[HEARTBEAT], asyncio.Event()

    async def keep_turning() -> None:
        while not over.is_set():
            site.turn()
            await asyncio.sleep(0.01)

    async def one() -> tuple[str, str]:
        async with site.channel(site.worker) as channel:
            return await outcome(channel, HEARTBEAT, request)

    turning = asyncio.create_task(keep_turning())
    found: list[tuple[str, str]] = []
    for _ in range(rounds):
        found += await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    over.set()
    await turning
    assert site.server.live.of(WORKER) <= 1  # none is left behind
    return found
