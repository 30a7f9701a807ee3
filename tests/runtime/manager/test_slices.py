# SPDX-License-Identifier: Apache-2.0
"""Long lists go into the log in order, in entries that it takes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from queenright.manager import slices
from queenright.model.changes import Change, Delete
from queenright.model.errors import TooLarge


class Log:
    """Takes entries of so many changes at most."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.entries: list[Sequence[Change]] = []
        self.is_leader = True

    async def propose(self, changes: Sequence[Change]) -> int:
        if len(changes) > self.most:
            raise TooLarge("too much for one write")
        self.entries.append(changes)
        return len(self.entries)

    async def barrier(self) -> int:
        return len(self.entries)


def deletes(count: int) -> list[Change]:
    return [Delete("task", f"t{number}") for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 1000])
@pytest.mark.parametrize("most", [1, 7, 200, 5000])
async def test_all_is_written_in_order_and_no_entry_is_too_large(count: int, most: int) -> None:
    log = Log(most)
    await slices.write(log, deletes(count))
    assert [change for entry in log.entries for change in entry] == deletes(count)
    assert all(len(entry) <= min(most, slices.MAX_CHANGES) for entry in log.entries)


async def test_a_short_list_is_one_entry() -> None:
    log = Log(200)
    await slices.write(log, deletes(3))
    assert len(log.entries) == 1


async def test_one_change_that_is_too_large_alone_is_an_error() -> None:
    with pytest.raises(TooLarge):
        await slices.write(Log(0), deletes(3))
