# SPDX-License-Identifier: Apache-2.0
"""What another state took the place of, to be freed bit by bit."""

from __future__ import annotations

from typing import Any


class Remains:
    """Dictionaries, nested or not, that nobody uses any more.

    To drop 100,000 objects at once takes longer than the loop may be held, in whatever thread it is done, because
    nothing else of the program runs meanwhile.
    """

    def __init__(self, contents: list[dict[Any, Any]]) -> None:
        self._left = contents

    def free(self, count: int) -> bool:
        """Drop about ``count`` entries; whether any are left."""
        left = self._left
        while left and count > 0:
            last = left[-1]
            if not last:
                left.pop()
                continue
            _, value = last.popitem()
            if isinstance(value, dict) and len(value) > 1:
                left.append(value)
            count -= 1
        return bool(left)
