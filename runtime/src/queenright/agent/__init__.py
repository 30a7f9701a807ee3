# SPDX-License-Identifier: Apache-2.0
"""The node's event loops and use cases: session, worker, task database, status reports.

Owns the Protocols in ``ports.py`` that the edges fulfil. Standard library and asyncio only; never imports
``manager``, an edge or a third-party library.
"""

from __future__ import annotations
