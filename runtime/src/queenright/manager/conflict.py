# SPDX-License-Identifier: Apache-2.0
"""A write that came too late. Apart from the proposer, for those who have no log: it brings no other library along."""

from __future__ import annotations

from queenright.model.changes import Conflict
from queenright.model.errors import OutOfSequence


class ConflictError(OutOfSequence):
    """Somebody else wrote first; ``conflict`` says what."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__("update out of sequence")
        self.conflict = conflict
