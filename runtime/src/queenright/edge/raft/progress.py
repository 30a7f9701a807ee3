# SPDX-License-Identifier: Apache-2.0
"""How far another member is, as the leader knows it, and what is under way to it. Bookkeeping only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_BYTES = 8 * 1024 * 1024
"""Bytes of entries under way to one member, beyond which the leader waits for an answer."""
WINDOW_MESSAGES = 64


@dataclass(slots=True)
class Progress:
    """One other member, for as long as this one leads.

    ``next`` is the entry to send next; everything up to ``match`` is known to be durable there. At first, and after a
    refusal, the leader is *probing*: it asks with empty messages where the two logs meet.
    """

    next: int
    match: int = 0
    probing: bool = True
    asked: bool = False
    """While probing: the question is under way."""
    snapshot: bool = False
    """A snapshot is under way, or about to be; no entries are sent meanwhile."""
    answered: float = 0.0
    """When it last answered, by the monotonic clock."""
    context: int = 0
    """The newest read round that it has answered."""
    question: int = 0
    """Its newest question what is committed now."""
    told_commit: int = 0
    denials: int = 0
    """How often in a row it denied what it had acknowledged. A few are old messages; many mean that its disk is not
    what it was."""
    _window: deque[tuple[int, int]] = field(default_factory=deque)
    _bytes: int = 0

    def may_send(self) -> bool:
        """Whether entries may go out now."""
        if self.snapshot or self.probing:
            return False
        return self._bytes < WINDOW_BYTES and len(self._window) < WINDOW_MESSAGES

    def sent(self, last: int, size: int) -> None:
        """Entries up to ``last``, ``size`` bytes of them, are on their way."""
        self.next = last + 1
        self._window.append((last, size))
        self._bytes += size

    def accepted(self, next_index: int) -> bool:
        """Everything below ``next_index`` is durable there. Whether that is news."""
        self.denials = 0
        if self.probing:
            self.probing = self.asked = False
            self.next = next_index
        news = next_index - 1 > self.match
        self.match = max(self.match, next_index - 1)
        self.next = max(self.next, self.match + 1)
        while self._window and self._window[0][0] <= self.match:
            self._bytes -= self._window.popleft()[1]
        return news

    def refused(self, next_index: int) -> bool:
        """It cannot go on where it was asked to, but from ``next_index``. False if that is old news."""
        if next_index <= self.match:
            self.denials += 1
            return False
        self.probing, self.asked = True, False
        self.next = next_index
        self._clear()
        return True

    def snapshot_begins(self) -> None:
        self.snapshot = True
        self._clear()

    def snapshot_ended(self, index: int | None) -> None:
        """It took the snapshot of ``index``, or (None) it did not."""
        self.snapshot = False
        self.probing, self.asked = True, False
        if index is not None:
            self.next = max(self.match, index) + 1

    def _clear(self) -> None:
        self._window.clear()
        self._bytes = 0
