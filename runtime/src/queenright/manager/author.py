# SPDX-License-Identifier: Apache-2.0
"""Who writes, in words: kept with what was written, so that people can be asked."""

from __future__ import annotations

from queenright.manager.audit import actor
from queenright.manager.context import Context

LONGEST = 64  # characters of a client's name for itself


def author(context: Context) -> str:
    """``Docker-Client/28.0 (linux), user 1000 at node queen``; empty for what this manager does by itself."""
    who = actor()
    if who.kind == "manager":
        return ""
    text = "".join(filter(str.isprintable, who.agent))[:LONGEST].strip() or "a client"
    if who.uid is not None and who.uid >= 0:
        text += f", user {who.uid}"
    leader = context.consensus.leader_id if context.consensus is not None else None  # who writes, leads
    node = who.node or leader or ""
    found = context.store.nodes.get(node)
    name = (found.hostname if found is not None else "") or node
    return f"{text} at node {name}" if name else text
