# SPDX-License-Identifier: Apache-2.0
"""Times for people to read: what a clock on the wall shows, in UTC."""

from __future__ import annotations

SECOND = 1_000_000_000
DAY = 24 * 3600


def of_day(wall: int) -> str:
    """``12:01:07`` for nanoseconds since the epoch."""
    seconds = wall // SECOND % DAY
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def span(nanoseconds: int) -> str:
    """``5s``, ``1.5s``, ``2m``, ``1h30m``: a length of time in the largest units that say it exactly."""
    minutes, rest = divmod(nanoseconds, 60 * SECOND)
    if not minutes:
        return f"{rest / SECOND:g}s"
    hours, minutes = divmod(minutes, 60)
    parts = ((f"{hours}h", hours), (f"{minutes}m", minutes), (f"{rest / SECOND:g}s", rest))
    return "".join(text for text, amount in parts if amount)
