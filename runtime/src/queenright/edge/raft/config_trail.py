# SPDX-License-Identifier: Apache-2.0
"""Which members a log has had since its first entry: each list counts from its own entry on, and goes with it."""

from __future__ import annotations

from collections.abc import Iterable

from queenright.wire.raft import Entry

from .log_format import is_members
from .members import Config, parse_config


class ConfigTrail:
    """Follows a log. ``base`` is the configuration as of the first entry, whatever that entry is."""

    def __init__(self, base: Config, entries: list[Entry]) -> None:
        self._known = [(entries[0].idx, base), *_lists(entries[1:])]

    @property
    def base(self) -> Config:
        return self._known[0][1]

    @property
    def newest(self) -> Config:
        return self._known[-1][1]

    @property
    def newest_index(self) -> int:
        """Index of the entry that brought it; the first index if it came before that."""
        return self._known[-1][0]

    def as_of(self, index: int) -> Config:
        """What counted when entry ``index``, one of the log's, was the newest."""
        return next(config for since, config in reversed(self._known) if since <= index)

    def add(self, index: int, config: Config) -> None:
        """Entry ``index`` brings ``config``."""
        self._known.append((index, config))

    def cut(self, last: int) -> None:
        """All entries after ``last`` are void."""
        while self._known[-1][0] > last:
            self._known.pop()


def _lists(entries: Iterable[Entry]) -> list[tuple[int, Config]]:
    return [(entry.idx, parse_config(entry.command[1:])) for entry in entries if is_members(entry.command)]
