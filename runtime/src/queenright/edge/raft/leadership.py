# SPDX-License-Identifier: Apache-2.0
"""Tells those above when this member begins to lead, and when that is over. Lives on the loop."""

from __future__ import annotations

from collections.abc import Callable


class Leadership:
    """``told(True, term)`` and ``told(False, term)`` always come in turns."""

    def __init__(self, told: Callable[[bool, int], None]) -> None:
        self._told = told
        self._term: int | None = None

    def look(self, leads: bool, term: int) -> None:
        """Whether this member leads now, and holds all that earlier leaders committed."""
        if leads and self._term is None:
            self._term = term
            self._told(True, term)

    def end(self) -> None:
        """It does not, or not in the same term."""
        if self._term is not None:
            term, self._term = self._term, None
            self._told(False, term)
