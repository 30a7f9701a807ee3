# SPDX-License-Identifier: Apache-2.0
"""Whether reads and writes of registers, as their clients saw them, could have happened one after the other.

Every write of a register has a value of its own, so the question has an exact answer in little time (Gibbons and
Korach, "Testing shared memories"): a write and the reads of its value form a cluster; the stretch between the first end
and the last begin of its operations is its zone, *forward* if the end comes first. The history is linearizable when no
read ends before its write begins, no two forward zones overlap, and no backward zone lies within a forward one.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple


class Operation(NamedTuple):
    """One call of a client. ``ended`` is infinite while nobody knows whether it took place (writes only)."""

    kind: str  # "write" or "read"
    key: str
    value: int  # 0 is what a register holds before its first write
    began: float
    ended: float


class _Zone(NamedTuple):
    value: int
    low: float
    high: float
    forward: bool


class History:
    """What all clients saw. Each value is written once, whatever the register."""

    def __init__(self) -> None:
        self._writes: dict[int, Operation] = {}
        self._reads: list[Operation] = []

    def write(self, key: str, value: int, began: float, ended: float = math.inf) -> None:
        """A write began, and perhaps ended."""
        self._writes[value] = Operation("write", key, value, began, ended)

    def confirm(self, value: int, ended: float) -> None:
        """The client was told that its write took place."""
        self._writes[value] = self._writes[value]._replace(ended=ended)

    def refuse(self, value: int) -> None:
        """The client was told that its write will never take place."""
        del self._writes[value]

    def read(self, key: str, value: int, began: float, ended: float) -> None:
        self._reads.append(Operation("read", key, value, began, ended))

    def __len__(self) -> int:
        return len(self._writes) + len(self._reads)

    def contradiction(self) -> str | None:
        """Why the operations cannot be put in one order, or None if they can."""
        operations = [*self._writes.values(), *self._reads]
        keys = sorted({operation.key for operation in operations})
        found = (contradiction([one for one in operations if one.key == key]) for key in keys)
        return next((text for text in found if text), None)


def contradiction(operations: list[Operation]) -> str | None:
    """The same for the operations of one register."""
    writes = {one.value: one for one in operations if one.kind == "write"}
    writes[0] = Operation("write", "", 0, -math.inf, -math.inf)
    reads: dict[int, list[Operation]] = {value: [] for value in writes}
    for one in operations:
        if one.kind != "read":
            continue
        if one.value not in writes:
            return f"{one} read what nobody wrote"
        if one.ended < writes[one.value].began:
            return f"{one} read {writes[one.value]} before it began"
        reads[one.value].append(one)
    zones = [
        _zone(write, reads[value])
        for value, write in writes.items()
        if reads[value] or write.ended < math.inf  # what nobody saw and nobody confirmed need not have happened
    ]
    return _overlap([zone for zone in zones if zone.forward], [zone for zone in zones if not zone.forward])


def _zone(write: Operation, reads: list[Operation]) -> _Zone:
    first_end = min(one.ended for one in (write, *reads))
    last_begin = max(one.began for one in (write, *reads))
    forward = first_end < last_begin
    return _Zone(write.value, min(first_end, last_begin), max(first_end, last_begin), forward)


def _overlap(forward: list[_Zone], backward: list[_Zone]) -> str | None:
    forward.sort(key=lambda zone: zone.low)
    for one, other in itertools.pairwise(forward):
        if other.low < one.high:
            return f"values {one.value} and {other.value} were both read after the other ({one}, {other})"
    for inner in backward:
        for outer in forward:
            if outer.low < inner.low and inner.high < outer.high:
                return f"value {inner.value} lies within value {outer.value} ({inner}, {outer})"
    return None
