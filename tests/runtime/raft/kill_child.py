# SPDX-License-Identifier: Apache-2.0
"""A process that is made to be killed: proposes as fast as it can and prints each key when it is acknowledged.

Arguments: directory, number of the round.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from runtime.raft.kit import Machine, make

from queenright.edge.raft import FailedError


async def write_for_ever(log, name):
    number = 0
    while True:
        key = f"{name}.{number}"
        await log.propose(f"{key}={key}".encode() + b"x" * (number % 7 * 50))
        os.write(1, f"{key}\n".encode())
        number += 1


async def main(directory, turn):
    log = make(Path(directory), Machine(), snapshot_every=60, keep_entries=10)
    await log.start()
    os.write(1, b"started\n")
    try:
        await asyncio.gather(*(write_for_ever(log, f"{turn}.{worker}") for worker in range(6)))
    except FailedError:
        os.write(1, f"failed {log.failure}\n".encode())
    await log.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
