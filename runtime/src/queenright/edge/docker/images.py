# SPDX-License-Identifier: Apache-2.0
"""Makes sure that images are there. Tasks that want the same image at the same time share one pull."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Any

from docker.api.client import APIClient
from docker.errors import NotFound

from queenright.agent.ports import TaskError, TemporaryError
from queenright.edge.docker.client import Engine
from queenright.edge.docker.pulling import pull
from queenright.model.images import address_of, is_id, is_pinned

log = logging.getLogger(__name__)

PULLS_AT_ONCE = 32  # leaves threads for everything else

Told = Callable[[str], None]


def nobody(text: str) -> None:
    """For who does not want to hear of a pull's progress."""


@dataclasses.dataclass(slots=True, eq=False)
class _Pull:
    """One that is under way, and who wants to hear of it."""

    work: asyncio.Task[None]
    listeners: list[Told]


class Images:
    """Belongs to the event loop's thread. ``prefer_local``: an image that is there is never pulled."""

    def __init__(self, engine: Engine, *, prefer_local: bool = False) -> None:
        self._engine = engine
        self._prefer_local = prefer_local
        self._running: dict[tuple[str, bytes], _Pull] = {}
        self._slots = asyncio.Semaphore(PULLS_AT_ONCE)

    async def ensure(self, image: str, auth: bytes, told: Told = nobody) -> None:
        """The image, pulled if need be. ``auth`` is the JSON document of the credentials or empty; ``told`` gets words
        on the progress.

        May be cancelled; the pull goes on for the others. Raises TaskError if there is no such image, TemporaryError
        if its registry cannot say so now.
        """
        key = (image, auth)
        running = self._running.get(key)
        if running is None:
            work = asyncio.create_task(self._ensure(image, auth), name=f"pull-{image}")
            running = self._running[key] = _Pull(work, [])
            work.add_done_callback(lambda done: self._ended(key, done))
        running.listeners.append(told)
        try:
            await asyncio.shield(running.work)
        finally:
            running.listeners.remove(told)

    def close(self) -> None:
        for running in self._running.values():
            running.work.cancel()

    def _ended(self, key: tuple[str, bytes], task: asyncio.Task[None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # all who waited have it; if none did, nobody misses it

    def _tell(self, key: tuple[str, bytes], text: str) -> None:
        running = self._running.get(key)
        for told in list(running.listeners) if running is not None else ():
            told(text)

    async def _ensure(self, image: str, auth: bytes) -> None:
        if (is_pinned(image) or self._prefer_local) and await self._is_local(image):
            return
        if is_id(image):
            raise TaskError(f"No such image: {image}")
        credentials = read_auth(auth)
        loop = asyncio.get_running_loop()

        def told(text: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._tell, (image, auth), text)

        try:
            async with self._slots:
                await self._engine.call(lambda client: pull(client, image, credentials, told))
        except (TaskError, TemporaryError) as error:
            if not await self._is_local(image):
                raise type(error)(f"No such image: {image} ({error})") from error
            log.warning("image %s could not be pulled, the one that is there is used: %s", image, error)

    async def _is_local(self, image: str) -> bool:
        def look(client: APIClient) -> bool:
            try:
                client.inspect_image(image)
            except NotFound:
                return False
            return True

        try:
            return await self._engine.call(look)
        except TaskError as error:
            raise TaskError(f"image {image}: {error}") from error


def read_auth(auth: bytes) -> dict[str, Any]:
    """The credentials of a task; none of them appears in an error."""
    if not auth:
        return {}
    try:
        value = json.loads(auth)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise TaskError("the registry credentials of the service cannot be read: give them again with its next update")
    server = value.get("serveraddress")
    if isinstance(server, str) and server.strip():
        value["serveraddress"] = address_of(server)
    return value
