# SPDX-License-Identifier: Apache-2.0
"""Running a handler: whatever it raises becomes an answer that a client can read."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.router import Pass
from queenright.edge.http.stream import PeerGoneError
from queenright.manager.audit import record

T = TypeVar("T")

MapError = Callable[[Exception], ApiError | None]
"""Turns an exception of a handler into what the client shall see; None for an unexpected one (500, logged)."""

_log = logging.getLogger(__name__)


async def answered(call: Awaitable[T], map_error: MapError, name: str) -> T:
    """What ``call`` gives. Raises `ApiError` for all that it raises, `PeerGoneError` if the client went away.

    ``name`` is the method and path, for the log.
    """
    try:
        return await call
    except (ApiError, PeerGoneError):
        raise
    except Exception as error:
        known = map_error(error)
        if known is not None:
            raise known from error
        _log.exception("%s failed", name)
        raise ApiError(500, f"internal error in queenright: {type(error).__name__}: {error}") from error


async def written(request: Request, call: Awaitable[Response | Pass]) -> Response | Pass:
    """What ``call`` gives, or raises; either is written down in the audit, unless it turns out to be dockerd's."""
    status = 0
    try:
        response = await call
        status = response.status if isinstance(response, Response) else 0
        return response
    except ApiError as error:
        status = error.status
        raise
    finally:
        if status:
            dry = request.flag("dry_run")
            record("write", outcome=status, method=request.method, path=request.path, dry_run=dry or None)
