# SPDX-License-Identifier: Apache-2.0
"""What the Docker Engine on this host says of itself, as far as a membership depends on it."""

from __future__ import annotations

import json

from queenright.edge.http.errors import ApiError
from queenright.edge.http.upstream import Upstream
from queenright.model.errors import FailedPrecondition, Unavailable


async def require_no_swarm(upstream: Upstream) -> None:
    """Refuse to be a member beside dockerd's own Swarm: both would own the same labels, ports and networks."""
    try:
        reply = await upstream.request("GET", "/info")
        info = json.loads(reply.body)
    except (ApiError, ValueError) as error:
        raise Unavailable(
            f"the Docker Engine at {upstream.path} does not answer ({error}): start it and try again", plain=True
        ) from error
    state = (info.get("Swarm") or {}).get("LocalNodeState", "inactive") if isinstance(info, dict) else "inactive"
    if state != "inactive":
        raise FailedPrecondition(
            f"the Docker Engine at {upstream.path} is itself in swarm mode ({state}): leave that swarm first with "
            f"'docker -H unix://{upstream.path} swarm leave --force', then try again",
            plain=True,
        )
