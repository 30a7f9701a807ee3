# SPDX-License-Identifier: Apache-2.0
"""The cluster's state in memory: tables, indexes, aggregates, versions, watch.

Owned by the event loop's thread, so there are no locks. Writes come in as committed changes only; nothing in
here talks to disk or network. May import ``model``, ``spec`` and ``lib``.
"""

from __future__ import annotations
