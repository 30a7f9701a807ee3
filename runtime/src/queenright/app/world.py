# SPDX-License-Identifier: Apache-2.0
"""Clocks, dice and names: the only place that asks the machine for them."""

from __future__ import annotations

import os
import random
import time

from queenright.model.ids import IdSource


class SystemClock:
    """See ``manager.ports.Clock``."""

    def wall(self) -> int:
        return time.time_ns()

    def mono(self) -> float:
        return time.monotonic()


_dice = random.SystemRandom()


def dice() -> float:
    """A number in [0, 1)."""
    return _dice.random()


random_bytes = os.urandom
"""So many bytes that nobody can guess."""
ids = IdSource(random_bytes)
"""New object ids and secret bytes."""
