# SPDX-License-Identifier: Apache-2.0
"""What this manager may say of itself: whether it leads, who does, and whether what it has in memory is fresh."""

from __future__ import annotations

import asyncio

from queenright.manager import texts
from queenright.manager.control import Control
from queenright.model.errors import Refusal, Unavailable

CONFIRM_SECONDS = 2.0


class Deposed(Unavailable):
    """This manager did not lead when it came to it. Nothing was done that the next leader would not do again."""

    def __init__(self) -> None:
        super().__init__(texts.NO_LEADER, plain=True)


def leads(control: Control) -> bool:
    """Whether this manager may write."""
    return control.context.proposer.is_leader


def leadership(control: Control) -> tuple[str, int]:
    """Who leads (its node id, empty if nobody is heard of), and the term.

    A manager that lost the leadership, or was started again, leads in another term.
    """
    consensus = control.context.consensus
    if consensus is None:
        return "", 0
    return consensus.leader_id or "", consensus.term


def cut_off(control: Control) -> bool:
    """Whether this manager hears of no majority, so that it may have missed anything."""
    consensus = control.context.consensus
    return consensus is not None and not consensus.has_quorum


async def confirmed(control: Control, node_id: str) -> bool:
    """Whether what this manager, ``node_id``, has in memory may be told as it is.

    The leader asks a majority whether it still leads: others may have chosen another one without its knowing. One that
    was just elected may not have seen yet what was acknowledged before. A follower makes no promise that it could
    break; it may be a moment behind.
    """
    if cut_off(control):
        return False
    if not (leads(control) or leadership(control)[0] == node_id) or not _shared(control):
        return True
    try:
        async with asyncio.timeout(CONFIRM_SECONDS):
            await control.fresh()
    except (Refusal, TimeoutError):
        return False
    return True


def _shared(control: Control) -> bool:
    """Whether others vote too."""
    consensus = control.context.consensus
    return consensus is not None and sum(member.voter for member in consensus.members()) > 1
