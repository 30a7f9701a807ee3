# SPDX-License-Identifier: Apache-2.0
"""Long lists of changes, each of whose prefixes is right, go into the log in entries of bearable size."""

from __future__ import annotations

from collections.abc import Sequence

from queenright.manager.ports import Proposer
from queenright.model.changes import Change
from queenright.model.errors import TooLarge

MAX_CHANGES = 200  # of one entry


async def write(proposer: Proposer, changes: Sequence[Change]) -> None:
    """Write all of it, in order, in as few entries as it takes: large objects make it more. Raises what ``propose``
    raises; then a prefix may be written. TooLarge: one change alone is more than an entry may hold.
    """
    for start in range(0, len(changes), MAX_CHANGES):
        await _write(proposer, changes[start : start + MAX_CHANGES])


async def _write(proposer: Proposer, changes: Sequence[Change]) -> None:
    try:
        await proposer.propose(changes)
    except TooLarge:
        if len(changes) < 2:
            raise
        middle = len(changes) // 2
        await _write(proposer, changes[:middle])
        await _write(proposer, changes[middle:])
