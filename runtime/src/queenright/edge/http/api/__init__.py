# SPDX-License-Identifier: Apache-2.0
"""The swarm side of the host socket: handlers that read a request, ask a use case of the manager, and render.

No decision is taken in here. May import ``manager`` (and what lies below it) and the rest of ``edge/http``.
"""

from __future__ import annotations

from queenright.edge.http.api.errors import map_error
from queenright.edge.http.api.routes import Routes

__all__ = ["Routes", "map_error"]
