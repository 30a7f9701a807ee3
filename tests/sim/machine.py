# SPDX-License-Identifier: Apache-2.0
"""The replicated state of a simulated member: registers, and the list of what was applied."""

from __future__ import annotations

from collections.abc import Iterator


def command(key: str, value: int) -> bytes:
    """Write ``value`` to register ``key``."""
    return f"{key}={value}".encode()


class Machine:
    """Registers by name; 0 is what one holds before its first write. ``history``: all (index, command) so far."""

    def __init__(self) -> None:
        self.registers: dict[str, int] = {}
        self.history: list[tuple[int, bytes]] = []
        self.index = 0

    def apply(self, index: int, body: bytes) -> None:
        key, _, value = body.decode().partition("=")
        self.registers[key] = int(value)
        self.history.append((index, body))

    def read(self, key: str) -> int:
        return self.registers.get(key, 0)

    def freeze(self) -> list[bytes]:
        """The records of a snapshot."""
        return [f"{index}:".encode() + body for index, body in self.history]

    @staticmethod
    def thaw(records: Iterator[bytes], index: int) -> Machine:
        """What such a snapshot of ``index`` holds."""
        machine = Machine()
        for record in records:
            number, _, body = record.partition(b":")
            machine.apply(int(number), body)
        machine.index = index
        return machine
