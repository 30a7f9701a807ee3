# SPDX-License-Identifier: Apache-2.0
"""The engine's networks on the node's bridges: made once the kernel has done its part, taken away before it undoes it.

It has a pace of its own: an engine that does not answer holds up nothing but the containers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from queenright.agent.mesh_ports import Bridges
from queenright.agent.ports import ExecutorError
from queenright.model.mesh import Overlay

log = logging.getLogger(__name__)

RETRY_AFTER = 2.0  # seconds


class Bridging:
    """``uses`` says whether a container may still be in a network; ``changed`` is told of every step."""

    def __init__(self, bridges: Bridges, uses: Callable[[str], bool], changed: Callable[[], None]) -> None:
        self._bridges = bridges
        self._uses = uses
        self._changed = changed
        self._wanted: dict[str, Overlay] = {}
        self._leaving: set[str] = set()
        self._gone: set[str] = set()
        self._has: dict[str, object] = {}  # what was made of each
        self._due = asyncio.Event()
        self._swept = False
        self._again = False
        self.errors: dict[str, str] = {}

    def want(self, overlays: Iterable[Overlay], leaving: Iterable[str], *, again: bool) -> None:
        """These are to be there, and those to go. ``again``: look at all of them, also at what was made already."""
        self._wanted = {overlay.network_id: overlay for overlay in overlays}
        self._leaving = set(leaving)
        self._gone &= self._leaving
        for key in [key for key in self.errors if key not in self._wanted and key not in self._leaving]:
            del self.errors[key]
        if again:
            self._again = True
        self._due.set()

    def has(self, network_id: str) -> bool:
        """Whether containers can be put into the network."""
        overlay = self._wanted.get(network_id)
        return overlay is not None and self._has.get(network_id) == _shape(overlay)

    def gone(self, network_id: str) -> bool:
        """Whether the engine has let go of a network that was to go."""
        return network_id in self._gone

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RETRY_AFTER if self.errors or self._leaving - self._gone else None):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            again, self._again = self._again, False
            if not self._swept:
                self._swept = await self._sweep()
            for network_id in sorted(self._leaving - self._gone):
                await self._remove(network_id)
            for network_id, overlay in list(self._wanted.items()):
                if again or not self.has(network_id):
                    await self._ensure(network_id, overlay)

    async def _ensure(self, network_id: str, overlay: Overlay) -> None:
        try:
            await self._bridges.ensure(overlay)
        except Exception as error:
            self._failed(network_id, overlay.name, error)
            return
        self._has[network_id] = _shape(overlay)
        self._succeeded(network_id)

    async def _remove(self, network_id: str) -> None:
        if self._uses(network_id):
            return  # its containers go first
        try:
            await self._bridges.remove(network_id)
        except Exception as error:
            self._failed(network_id, network_id, error)
            return
        self._has.pop(network_id, None)
        self._gone.add(network_id)
        self._succeeded(network_id)

    async def _sweep(self) -> bool:
        """Take away what a crash left of networks that are no longer the node's."""
        try:
            await self._bridges.sweep({*self._wanted, *self._leaving})
        except ExecutorError as error:
            log.warning("networks of the engine that nobody uses may still be there: %s", error)
            return False
        return True

    def _failed(self, network_id: str, name: str, error: Exception) -> None:
        text = str(error) if isinstance(error, ExecutorError) else f"unexpected {type(error).__name__}: {error}"
        if self.errors.get(network_id) != text:
            if not isinstance(error, ExecutorError):
                log.error("the engine's network %s broke", name, exc_info=error)
            self.errors[network_id] = text
            self._changed()

    def _succeeded(self, network_id: str) -> None:
        self.errors.pop(network_id, None)
        self._changed()


def _shape(overlay: Overlay) -> object:
    """What the engine's network depends on."""
    return overlay.name, overlay.subnets, overlay.internal, overlay.mtu, overlay.addresses
