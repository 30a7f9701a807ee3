# SPDX-License-Identifier: Apache-2.0
"""The secrets and configs of tasks, from what the agent holds to mounts of their containers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from queenright.agent.ports import Supplies, TaskError, TemporaryError
from queenright.edge.docker.client import Engine
from queenright.edge.docker.data_mounts import Bind, DataMountError, DataMounts
from queenright.model.objects import NodeDescription, Task
from queenright.model.payloads import Payload, PayloadError, rendered

log = logging.getLogger(__name__)

T = TypeVar("T")
_REMAPPED = re.compile(r"/(\d+)\.(\d+)/?$")


class TaskFiles:
    """Belongs to the event loop's thread; the mounting is done on the engine's."""

    def __init__(self, mounts: DataMounts, engine: Engine, supplies: Supplies) -> None:
        self._mounts = mounts
        self._engine = engine
        self._supplies = supplies
        self._owner = (0, 0)

    def take_info(self, info: dict[str, Any]) -> None:
        """What the engine says of itself: with user namespaces the containers' root is somebody else on the node."""
        self._owner = owner_of(info)

    async def lay_out(self, task: Task, node: NodeDescription, body: dict[str, Any]) -> None:
        """Write the files of a task, and add them to the body with which its container is created. Raises
        TaskError or TemporaryError.
        """
        bind(body, await self._write(task, node))

    async def make_sure(self, task: Task, node: NodeDescription) -> None:
        """Before a container starts: its files are written anew if the node lost them, as in a reboot."""
        if not await self._do(lambda: self._mounts.is_laid_out(task.id)):
            await self._write(task, node)

    async def drop(self, task_id: str) -> None:
        """Take the files of a task away. Raises TemporaryError."""
        await self._do(lambda: self._mounts.drop(task_id))

    async def sweep(self, keep: Collection[str]) -> None:
        """Take the files of all tasks but these away. Raises TemporaryError."""
        kept = frozenset(keep)
        for task_id in await self._do(lambda: self._mounts.sweep(kept)):
            log.info("secrets and configs of a task that is gone were taken away", extra={"task": task_id})

    async def _write(self, task: Task, node: NodeDescription) -> tuple[Bind, ...]:
        files, owner = self._payloads(task, node), self._owner
        try:
            return await self._engine.on_thread(lambda: self._mounts.lay_out(task.id, files, owner))
        except DataMountError as error:  # this node cannot; another one may
            raise TaskError(str(error)) from error

    def _payloads(self, task: Task, node: NodeDescription) -> Sequence[Payload]:
        try:
            return rendered(self._supplies.payloads(task), task, node)
        except PayloadError as error:
            raise TaskError(str(error)) from error

    async def _do(self, function: Callable[[], T]) -> T:
        try:
            return await self._engine.on_thread(function)
        except DataMountError as error:
            raise TemporaryError(str(error)) from error


def has_files(task: Task) -> bool:
    """Whether a task uses secrets or configs."""
    return bool(task.spec.container.secrets or task.spec.container.configs)


def bind(body: dict[str, Any], files: Sequence[Bind]) -> None:
    """Add read-only mounts of single files to the body of ``POST /containers/create``."""
    mounts = [
        {
            "Type": "bind",
            "Source": file.source,
            "Target": file.target,
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rprivate"},
        }
        for file in files
    ]
    if mounts:
        host = body.setdefault("HostConfig", {})
        host["Mounts"] = [*(host.get("Mounts") or ()), *mounts]


def owner_of(info: dict[str, Any]) -> tuple[int, int]:
    """(user, group) on the node that the root of containers is. With user namespaces the engine's own folder is named
    after them.
    """
    options = info.get("SecurityOptions") or ()
    if not any("name=userns" in str(option) for option in options):
        return 0, 0
    found = _REMAPPED.search(str(info.get("DockerRootDir") or ""))
    return (int(found[1]), int(found[2])) if found else (0, 0)
