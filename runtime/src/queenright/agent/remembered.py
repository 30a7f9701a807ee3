# SPDX-License-Identifier: Apache-2.0
"""What a node remembers of its networks: the rows that a manager told it, and whether the kernel may have any of them.

A node with many networks has tens of thousands of rows: they are read in steps, and others get their turn on the loop
in between.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator

from queenright.agent.database import TaskDatabase
from queenright.model.mesh_rows import Row
from queenright.wire.networks import decode_row, encode_row

log = logging.getLogger(__name__)

IN_USE = "*"  # remembered while something of ours may be in the kernel


class Remembered:
    """The rows of networks in the agent's database."""

    def __init__(self, database: TaskDatabase) -> None:
        self._database = database
        self.in_use = False  # it is remembered that something of ours may be in the kernel

    async def recall(self, take: Callable[[Row], None], at_once: int) -> None:
        """Give ``take`` all that was kept when the database was opened, a network's link before what needs it. What
        cannot be read or taken is left out: a manager tells it again. May be cancelled.
        """
        self.in_use = bool(self._database.rows)
        entries = _links_first(self._database.rows)
        while step := list(itertools.islice(entries, at_once)):
            for key, data in step:
                try:
                    take(decode_row(data))
                except Exception as error:  # a row is no reason not to start
                    log.warning("a remembered row of a network cannot be read: %s", error, extra={"key": key})
            await asyncio.sleep(0)

    def keep(self, put: Iterable[Row], gone: Iterable[str], *, in_use: bool) -> None:
        """Remember these rows and forget those keys; with ``in_use`` also that the kernel may have something."""
        kept = {row.key: encode_row(row) for row in put}
        if in_use and not self.in_use:
            self.in_use = True
            kept[IN_USE] = b""
        self._database.put_rows(kept, gone)

    def unused(self) -> None:
        """Nothing of ours is in the kernel any more."""
        if self.in_use:
            self.in_use = False
            self._database.put_rows({}, [IN_USE])


def _links_first(rows: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """A link's key is the id of its network, and the keys of all else begin with that and a slash."""
    for wanted in (False, True):
        yield from ((key, data) for key, data in rows.items() if ("/" in key) is wanted and key != IN_USE)
