# SPDX-License-Identifier: Apache-2.0
"""What leaves this member: messages that may go at once, and those that must wait until the log was flushed.

A leader may send entries while it writes them itself. An acknowledgement, a vote, and the request for one (a vote for
oneself) say that something is on disk: they wait.
"""

from __future__ import annotations

from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport

from queenright.wire.raft import AppendEntries, Message, RequestVote, TimeoutNow

Outgoing = tuple[str, Message]
"""(member id, message)"""


class MemberNode(Node):  # type: ignore[misc]
    """A member as the library sees it: an id, no address."""

    def __init__(self, member_id: str) -> None:
        super().__init__(member_id)


class Outbox:
    """Gathers what is to be sent in one round of the raft thread. ``transfer`` marks the elections that a leader asked
    for."""

    def __init__(self) -> None:
        self._early: list[Outgoing] = []
        self._late: list[Outgoing] = []
        self.transfer = False

    def put(self, member_id: str, message: Message) -> None:
        """Send ``message`` when it may go."""
        early = isinstance(message, AppendEntries | TimeoutNow) or (isinstance(message, RequestVote) and message.pre)
        (self._early if early else self._late).append((member_id, message))

    def take_early(self) -> list[Outgoing]:
        """What may go before the log is flushed."""
        taken, self._early = self._early, []
        return taken

    def take_late(self) -> list[Outgoing]:
        """Everything else; the log must have been flushed."""
        taken, self._late = self._late, []
        return taken

    def for_library(self) -> Transport:
        """The transport that the library calls; all it still sends are requests for votes."""
        return _LibraryTransport(self)


class _LibraryTransport(Transport):  # type: ignore[misc]
    """Ready at once, opens no port."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(None, None, None)
        self._outbox = outbox

    def addNode(self, node: MemberNode) -> None:  # noqa: N802
        raise RuntimeError("the library does not keep the members")

    def dropNode(self, node: MemberNode) -> None:  # noqa: N802
        raise RuntimeError("the library does not keep the members")

    def send(self, node: MemberNode, message: dict[str, Any]) -> bool:
        if message["type"] != "request_vote":
            raise RuntimeError(f"the library sends a message of type {message['type']}")
        request = RequestVote(
            message["term"], message["last_log_index"], message["last_log_term"], transfer=self._outbox.transfer
        )
        self._outbox.put(node.id, request)
        return True

    def destroy(self) -> None:
        """Nothing is open."""
