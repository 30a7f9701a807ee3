# SPDX-License-Identifier: Apache-2.0
"""What giving logs needs: an engine that reads them, the node's tasks, and a way to the leader."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

from queenright.agent.ports import TaskError
from queenright.model.logs import LogLine, LogOptions, LogPublication, LogSubscription


class LogGoneError(TaskError):
    """The container is gone, or going, and its log with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a task's log is. ``ended``: the task runs no more, or is on its way out."""

    container_id: str
    tty: bool
    ended: bool


class LogSource(Protocol):
    """Reads logs of containers (``edge/docker``)."""

    def read(self, container_id: str, tty: bool, options: LogOptions) -> AsyncGenerator[Sequence[LogLine], None]:
        """Lines in the engine's order, until there are no more, or for ever. Raises an ExecutorError."""
        ...


class LogTasks(Protocol):
    """The tasks of this node (``agent.worker``)."""

    def log_place(self, task_id: str) -> LogPlace | None:
        """None: there is no such task, or it has no container."""
        ...


class LogPipe(Protocol):
    """One subscription's way to the leader. One call at a time; each may raise LinkError: it is wanted no more."""

    async def open(self) -> None:
        """Comes before all else."""
        ...

    async def write(self, given: LogPublication) -> None:
        """Returns when there is room for more."""
        ...

    def close(self) -> None:
        """End it, whatever is under way."""
        ...


class LogLink(Protocol):
    """What a connection to a manager has to do with logs (``edge/grpc``)."""

    def log_subscriptions(self, session_id: str) -> AsyncIterator[LogSubscription]:
        """What is wanted. May raise LinkError."""
        ...

    def publish_logs(self, session_id: str, subscription_id: str) -> LogPipe: ...

    async def close(self) -> None: ...


class LogConnector(Protocol):
    """Opens such connections, see ``agent.link.Connector``."""

    def connect(self, node_id: str, addr: str) -> LogLink: ...
