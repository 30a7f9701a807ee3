# SPDX-License-Identifier: Apache-2.0
"""The filter ``until`` of a prune: a time, or how long ago."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from queenright.edge.http.errors import ApiError
from queenright.spec.codecs import duration

SECOND = 1_000_000_000


def until(values: Sequence[str], now: int) -> int:
    """Nanoseconds since the epoch, 0 for no filter. Taken are Docker's forms: a duration before ``now`` (``24h``), a
    date, a date and time (RFC 3339, UTC if it names no zone) and seconds since the epoch. `ApiError` 400 else.
    """
    if not values:
        return 0
    if len(values) > 1:
        raise ApiError(400, "more than one until filter specified")
    text = values[0].strip()
    found = _epoch(text) or _date(text) or _ago(text, now)
    if not found or found <= 0:
        raise ApiError(400, f"invalid until filter '{text[:64]}': take a duration such as 24h, or a time")
    return found


def _epoch(text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        return 0
    return int(seconds * SECOND) if math.isfinite(seconds) else 0


def _date(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()) * SECOND


def _ago(text: str, now: int) -> int:
    try:
        return now - duration(text)
    except (ValueError, OverflowError):
        return 0
