# SPDX-License-Identifier: Apache-2.0
"""Read rounds: a leader asks a majority whether it still leads before it calls what it knows the truth.

Messages to the others carry the number of the newest round, answers repeat it. A read that began before a round was
sent may be answered when a majority has answered that round: no later leader can have acknowledged a write before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Reads:
    """The reads that wait. ``context`` is the number of the newest round."""

    def __init__(self) -> None:
        self.context = 0
        self._asked: list[int] = []
        self._waiting: deque[tuple[int, int, int]] = deque()  # (round, ticket, index)

    def ask(self, ticket: int) -> None:
        """A read wants to know that this member leads."""
        self._asked.append(ticket)

    def asked(self) -> bool:
        """Whether a new round is due."""
        return bool(self._asked)

    def begin(self, index: int) -> None:
        """Put those that asked into a new round; they will have to see entry ``index``."""
        self.context += 1
        self._waiting.extend((self.context, ticket, index) for ticket in self._asked)
        self._asked.clear()

    def confirmed(self, contexts: Iterable[int], others: int) -> list[tuple[int, int]]:
        """Those that a majority has confirmed, as (ticket, index). ``contexts``: the newest round that each of the
        ``others`` voters has answered."""
        answered = sorted([self.context, *contexts], reverse=True)
        sure = answered[(others + 1) // 2]
        done = []
        while self._waiting and self._waiting[0][0] <= sure:
            _, ticket, index = self._waiting.popleft()
            done.append((ticket, index))
        return done

    def abandon(self) -> list[int]:
        """Forget all that wait; gives their tickets."""
        tickets = [*self._asked, *(ticket for _, ticket, _ in self._waiting)]
        self._asked.clear()
        self._waiting.clear()
        return tickets
