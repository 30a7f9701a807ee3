# SPDX-License-Identifier: Apache-2.0
"""The composition root: command line, settings, and the only place that builds objects.

The only room that reads ``sys.argv`` and the environment; clocks, ids and dice are made here and handed down.
Nothing imports ``app``.
"""

from __future__ import annotations
