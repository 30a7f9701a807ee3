# SPDX-License-Identifier: Apache-2.0
"""When a node renews its certificate: at a random point between a half and four fifths of its life.

Random, so that nodes that joined together do not all come at once. The clock is looked at again and again instead of
slept by: a host may be suspended, and its clock may be set.
"""

from __future__ import annotations

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
EARLIEST, LATEST = 0.5, 0.8
LOOK_EVERY = 20.0  # seconds between two looks at the clock, if nothing is due before
FIRST_TRY, LAST_TRY = 5.0, 3600.0  # seconds between two tries of what does not work


def renew_at(not_before: int, not_after: int, dice: float) -> int:
    """The time (nanoseconds since the epoch) for a certificate with these ends; ``dice`` in [0, 1)."""
    part = EARLIEST + (LATEST - EARLIEST) * dice
    return not_before + int(part * (not_after - not_before)) // MINUTE * MINUTE


def next_look(now: int, due: int) -> float:
    """Seconds to sleep until the clock is looked at again; 0 if it is time. ``now`` and ``due`` in nanoseconds."""
    return min(LOOK_EVERY, max(0.0, (due - now) / SECOND))


def again(tries: int) -> float:
    """Seconds until the next try after so many that failed: a manager that is gone is not asked without end."""
    return min(LAST_TRY, FIRST_TRY * 2.0 ** min(tries, 16))
