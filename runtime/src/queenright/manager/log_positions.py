# SPDX-License-Identifier: Apache-2.0
"""How far a reader is with each log, so that after a break nothing comes twice and nothing is left out.

Lines are known by their times, which may be equal and a little out of order (two streams of one container). So the last
ones are remembered, and asked for again: of what comes back, these are dropped, and what is older than all of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from queenright.model.logs import LogLine, LogPosition

REMEMBERED = 64
MOST_DONE = 10_000
Key = tuple[int, int, int]
"""Time, stream, length."""


class _Position:
    def __init__(self) -> None:
        self.floor = 0  # of what is older not all is remembered
        self._asked = 0
        self._recent: deque[Key] = deque()
        self._returned: Counter[Key] = Counter()  # of a break: what is known and will come again

    def new(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        if self._returned:
            lines = [line for line in lines if not self._had(line)]
        for line in lines[-REMEMBERED:]:
            self._recent.append((line.at, line.stream, len(line.text)))
        if len(lines) > REMEMBERED:
            self.floor = max(self.floor, max(line.at for line in lines[:-REMEMBERED]) + 1)
        while len(self._recent) > REMEMBERED:
            self.floor = max(self.floor, self._recent.popleft()[0] + 1)
        return lines

    def _had(self, line: LogLine) -> bool:
        if line.at < self._asked:
            return True
        key = (line.at, line.stream, len(line.text))
        count = self._returned.get(key, 0)
        if count > 1:
            self._returned[key] = count - 1
        elif count:
            del self._returned[key]
        return count > 0

    def ask(self, task_id: str) -> LogPosition:
        """Where to begin again."""
        self._returned = Counter(key for key in self._recent if key[0] >= self.floor)
        self._asked = self.floor or min((key[0] for key in self._recent), default=0)
        return LogPosition(task_id, self._asked)


class Positions:
    """Of all tasks of one reader."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Position] = {}
        self._done: dict[str, LogPosition] = {}

    def new(self, task_id: str, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """Those of the lines that were not had before; they are now."""
        return self._of(task_id).new(lines)

    def done(self, task_id: str) -> None:
        """All of the task is known. Of very many that ended the oldest are forgotten: the swarm has, too."""
        self._tasks.pop(task_id, None)
        self._done[task_id] = LogPosition(task_id, 0, True)
        if len(self._done) > MOST_DONE:
            del self._done[next(iter(self._done))]

    def all(self) -> tuple[LogPosition, ...]:
        """Where to go on. What comes afterwards may begin with lines that are known."""
        return (*self._done.values(), *(position.ask(task_id) for task_id, position in self._tasks.items()))

    def _of(self, task_id: str) -> _Position:
        position = self._tasks.get(task_id)
        if position is None:
            position = self._tasks[task_id] = _Position()
        return position
