# SPDX-License-Identifier: Apache-2.0
"""What a filter says of a node that it refuses."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """``text`` has the figures, for whoever asks about this node; ``brief`` is two words, for a list of nodes."""

    text: str
    brief: str


def nodes(count: int) -> str:
    """``1 node``, ``2 nodes``."""
    return "1 node" if count == 1 else f"{count} nodes"
