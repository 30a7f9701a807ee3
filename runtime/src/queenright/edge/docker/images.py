# SPDX-License-Identifier: Apache-2.0
"""Makes sure that images are there. Tasks that want the same image at the same time share one pull."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
from typing import Any

from docker.api.client import APIClient
from docker.errors import NotFound

from queenright.agent.ports import TaskError, TemporaryError
from queenright.edge.docker.client import Engine

log = logging.getLogger(__name__)

PULLS_AT_ONCE = 32  # leaves threads for everything else
_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")


class Images:
    """Belongs to the event loop's thread. ``prefer_local``: an image that is there is never pulled."""

    def __init__(self, engine: Engine, *, prefer_local: bool = False) -> None:
        self._engine = engine
        self._prefer_local = prefer_local
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(PULLS_AT_ONCE)

    async def ensure(self, image: str, auth: str) -> None:
        """The image, pulled if need be. ``auth`` is the value of ``X-Registry-Auth`` or "".

        May be cancelled; the pull goes on for the others. Raises TaskError if there is no such image.
        """
        key = (image, auth)
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._ensure(image, auth), name=f"pull-{image}")
            task.add_done_callback(lambda done: self._ended(key, done))
        await asyncio.shield(task)

    def close(self) -> None:
        for task in self._running.values():
            task.cancel()

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # all who waited have it; if none did, nobody misses it

    async def _ensure(self, image: str, auth: str) -> None:
        fixed = _ID.fullmatch(image) is not None
        if (fixed or "@" in image or self._prefer_local) and await self._is_local(image):
            return
        if fixed:
            raise TaskError(f"No such image: {image}")
        credentials = read_auth(auth)
        try:
            async with self._slots:
                await self._engine.call(lambda client: _pull(client, image, credentials))
        except (TaskError, TemporaryError) as error:
            if not await self._is_local(image):
                raise TaskError(f"No such image: {image} ({error})") from error
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


def read_auth(auth: str) -> dict[str, Any]:
    """The credentials of a task; none of them appears in an error."""
    if not auth:
        return {}
    try:
        value = json.loads(base64.urlsafe_b64decode(auth + "=" * (-len(auth) % 4)))
    except (binascii.Error, ValueError):
        value = None
    if not isinstance(value, dict):
        raise TaskError("the registry credentials of the service cannot be read: give them again with its next update")
    return value


def _pull(client: APIClient, image: str, credentials: dict[str, Any]) -> None:
    """Pull and read the progress to its end, where an error may stand. (Empty credentials keep the SDK from looking
    for some of its own.)
    """
    for line in client.pull(image, stream=True, decode=True, auth_config=credentials):
        if "error" in line:
            raise TaskError(str(line["error"]))
