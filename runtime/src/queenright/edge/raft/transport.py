# SPDX-License-Identifier: Apache-2.0
"""How members reach each other. A group of one has nobody to reach.

The library builds the transport itself, calls it in the raft thread only, and expects ``send`` neither to block nor to
raise. The engine calls ``flush`` after the log was flushed: no vote and no acknowledgement may leave before that.
"""

from __future__ import annotations

from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport


class MemberNode(Node):  # type: ignore[misc]
    """A member as the library sees it: an id, no address."""

    def __init__(self, member_id: str) -> None:
        super().__init__(member_id)


class NoPeers(Transport):  # type: ignore[misc]
    """The transport of a group of one: ready at once, reaches nobody, opens no port."""

    def __init__(self, core: Any, self_node: MemberNode, other_nodes: set[MemberNode]) -> None:
        if other_nodes:
            raise ValueError("a group of one has no other members")
        super().__init__(core, self_node, other_nodes)

    def addNode(self, node: MemberNode) -> None:  # noqa: N802
        raise ValueError(f"no transport leads to member {node.id}")

    def dropNode(self, node: MemberNode) -> None:  # noqa: N802
        """There is nobody to drop."""

    def send(self, node: MemberNode, message: dict[str, Any]) -> bool:
        """Nothing can be delivered."""
        return False

    def flush(self) -> None:
        """Let out what was held back until the log was flushed: nothing."""

    def destroy(self) -> None:
        """Nothing is open."""
