# SPDX-License-Identifier: Apache-2.0
"""A stock member that is killed while the process that it forked still writes the dump. The file
``acknowledged`` says how much it acknowledged."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from sim.clock import Clock, virtual
from sim.stock import alone, tick


class Slow:
    """Takes until a file called ``go`` is there, and only in the forked process."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.parent = os.getpid()

    def __reduce__(self) -> tuple[object, ...]:
        deadline = time.monotonic() + 60
        while os.getpid() != self.parent and time.monotonic() < deadline:
            if Path(self.directory, "go").exists():
                break
            time.sleep(0.01)
        return (str, ("slow",))


def main(directory: str) -> None:
    clock = Clock()
    with virtual(clock, random.Random(1)):
        member = alone(clock, Path(directory), useFork=True)
        member.write(*range(300))
        tick(clock, member)
        member.slow = Slow(directory)
        member.forceLogCompaction()
        tick(clock, member, 1)
        member.write(*range(300, 600))
        tick(clock, member)
        Path(directory, "acknowledged").write_text(str(len(member.acknowledged)))
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
