# SPDX-License-Identifier: Apache-2.0
"""Frozen objects of the cluster: specs, tasks and their states, nodes, changes, errors, constraint grammar.

Values only: no I/O, no clock, no event loop. May import ``spec`` and ``lib``.
"""

from __future__ import annotations
