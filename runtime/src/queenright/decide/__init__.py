# SPDX-License-Identifier: Apache-2.0
"""The heart: pure functions that look at the store and answer with changes and a time to wake up.

``decide(view, dirty, now, ids) -> Decision(changes, wake_at)``. No clock, dice, log, event loop or other I/O:
the imports are forbidden by ``runtime/.importlinter``. May import ``store``, ``model``, ``spec`` and ``lib``.
"""

from __future__ import annotations
