# SPDX-License-Identifier: Apache-2.0
"""The manager's event loops and use cases: control, reconcile, dispatch, authority.

Owns the Protocols in ``ports.py`` that the edges fulfil. Standard library and asyncio only; never imports
``agent``, an edge or a third-party library.
"""

from __future__ import annotations
