# SPDX-License-Identifier: Apache-2.0
"""What the Docker Engine on this host says of itself, as far as a membership depends on it."""

from __future__ import annotations

import json

from queenright.edge.http.errors import ApiError
from queenright.edge.http.upstream import Upstream
from queenright.model.errors import FailedPrecondition, Unavailable

LOOK_TIMEOUT = 3.0  # seconds; a start does not wait longer for an engine that hangs


async def require_no_swarm(upstream: Upstream) -> None:
    """Refuse to be a member beside dockerd's own Swarm: both would own the same labels, ports and networks."""
    try:
        problem = _problem(upstream.path, await _swarm_state(upstream))
    except (ApiError, ValueError) as error:
        raise Unavailable(
            f"the Docker Engine at {upstream.path} does not answer ({error}): start it and try again", plain=True
        ) from error
    if problem:
        raise FailedPrecondition(problem, plain=True)


async def own_swarm(upstream: Upstream) -> str:
    """What is wrong when dockerd's own Swarm is active; "" when it is not, or when dockerd does not answer (yet)."""
    try:
        return _problem(upstream.path, await _swarm_state(upstream, LOOK_TIMEOUT))
    except (ApiError, ValueError):
        return ""


async def _swarm_state(upstream: Upstream, timeout: float | None = None) -> str:
    reply = await upstream.request("GET", "/info", timeout=timeout)
    info = json.loads(reply.body)
    swarm = info.get("Swarm") if isinstance(info, dict) else None
    return str(swarm.get("LocalNodeState") or "inactive") if isinstance(swarm, dict) else "inactive"


def _problem(path: str, state: str) -> str:
    if state == "inactive":
        return ""
    return (
        f"the Docker Engine at {path} is itself in swarm mode ({state}): leave that swarm first with "
        f"'docker -H unix://{path} swarm leave --force', then try again"
    )
