# SPDX-License-Identifier: Apache-2.0
"""The last commits, so that whoever was away for a moment can go on where he was.

Bounded by what it holds, not by time: about the last 10,000 changes of tasks. A reader keeps a version and asks for
what came after it; one that is too slow is told so instead of being waited for. Secrets are not in here: an event of
the history has neither the data of a secret or config nor anybody's credentials, keys or tokens.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Iterator

from queenright.model.objects import Cluster, Config, Object, Registry, Secret, Service, Ticket

MOST_WEIGHT = 10_000
WEIGHTS = {"service": 20, "node": 5, "cluster": 20, "stack": 200}  # of one event, as many tasks; all others weigh 1


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One object changed: ``before`` None is a creation, ``after`` None a removal."""

    before: Object | None
    after: Object | None

    @property
    def object(self) -> Object:
        """The newest form there is."""
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """All events of one log entry, in order. ``at``: the time that the entry carries (wall nanoseconds).

    ``reset``: a snapshot took the place of everything. There are no events then: whoever derived something from the
    store forgets it and looks again.
    """

    index: int
    events: tuple[Event, ...]
    reset: bool = False
    at: int = 0


class ForgottenError(Exception):
    """What came after a version is not known any more. ``oldest`` is the first version to go on from."""

    def __init__(self, version: int, oldest: int) -> None:
        super().__init__(f"version {version} is too old: what came after it is remembered from version {oldest} on")
        self.version = version
        self.oldest = oldest


class History:
    """Commits by version. ``floor``: all that came after this version is here; ``index``: the newest version.

    Written by the store alone, in the loop's thread.
    """

    def __init__(self, most: int = MOST_WEIGHT) -> None:
        self.floor = 0
        self.index = 0
        self._most = most
        self._weight = 0
        self._commits: deque[Commit] = deque()
        self._waiting: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._commits)

    def add(self, commit: Commit) -> None:
        """Remember a commit, and forget the oldest ones if it is too much."""
        kept = dataclasses.replace(commit, events=tuple(bare(event) for event in commit.events))
        self._commits.append(kept)
        self._weight += _weight(kept)
        self.index = commit.index
        while self._weight > self._most and len(self._commits) > 1:
            gone = self._commits.popleft()
            self._weight -= _weight(gone)
            self.floor = gone.index
        self._wake()

    def reset(self, index: int) -> None:
        """Begin anew at a version: how that came about is not known."""
        self._commits.clear()
        self._weight = 0
        self.floor = self.index = index
        self._wake()

    def since(self, version: int) -> list[Commit]:
        """The commits after a version, oldest first. Cost follows their number. Raises ForgottenError."""
        if version < self.floor:
            raise ForgottenError(version, self.floor)
        found = []
        for commit in reversed(self._commits):
            if commit.index <= version:
                break
            found.append(commit)
        found.reverse()
        return found

    def __iter__(self) -> Iterator[Commit]:
        """All that is remembered, oldest first. To be used up in one step of the loop."""
        return iter(self._commits)

    async def wait(self, version: int) -> None:
        """Return when there is something newer than ``version``, or when it is forgotten."""
        while self.index <= version and version >= self.floor:
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


def bare(event: Event) -> Event:
    """The event without what must not be told."""
    before = None if event.before is None else _bare(event.before)
    after = None if event.after is None else _bare(event.after)
    return event if before is event.before and after is event.after else Event(before, after)


def _bare(row: Object) -> Object:
    if isinstance(row, Secret | Config):
        return dataclasses.replace(row, data=b"")
    if isinstance(row, Registry):
        return dataclasses.replace(row, auth=b"")
    if isinstance(row, Service) and (row.registry_auth or row.previous_registry_auth):
        return dataclasses.replace(row, registry_auth="", previous_registry_auth="")
    if isinstance(row, Cluster):
        return dataclasses.replace(row, root_key="", worker_token="", manager_token="")
    if isinstance(row, Ticket):
        return dataclasses.replace(row, secret_digest="", key_digest="")
    return row


def _weight(commit: Commit) -> int:
    return 1 + sum(WEIGHTS.get(event.object.kind, 1) for event in commit.events)
