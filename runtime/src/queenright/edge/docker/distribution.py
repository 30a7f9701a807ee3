# SPDX-License-Identifier: Apache-2.0
"""Asks registries, through the Docker Engine, which image a tag means now."""

from __future__ import annotations

from docker.api.client import APIClient
from docker.errors import DockerException

from queenright.agent.ports import ExecutorError
from queenright.edge.docker.client import Engine
from queenright.edge.docker.images import read_auth
from queenright.manager.ports import RegistryError

THREADS = 4


class Distribution:
    """Fulfils ``manager.ports.Registries``. Belongs to the event loop's thread; ``socket`` is the engine's."""

    def __init__(self, socket: str) -> None:
        self._engine = Engine(socket, THREADS)

    async def digest(self, image: str, auth: bytes) -> str:
        """The digest of the image that a tag means. Raises RegistryError."""

        def ask(client: APIClient) -> str:
            found = client.inspect_distribution(image, auth_config=credentials)
            return str((found.get("Descriptor") or {}).get("digest") or "")

        try:
            credentials = read_auth(auth)
            digest = await self._engine.call(ask)
        except (ExecutorError, DockerException) as error:
            raise RegistryError(str(error)) from error
        if not digest:
            raise RegistryError("the registry told no digest")
        return digest

    def close(self) -> None:
        """End it; a question under way ends by itself."""
        self._engine.close()
