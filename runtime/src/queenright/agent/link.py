# SPDX-License-Identifier: Apache-2.0
"""How an agent speaks to a manager (``edge/grpc`` fulfils it)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from queenright.model.mesh_rows import NetworksSet, NetworksState
from queenright.model.objects import NodeDescription
from queenright.wire.messages import AssignmentSet, Ping, SessionNews, StatusUpdate


class LinkError(Exception):
    """The manager could not be asked, or refused.

    ``code`` is the gRPC status name; the text says which manager and why.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoLeaderError(LinkError):
    """This manager works, but does not lead, and does not know who does."""


class RedirectError(LinkError):
    """This manager does not lead; that one (node id, ``host:port``) does."""

    def __init__(self, node_id: str, addr: str) -> None:
        super().__init__("Unavailable", f"the manager that leads is {addr}")
        self.node_id = node_id
        self.addr = addr


class ManagerLink(Protocol):
    """One connection to one manager. Every call may raise LinkError."""

    def session(self, description: NodeDescription, addr: str) -> AsyncIterator[SessionNews | Ping]:
        """May begin with RedirectError. Pings are answered before they are told."""
        ...

    async def heartbeat(self, session_id: str) -> int:
        """Gives the nanoseconds until the next one is due."""
        ...

    def assignments(self, session_id: str) -> AsyncIterator[AssignmentSet]: ...

    async def update_statuses(self, session_id: str, updates: Sequence[StatusUpdate]) -> None: ...

    def networks(self, session_id: str) -> AsyncIterator[NetworksSet]:
        """What this node has to know of its networks. "Unimplemented": the manager knows of none."""
        ...

    async def networks_applied(self, session_id: str, state: NetworksState) -> None: ...

    async def restarting(self, session_id: str) -> None: ...

    async def close(self) -> None: ...


class Connector(Protocol):
    """Opens links.

    ``addr`` is ``host:port`` of a manager's control port; its certificate must be that of ``node_id``.
    """

    def connect(self, node_id: str, addr: str) -> ManagerLink: ...
